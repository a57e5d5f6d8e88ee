//! Time-outs of calls, on paused time.

use std::time::Duration;

use bytes::Bytes;
use cenote::mux::{CallError, Sent};
use futures::poll;
use tokio::time::{Instant, advance, sleep};

use crate::peer::{Client, load, ms, pair, raw, rest, secs};

async fn time_out(client: &Client, limit: Option<Duration>) -> (Duration, CallError) {
    let began = Instant::now();
    let mut call = client.call(Bytes::from("slow"));
    if let Some(limit) = limit {
        call = call.timeout(limit);
    }
    let error = call.await.unwrap_err();
    (began.elapsed(), error)
}

fn assert_within_an_eighth(took: Duration, limit: Duration) {
    // A timer is a millisecond late at most, and so is each of the ticks.
    let late = limit / 8 + ms(10);
    assert!(
        took >= limit && took <= limit + late,
        "{took:?} for {limit:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_times_out_within_an_eighth_of_its_time_out() {
    for limit in [ms(80), ms(999), secs(30), secs(86_400)] {
        let (client, _peer) = pair(|settings| settings.call_timeout(limit).max_silence(None));
        for wait in [limit / 100, limit / 3, limit / 16] {
            sleep(wait).await;
            let (took, error) = time_out(&client, None).await;
            assert_within_an_eighth(took, limit);
            assert!(
                matches!(error, CallError::TimedOut { limit: said, sent: Sent::Maybe , .. } if said == limit),
                "{error}"
            );
        }
    }
}

/// One clock watches calls and pings: that of the shorter must not hurry the longer.
#[tokio::test(start_paused = true)]
async fn pings_do_not_hurry_calls() {
    for ping in [ms(500), ms(777), secs(10), secs(300)] {
        let (client, _far) = raw(|settings| {
            let settings = settings.call_timeout(secs(10)).ping_timeout(secs(9_000));
            settings.ping(ping, || Bytes::from("ping"))
        });
        let (took, _) = time_out(&client, None).await;
        assert_within_an_eighth(took, secs(10));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_with_a_time_out_of_its_own_keeps_to_it() {
    let (client, _peer) = pair(|settings| {
        let settings = settings.max_timeouts(99).max_silence(None);
        settings.call_timeout(secs(10))
    });
    for limit in [ms(1), ms(25), secs(10), secs(60)] {
        let (took, error) = time_out(&client, Some(limit)).await;
        assert!(took >= limit && took <= limit + ms(2), "{took:?}");
        assert!(matches!(error, CallError::TimedOut { limit: said, .. } if said == limit));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_with_no_time_at_all_ends_at_once() {
    let (client, _peer) = pair(|settings| settings);
    let (took, _) = time_out(&client, Some(Duration::ZERO)).await;
    assert!(took <= ms(1), "{took:?}");
    assert_eq!(load(&client), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn without_a_time_out_a_call_waits_for_ever() {
    let (client, mut peer) = pair(|settings| settings.call_timeout(None));
    let mut call = client.call(Bytes::from("patient"));
    assert!(poll!(&mut call).is_pending());
    sleep(secs(1_000_000)).await;
    assert!(poll!(&mut call).is_pending());
    let request = peer.request().await;
    peer.reply(request.tag, request.message).await;
    assert_eq!(call.await.unwrap(), "patient");
}

#[tokio::test(start_paused = true)]
async fn time_outs_beyond_any_clock_are_never_over() {
    let (client, mut peer) = pair(|settings| {
        let settings = settings
            .call_timeout(Duration::MAX)
            .drain_timeout(Duration::MAX);
        settings.ping(ms(8), || Bytes::from("ping"))
    });
    assert_eq!(peer.request().await.message, "ping");
    tokio::spawn(peer.echo());
    let call = client.call(Bytes::from("own")).timeout(Duration::MAX);
    assert_eq!(call.await.unwrap(), "own");
    assert_eq!(client.call(Bytes::from("all")).await.unwrap(), "all");
    client.close().await;
}

/// The turn is part of the time.
#[tokio::test(start_paused = true)]
async fn a_queued_call_has_no_more_time_than_another() {
    let (client, mut peer) = pair(|settings| {
        let settings = settings.max_in_flight(1).max_abandoned(9);
        settings.call_timeout(secs(8))
    });
    let mut first = client.call(Bytes::from("first")).timeout(secs(90));
    assert!(poll!(&mut first).is_pending());
    let began = Instant::now();
    let mut second = client.call(Bytes::from("second"));
    assert!(poll!(&mut second).is_pending());
    let third = client.call(Bytes::from("third"));
    sleep(secs(5)).await;
    let request = peer.request().await;
    peer.reply(request.tag, request.message).await;
    let (second, third) = tokio::join!(
        async {
            first.await.unwrap();
            let error = second.await.unwrap_err();
            (error.sent(), began.elapsed())
        },
        async { (third.await.unwrap_err().sent(), began.elapsed()) }
    );
    assert_eq!((second.0, third.0), (Sent::Maybe, Sent::No));
    assert_within_an_eighth(second.1, secs(8));
    assert_within_an_eighth(third.1 - secs(5), secs(8));
}

/// The driver was kept from running for long: nothing is overdue that has just begun.
#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_does_not_time_out_what_has_just_begun() {
    let (client, mut peer) = pair(|settings| settings.call_timeout(secs(8)));
    rest().await;
    advance(secs(1_000)).await;
    let mut call = client.call(Bytes::from("young"));
    assert!(poll!(&mut call).is_pending());
    sleep(secs(6)).await;
    assert!(poll!(&mut call).is_pending());
    let request = peer.request().await;
    peer.reply(request.tag, request.message).await;
    assert_eq!(call.await.unwrap(), "young");
}

/// The driver, who times what is queued, does not know of a limit set later; and the connection is as it was.
#[tokio::test(start_paused = true)]
async fn a_queued_call_whose_own_limit_is_set_too_late_times_out_as_the_others() {
    let (client, _peer) = pair(|settings| settings.max_in_flight(1).call_timeout(ms(80)));
    let mut first = client.call(Bytes::from("first")).timeout(secs(60));
    assert!(poll!(&mut first).is_pending());
    let mut queued = client.call(Bytes::from("queued"));
    assert!(poll!(&mut queued).is_pending());
    let outcome = queued.timeout(secs(10)).await;
    let Err(CallError::TimedOut { limit, sent, .. }) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((limit, sent), (ms(80), Sent::No));
    assert!(client.is_open());
}
