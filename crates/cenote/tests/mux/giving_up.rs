//! Callers that give up on a silent peer, by the call's time-out or by one of their own around it, which drops the
//! call: the connection ends soon, and takes no new calls before. What is only slow lives.

use std::time::Duration;

use bytes::Bytes;
use cenote::mux::{CallError, Disconnected, Frame, MuxBuilder, Sent};
use futures::poll;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::peer::{Client, Peer, load, ms, pair, rest, secs};

const BY_DEFAULT: fn(MuxBuilder<Bytes>) -> MuxBuilder<Bytes> = |settings| settings;

/// Calls again and again, and waits no longer than this; until it learns that the connection is lost.
async fn impatient(client: Client, limit: Duration) -> Disconnected {
    loop {
        match timeout(limit, client.call(Bytes::from("asked"))).await {
            Err(_) => {}
            Ok(Err(CallError::Disconnected { cause, .. })) => return cause,
            Ok(other) => panic!("{other:?}"),
        }
    }
}

/// A black hole under 20 users with time-outs of a second, and no answer for as long as anybody
/// watched.
#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up_within_ten_seconds_by_users_with_time_outs_of_their_own() {
    for (users, limit) in [(20, secs(1)), (1, secs(1)), (1, secs(3)), (3, ms(4_900))] {
        let (client, _peer) = pair(BY_DEFAULT);
        let began = Instant::now();
        let mut crowd = JoinSet::new();
        for _ in 0..users {
            crowd.spawn(impatient(client.clone(), limit));
        }
        let lost = client.closed().await;
        assert!(matches!(lost, Disconnected::Sick { .. }), "{lost}");
        let took = began.elapsed();
        assert!(took <= secs(10), "{took:?} with {users} of {limit:?}");
        for lost in crowd.join_all().await {
            assert!(matches!(lost, Disconnected::Sick { .. }), "{lost}");
        }
    }
}

/// A patient caller beside them does not hold it up.
#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up_within_ten_seconds_though_somebody_waits_for_ever() {
    let (client, _peer) = pair(|settings| settings.call_timeout(None));
    let patient = tokio::spawn(client.call(Bytes::from("patient")).into_owned());
    let began = Instant::now();
    impatient(client.clone(), secs(1)).await;
    let error = patient.await.unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            CallError::Disconnected {
                cause: Disconnected::Sick { .. },
                sent: Sent::Maybe,
                ..
            }
        ),
        "{error}"
    );
    assert!(began.elapsed() <= secs(10), "{:?}", began.elapsed());
}

/// From when it is found silent, which is before it ends.
#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_asked_nothing_more_while_those_who_wait_finish() {
    let (client, mut peer) = pair(|settings| settings.call_timeout(None));
    let mut patient = client.call(Bytes::from("patient"));
    assert!(poll!(&mut patient).is_pending());
    let lost = impatient(client.clone(), secs(1)).await;
    assert!(matches!(lost, Disconnected::Sick { .. }), "{lost}");
    assert!(!client.is_open());
    let refused = client.call(Bytes::from("new")).await.unwrap_err();
    assert_eq!(refused.sent(), Sent::No);
    // It speaks again, and the patient one has its reply.
    let request = peer.request().await;
    peer.reply(request.tag, request.message).await;
    assert_eq!(patient.await.unwrap(), "patient");
    assert!(matches!(client.closed().await, Disconnected::Sick { .. }));
}

/// Answers what says so, late; the rest never.
async fn slow(mut peer: Peer) {
    while let Some(Ok(request)) = futures::StreamExt::next(&mut peer.0).await {
        match &request.message[..] {
            b"quick" | b"ping" => {
                sleep(ms(10)).await;
                peer.reply(request.tag, request.message).await;
            }
            b"a minute" => {
                // Its reply is the test's to make.
                tokio::spawn(sleep(secs(60)));
            }
            _ => {}
        }
    }
}

/// Each second somebody gives up, and others are answered.
#[tokio::test(start_paused = true)]
async fn a_reply_that_takes_a_minute_is_waited_for_while_others_are_answered() {
    let (client, mut peer) = pair(|settings| settings.call_timeout(None));
    let mut minute = client.call(Bytes::from("a minute"));
    assert!(poll!(&mut minute).is_pending());
    let request = peer.request().await;
    let answers = async {
        loop {
            let next = peer.request().await;
            match &next.message[..] {
                b"quick" => peer.reply(next.tag, next.message).await,
                b"the last" => return peer,
                _ => {}
            }
        }
    };
    let asks = async {
        for _ in 0..60 {
            let given_up = timeout(secs(1), client.call(Bytes::from("never"))).await;
            assert!(given_up.is_err());
            assert_eq!(client.call(Bytes::from("quick")).await.unwrap(), "quick");
        }
        assert!(poll!(client.call(Bytes::from("the last"))).is_pending());
    };
    let (mut peer, ()) = tokio::join!(answers, asks);
    peer.reply(request.tag, request.message).await;
    assert_eq!(minute.await.unwrap(), "a minute");
    assert!(client.is_open());
}

