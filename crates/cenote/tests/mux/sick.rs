//! Tags in quarantine, late replies, and a peer that answers too little.

use bytes::Bytes;
use cenote::mux::{CallError, Disconnected, Sent};
use futures::poll;

use crate::peer::{Client, load, ms, pair, rest, secs};

async fn time_out(client: &Client) -> CallError {
    let error = client.call(Bytes::from("slow")).timeout(ms(10)).await;
    error.unwrap_err()
}

/// Tags are few: each is used again and again, and a late reply never meets its successor.
#[tokio::test(start_paused = true)]
async fn a_late_reply_reaches_nobody_and_frees_its_tag() {
    let (client, mut peer) = pair(|settings| settings.max_in_flight(2).max_abandoned(2));
    for _ in 0..100 {
        time_out(&client).await;
        assert_eq!(load(&client), (1, 1, 0));
        let late = peer.request().await;
        let asks = client.call(Bytes::from("next"));
        let answers = async {
            let next = peer.request().await;
            assert_ne!(next.tag, late.tag);
            peer.reply(late.tag, "late").await;
            peer.reply(next.tag, "next").await;
        };
        let (reply, ()) = tokio::join!(asks, answers);
        assert_eq!(reply.unwrap(), "next");
        assert_eq!(load(&client), (0, 0, 0));
    }
    assert!(client.is_open());
}

/// redis-rs #2277/#1415: calls time out one after the other and the connection is kept.
#[tokio::test(start_paused = true)]
async fn calls_that_time_out_one_after_the_other_end_the_connection() {
    let (client, _peer) = pair(|settings| settings.max_timeouts(3));
    for _ in 0..2 {
        time_out(&client).await;
        assert!(client.is_open());
    }
    time_out(&client).await;
    assert!(!client.is_open());
    let lost = client.closed().await;
    assert!(
        matches!(
            lost,
            Disconnected::Sick {
                timed_out: 3,
                abandoned: 3,
                ..
            }
        ),
        "{lost}"
    );
    let error = client.call(Bytes::from("more")).await.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::Disconnected {
                cause: Disconnected::Sick { .. },
                sent: Sent::No,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn any_reply_ends_a_row_of_time_outs() {
    let (client, mut peer) = pair(|settings| settings.max_timeouts(3));
    for _ in 0..10 {
        for _ in 0..2 {
            time_out(&client).await;
        }
        let first = peer.request().await;
        let second = peer.request().await;
        peer.reply(first.tag, "late").await;
        peer.reply(second.tag, "late").await;
        rest().await;
    }
    assert!(client.is_open());
}

/// A call that waits for its turn longer than it may says nothing about the peer.
#[tokio::test(start_paused = true)]
async fn calls_that_time_out_in_the_queue_do_not_count() {
    let (client, mut peer) = pair(|settings| settings.max_in_flight(1).max_timeouts(1));
    let mut slow = client.call(Bytes::from("slow"));
    assert!(poll!(&mut slow).is_pending());
    for _ in 0..5 {
        assert_eq!(time_out(&client).await.sent(), Sent::No);
    }
    assert!(client.is_open());
    let request = peer.request().await;
    peer.reply(request.tag, request.message).await;
    assert_eq!(slow.await.unwrap(), "slow");
}

#[tokio::test(start_paused = true)]
async fn too_many_tags_in_quarantine_end_the_connection() {
    let (client, _peer) = pair(|settings| settings.max_in_flight(8).max_abandoned(3));
    for left in 1..=3 {
        assert!(client.is_open());
        let mut call = client.call(Bytes::from("left"));
        assert!(poll!(&mut call).is_pending());
        drop(call);
        assert_eq!(client.abandoned(), left);
    }
    assert!(!client.is_open());
    let lost = client.closed().await;
    assert!(
        matches!(
            lost,
            Disconnected::Sick {
                timed_out: 0,
                abandoned: 3,
                ..
            }
        ),
        "{lost}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_sick_connection_finishes_what_is_pending_and_refuses_what_waits() {
    let (client, mut peer) =
        pair(|settings| settings.max_in_flight(2).max_abandoned(2).max_timeouts(1));
    let mut pending = client.call(Bytes::from("pending"));
    let mut quits = client.call(Bytes::from("quits")).timeout(ms(10));
    let mut queued = client.call(Bytes::from("queued"));
    assert!(poll!(&mut pending).is_pending());
    assert!(poll!(&mut quits).is_pending());
    assert!(poll!(&mut queued).is_pending());
    assert!(matches!(quits.await, Err(CallError::TimedOut { .. })));
    assert!(!client.is_open());
    let error = queued.await.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::Disconnected {
                cause: Disconnected::Sick { .. },
                sent: Sent::No,
                ..
            }
        ),
        "{error}"
    );
    assert!(poll!(&mut pending).is_pending());
    let request = peer.request().await;
    peer.reply(request.tag, request.message).await;
    assert_eq!(pending.await.unwrap(), "pending");
    assert!(matches!(client.closed().await, Disconnected::Sick { .. }));
}

/// At the end of the drain the reason is still the one it began with.
#[tokio::test(start_paused = true)]
async fn a_sick_connection_whose_pending_calls_never_end_closes_after_the_drain_time_out() {
    let (client, _peer) = pair(|settings| {
        settings
            .max_timeouts(1)
            .call_timeout(None)
            .drain_timeout(secs(2))
    });
    let mut stuck = client.call(Bytes::from("stuck"));
    assert!(poll!(&mut stuck).is_pending());
    time_out(&client).await;
    let error = stuck.await.unwrap_err();
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
}

/// No timer wakes the driver here but the drain's own.
#[tokio::test(start_paused = true)]
async fn when_the_last_caller_of_a_sick_connection_leaves_it_closes_at_once() {
    let (client, _peer) = pair(|settings| {
        settings
            .max_timeouts(1)
            .call_timeout(None)
            .drain_timeout(secs(1_000))
    });
    let began = tokio::time::Instant::now();
    let mut last = client.call(Bytes::from("last"));
    assert!(poll!(&mut last).is_pending());
    time_out(&client).await;
    rest().await;
    drop(last);
    assert!(matches!(client.closed().await, Disconnected::Sick { .. }));
    assert!(began.elapsed() < secs(1));
}
