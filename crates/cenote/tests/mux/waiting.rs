//! Back-pressure: the cap, the queue for it, and its bound.

use bytes::Bytes;
use cenote::mux::{CallError, Sent};
use futures::future::join_all;
use futures::poll;

use crate::peer::{load, ms, orderly, pair, rest, secs, think_in_order};

#[tokio::test(start_paused = true)]
async fn no_more_requests_than_the_cap_are_sent_before_a_reply() {
    let (client, mut peer) = pair(|settings| settings.max_in_flight(4));
    let calls = tokio::spawn(join_all(
        (0..20u8).map(|n| client.call(Bytes::copy_from_slice(&[n])).into_owned()),
    ));
    let mut pending = Vec::new();
    for n in 0..20 {
        rest().await;
        assert_eq!(
            (client.in_flight(), client.queued()),
            (4.min(20 - n), 16usize.saturating_sub(n))
        );
        while let Some(Some(Ok(request))) =
            futures::FutureExt::now_or_never(futures::StreamExt::next(&mut peer.0))
        {
            pending.push(request);
        }
        assert_eq!(pending.len(), client.in_flight());
        let request = pending.remove(0);
        assert_eq!(request.message[..], [n as u8]);
        peer.reply(request.tag, request.message).await;
    }
    for reply in calls.await.unwrap() {
        reply.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_does_not_pass_those_who_wait() {
    let (client, mut peer) = pair(|settings| settings.max_in_flight(1));
    let mut first = client.call(Bytes::from("first"));
    let mut second = client.call(Bytes::from("second"));
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut second).is_pending());
    let request = peer.request().await;
    peer.reply(request.tag, request.message).await;
    assert_eq!(first.await.unwrap(), "first");
    // The tag is the second's, though it has not looked yet.
    let mut newcomer = client.call(Bytes::from("newcomer"));
    assert!(poll!(&mut newcomer).is_pending());
    assert_eq!(load(&client), (1, 0, 1));
    assert!(poll!(&mut second).is_pending());
    assert_eq!(peer.request().await.message, "second");
}

#[tokio::test(start_paused = true)]
async fn a_call_beyond_the_bound_of_the_queue_is_refused_by_name() {
    let (client, _peer) = pair(|settings| settings.max_in_flight(1).max_queued(2));
    let mut calls: Vec<_> = (0..3).map(|_| client.call(Bytes::from("in"))).collect();
    for call in &mut calls {
        assert!(poll!(call).is_pending());
    }
    let error = client.call(Bytes::from("out")).await.unwrap_err();
    assert!(
        matches!(error, CallError::QueueFull { max_queued: 2, .. }),
        "{error}"
    );
    assert_eq!(error.sent(), Sent::No);
    assert_eq!(
        error.to_string(),
        "2 calls queued already, the most there may be (max_queued)"
    );
    calls.pop();
    assert!(poll!(client.call(Bytes::from("fits"))).is_pending());
}

#[tokio::test(start_paused = true)]
async fn with_no_queue_a_call_is_served_or_refused() {
    let (client, peer) = pair(|settings| settings.max_in_flight(1).max_queued(0));
    let mut only = client.call(Bytes::from("only"));
    assert!(poll!(&mut only).is_pending());
    let refused = client.call(Bytes::from("refused")).await;
    assert!(matches!(
        refused,
        Err(CallError::QueueFull { max_queued: 0, .. })
    ));
    tokio::spawn(peer.echo());
    assert_eq!(only.await.unwrap(), "only");
    assert_eq!(client.call(Bytes::from("next")).await.unwrap(), "next");
}

#[tokio::test(start_paused = true)]
async fn a_queued_call_that_times_out_was_not_sent_and_passes_its_turn_on() {
    let (client, mut peer) = pair(|settings| settings.max_in_flight(1));
    let mut first = client.call(Bytes::from("first"));
    assert!(poll!(&mut first).is_pending());
    let mut quitter = client.call(Bytes::from("quitter")).timeout(ms(50));
    let mut last = client.call(Bytes::from("last"));
    assert!(poll!(&mut quitter).is_pending());
    assert!(poll!(&mut last).is_pending());
    let error = quitter.await.unwrap_err();
    assert!(
        matches!(error, CallError::TimedOut { limit, sent: Sent::No , .. } if limit == ms(50)),
        "{error}"
    );
    let request = peer.request().await;
    peer.reply(request.tag, request.message).await;
    first.await.unwrap();
    tokio::spawn(peer.echo());
    assert_eq!(last.await.unwrap(), "last");
}

/// When its turn and its time-out come together, a request that nobody waits for is not sent.
#[tokio::test(start_paused = true)]
async fn a_call_whose_turn_comes_too_late_is_not_sent() {
    let (client, mut peer) = pair(|settings| settings.max_in_flight(1));
    let mut first = client.call(Bytes::from("first"));
    assert!(poll!(&mut first).is_pending());
    let mut late = client.call(Bytes::from("late")).timeout(ms(50));
    assert!(poll!(&mut late).is_pending());
    tokio::time::sleep(ms(60)).await;
    let request = peer.request().await;
    peer.reply(request.tag, request.message).await;
    first.await.unwrap();
    assert_eq!(late.await.unwrap_err().sent(), Sent::No);
    assert_eq!(load(&client), (0, 0, 0));
}

/// tuic #86: at the limit of open requests everything hangs.
#[tokio::test(start_paused = true)]
async fn a_thousand_calls_pass_through_a_cap_of_one() {
    let (client, peer) = orderly(|settings| settings.max_in_flight(1));
    tokio::spawn(think_in_order(peer));
    let questions: Vec<_> = (0..1_000).map(|n| Bytes::from(format!("{n}"))).collect();
    let replies = join_all(questions.iter().map(|asked| client.call(asked.clone()))).await;
    for (asked, reply) in questions.iter().zip(replies) {
        assert_eq!(reply.unwrap(), asked);
    }
    assert_eq!(load(&client), (0, 0, 0));
}

/// A queue of callers that come and leave costs no more than those who wait.
#[tokio::test(start_paused = true)]
async fn those_who_leave_the_queue_make_room_for_others() {
    let (client, peer) = pair(|settings| settings.max_in_flight(1).max_queued(1));
    let mut first = client.call(Bytes::from("first")).timeout(secs(9));
    assert!(poll!(&mut first).is_pending());
    for _ in 0..1_000 {
        let mut visitor = client.call(Bytes::from("visitor"));
        assert!(poll!(&mut visitor).is_pending());
    }
    let mut last = client.call(Bytes::from("last"));
    assert!(poll!(&mut last).is_pending());
    tokio::spawn(peer.echo());
    assert_eq!(first.await.unwrap(), "first");
    assert_eq!(last.await.unwrap(), "last");
}