/// No byte comes between their time-outs, but many did while they waited.
#[tokio::test(start_paused = true)]
async fn calls_that_time_out_at_the_same_moment_end_nothing_while_others_are_answered() {
    let (client, peer) = pair(BY_DEFAULT);
    tokio::spawn(slow(peer));
    let mut crowd = JoinSet::new();
    for user in 0..20 {
        let client = client.clone();
        crowd.spawn(async move {
            for _ in 0..10 {
                let call = client.call(Bytes::from("never"));
                let given_up = match user % 2 {
                    0 => timeout(secs(1), call).await.is_err(),
                    _ => call.timeout(secs(1)).await.is_err(),
                };
                assert!(given_up);
                assert!(client.is_open());
            }
        });
    }
    while !crowd.is_empty() {
        assert_eq!(client.call(Bytes::from("quick")).await.unwrap(), "quick");
        while let Some(done) = crowd.try_join_next() {
            done.unwrap();
        }
    }
    assert!(client.is_open());
}

/// Nothing but pings is answered for a minute: by all else one might take the peer for gone.
#[tokio::test(start_paused = true)]
async fn a_reply_that_takes_a_minute_is_waited_for_while_pings_are_answered() {
    for after in [ms(500), secs(5), secs(600)] {
        let (client, mut peer) = pair(|settings| {
            let settings = settings.call_timeout(secs(25)).max_timeouts(4);
            settings.ping(after, || Bytes::from("ping"))
        });
        let mut minute = client.call(Bytes::from("a minute")).timeout(secs(90));
        assert!(poll!(&mut minute).is_pending());
        let request = peer.request().await;
        let end = Instant::now() + secs(60);
        let answers = async {
            while let Ok(next) = tokio::time::timeout_at(end, peer.request()).await {
                if next.message == "ping" {
                    peer.reply(next.tag, next.message).await;
                }
            }
        };
        let mut crowd = JoinSet::new();
        for user in 0..20 {
            let client = client.clone();
            crowd.spawn(async move {
                while Instant::now() < end {
                    // By a time-out of its own, by the call's, by the mux's.
                    let call = client.call(Bytes::from("never"));
                    let given_up = match user % 3 {
                        0 => timeout(secs(4), call).await.is_err(),
                        1 => call.timeout(secs(4)).await.is_err(),
                        _ => call.await.is_err(),
                    };
                    assert!(given_up);
                    assert!(client.is_open());
                }
            });
        }
        answers.await;
        peer.reply(request.tag, request.message).await;
        assert_eq!(minute.await.unwrap(), "a minute", "pings after {after:?}");
        drop(crowd);
    }
}

/// Nobody gives up, and nothing else is asked.
#[tokio::test(start_paused = true)]
async fn a_reply_that_takes_a_minute_is_waited_for_alone() {
    let (client, mut peer) = pair(|settings| settings.call_timeout(None));
    let mut minute = client.call(Bytes::from("a minute"));
    assert!(poll!(&mut minute).is_pending());
    let request = peer.request().await;
    sleep(secs(60)).await;
    assert!(client.is_open());
    peer.reply(request.tag, request.message).await;
    assert_eq!(minute.await.unwrap(), "a minute");
}

/// Calls raced against something quicker are dropped all the time; their peer answers each.
#[tokio::test(start_paused = true)]
async fn calls_dropped_sooner_than_any_reply_comes_say_nothing_of_a_peer_that_answers() {
    let (client, peer) = pair(|settings| settings.max_timeouts(1_000));
    tokio::spawn(slow(peer));
    let end = Instant::now() + secs(20);
    while Instant::now() < end {
        assert!(
            timeout(ms(1), client.call(Bytes::from("quick")))
                .await
                .is_err()
        );
        sleep(ms(20)).await;
    }
    assert!(client.is_open());
    assert_eq!(client.call(Bytes::from("quick")).await.unwrap(), "quick");
}

/// The same while a slow reply is due.
#[tokio::test(start_paused = true)]
async fn a_call_dropped_at_once_beside_a_slow_one_ends_nothing() {
    let (client, mut peer) = pair(|settings| settings.call_timeout(None));
    let mut minute = client.call(Bytes::from("a minute"));
    assert!(poll!(&mut minute).is_pending());
    let request = peer.request().await;
    assert!(
        timeout(ms(1), client.call(Bytes::from("other")))
            .await
            .is_err()
    );
    sleep(secs(60)).await;
    peer.reply(request.tag, request.message).await;
    assert_eq!(minute.await.unwrap(), "a minute");
    assert!(client.is_open());
}

/// Where there are pings, the first caller that gives up has one sent, however seldom they are otherwise.
#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_has_a_silent_peer_pinged() {
    let (client, mut peer) = pair(|settings| settings.ping(secs(600), || Bytes::from("ping")));
    let began = Instant::now();
    let mut crowd = JoinSet::new();
    for _ in 0..20 {
        crowd.spawn(impatient(client.clone(), secs(1)));
    }
    let is_pinged = async { while peer.request().await.message != "ping" {} };
    timeout(secs(3), is_pinged).await.unwrap();
    let lost = client.closed().await;
    assert!(matches!(lost, Disconnected::Silent { .. }), "{lost}");
    assert!(began.elapsed() <= secs(10), "{:?}", began.elapsed());
}

/// A client whose peer owes the answer to a ping for long.
async fn suspected(
    settings: impl FnOnce(MuxBuilder<Bytes>) -> MuxBuilder<Bytes>,
) -> (Client, Peer, Frame<Bytes>) {
    let (client, mut peer) = pair(|set| settings(set).ping(secs(5), || Bytes::from("ping")));
    let ping = peer.request().await;
    assert_eq!(ping.message, "ping");
    sleep(secs(2)).await;
    (client, peer, ping)
}

#[tokio::test(start_paused = true)]
async fn while_a_peer_owes_the_answer_to_a_ping_calls_wait_and_are_sent_in_order_when_it_speaks() {
    let (client, mut peer, ping) = suspected(|settings| settings.max_in_flight(2)).await;
    let mut permit = client.reserve();
    assert!(poll!(&mut permit).is_pending());
    let mut calls: Vec<_> = (0..4)
        .map(|n: u32| client.call(Bytes::from(n.to_string())))
        .collect();
    for call in &mut calls {
        assert!(poll!(call).is_pending());
    }
    rest().await;
    assert_eq!(load(&client), (0, 0, 5));
    assert!(timeout(ms(1), peer.request()).await.is_err());
    peer.reply(ping.tag, ping.message).await;
    drop(permit.await.unwrap());
    let answers = async {
        for n in 0..4 {
            let request = peer.request().await;
            assert_eq!(request.message, n.to_string());
            peer.reply(request.tag, request.message).await;
        }
    };
    let asks = async {
        for (n, reply) in futures::future::join_all(calls)
            .await
            .into_iter()
            .enumerate()
        {
            assert_eq!(reply.unwrap(), n.to_string());
        }
    };
    tokio::join!(answers, asks);
    assert_eq!(load(&client), (0, 0, 0));
}

/// What waits then was never sent, and is safe to send again elsewhere.
#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_a_peer_s_sign_of_life_are_refused_unsent_when_none_comes() {
    let (client, _peer, _) = suspected(|settings| settings).await;
    let error = client.call(Bytes::from("waits")).await.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::Disconnected {
                cause: Disconnected::Silent { .. },
                sent: Sent::No,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_peer_s_sign_of_life_times_out_unsent() {
    let (client, _peer, _) = suspected(|settings| settings).await;
    let error = client.call(Bytes::from("waits")).timeout(secs(1)).await;
    let error = error.unwrap_err();
    assert!(matches!(error, CallError::TimedOut { .. }), "{error}");
    assert_eq!(error.sent(), Sent::No);
    assert_eq!(load(&client), (0, 0, 0));
}

/// In a pool it is leased to nobody new meanwhile, and serves again once it has spoken.
#[tokio::test(start_paused = true)]
async fn a_peer_that_owes_the_answer_to_a_ping_has_no_capacity_until_it_speaks() {
    let (client, mut peer) = pair(|settings| {
        let settings = settings.max_in_flight(7).max_abandoned(7);
        settings.ping(secs(600), || Bytes::from("ping"))
    });
    assert_eq!(client.capacity(), 7);
    assert!(
        timeout(secs(1), client.call(Bytes::from("asked")))
            .await
            .is_err()
    );
    let asked = peer.request().await;
    let ping = peer.request().await;
    assert_eq!(ping.message, "ping");
    while client.capacity() > 0 {
        assert!(client.is_open());
        sleep(ms(100)).await;
    }
    assert!(client.is_open());
    peer.reply(asked.tag, asked.message).await;
    rest().await;
    assert_eq!(client.capacity(), 7);
    peer.reply(ping.tag, ping.message).await;
    sleep(secs(60)).await;
    assert!(client.is_open());
}

/// With the tags of callers that gave up in quarantine, nobody is left who could give up on a request that was sent:
/// callers that leave the queue end a connection that has been silent for too long.
#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up_though_all_tags_are_those_of_callers_that_left() {
    let (client, _peer) = pair(|settings| {
        settings
            .max_in_flight(2)
            .max_abandoned(usize::MAX)
            .call_timeout(None)
    });
    for _ in 0..2 {
        let call = timeout(ms(1), client.call(Bytes::from("asked")));
        assert!(call.await.is_err());
    }
    let lost = timeout(secs(10), impatient(client, secs(1))).await;
    assert!(matches!(lost, Ok(Disconnected::Sick { .. })), "{lost:?}");
}
