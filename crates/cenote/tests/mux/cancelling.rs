//! Calls dropped at every point: nobody ever reads another's reply, and nothing stays taken.
//!
//! redis-py #2624/#2665 (the reply to a call that was cancelled was read by the next user), deadpool #97,
//! Go CVE-2025-47907, Jedis #186.

use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use cenote::mux::{Call, Mux, MuxBuilder};
use futures::poll;
use tokio::task::{JoinSet, yield_now};

use crate::peer::{load, orderly, pair, rest, think, think_in_order};

const CAP: usize = 3;

fn patient(settings: MuxBuilder<Bytes>) -> MuxBuilder<Bytes> {
    settings.max_in_flight(CAP).max_abandoned(usize::MAX)
}

/// A message that no other call has.
fn question(polls: usize, crowd: usize, caller: usize) -> Bytes {
    Bytes::from(format!("{polls}/{crowd}/{caller}"))
}

type Quitter<'a, R> = (Bytes, Pin<Box<Call<'a, Bytes, R>>>);

/// Polls all once; those that have their reply go. How many did.
async fn poll_all<R: AsRef<[u8]>>(calls: &mut Vec<Quitter<'_, R>>) -> usize {
    let before = calls.len();
    let mut pending = Vec::new();
    for (asked, mut call) in calls.drain(..) {
        match poll!(&mut call) {
            Poll::Ready(reply) => assert_eq!(reply.unwrap().as_ref(), asked),
            Poll::Pending => pending.push((asked, call)),
        }
    }
    *calls = pending;
    before - calls.len()
}

/// Calls are dropped after every number of polls, alone and beside those who stay.
async fn sweep<R: AsRef<[u8]> + Send + 'static>(client: Mux<Bytes, R>) {
    let (mut answered, mut dropped) = (0, 0);
    for polls in 0..16 {
        for crowd in [0, CAP, 4 * CAP] {
            let mut neighbours = JoinSet::new();
            for caller in 0..crowd {
                let asked = question(polls, crowd, caller);
                let call = client.call(asked.clone()).into_owned();
                neighbours.spawn(async move { (asked, call.await) });
            }
            let mut calls: Vec<_> = (crowd..crowd + 2 * CAP)
                .map(|caller| question(polls, crowd, caller))
                .map(|asked| (asked.clone(), Box::pin(client.call(asked))))
                .collect();
            for _ in 0..polls {
                answered += poll_all(&mut calls).await;
                yield_now().await;
            }
            dropped += calls.len();
            drop(calls);
            while let Some(neighbour) = neighbours.join_next().await {
                let (asked, reply) = neighbour.unwrap();
                assert_eq!(reply.unwrap().as_ref(), asked);
            }
            rest().await;
            assert_eq!(load(&client), (0, 0, 0), "{polls} polls, {crowd} others");
        }
    }
    assert!(answered > 0 && dropped > 0, "{answered} and {dropped}");
}

#[tokio::test(start_paused = true)]
async fn whenever_tagged_calls_are_dropped_each_reply_reaches_its_own_or_nobody() {
    let (client, peer) = pair(patient);
    tokio::spawn(think(peer));
    sweep(client).await;
}

#[tokio::test(start_paused = true)]
async fn whenever_calls_in_order_are_dropped_each_reply_reaches_its_own_or_nobody() {
    let (client, peer) = orderly(patient);
    tokio::spawn(think_in_order(peer));
    sweep(client).await;
}

/// Two threads: drops race with replies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_dropped_while_their_replies_come_never_mix_them_up() {
    let (client, peer) = pair(patient);
    tokio::spawn(think(peer));
    let mut callers = JoinSet::new();
    for caller in 0..20 {
        let client = client.clone();
        callers.spawn(async move {
            for turn in 0..200 {
                let asked = question(turn, 0, caller);
                let mut calls = vec![(asked.clone(), Box::pin(client.call(asked)))];
                for _ in 0..(turn * 7 + caller) % 12 {
                    poll_all(&mut calls).await;
                    yield_now().await;
                }
            }
        });
    }
    while let Some(done) = callers.join_next().await {
        done.unwrap();
    }
    // The server answers until all have.
    while load(&client) != (0, 0, 0) {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_unpolled_never_was() {
    let (client, _peer) = pair(patient);
    drop(client.call(Bytes::from("never")));
    assert_eq!(load(&client), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_queued_call_that_is_dropped_leaves_the_queue() {
    let (client, mut peer) = pair(|settings| patient(settings).max_in_flight(1));
    let mut first = client.call(Bytes::from("first"));
    let mut queued = client.call(Bytes::from("queued"));
    let mut last = client.call(Bytes::from("last"));
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut queued).is_pending());
    assert!(poll!(&mut last).is_pending());
    drop(queued);
    assert_eq!(load(&client), (1, 0, 1));
    tokio::spawn(async move {
        let request = peer.request().await;
        peer.reply(request.tag, request.message).await;
        peer.echo().await;
    });
    assert_eq!(first.await.unwrap(), "first");
    assert_eq!(last.await.unwrap(), "last");
}

/// sqlx #622: who was woken and leaves passes its wake on.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_when_its_turn_has_come_passes_it_on() {
    let (client, peer) = pair(|settings| patient(settings).max_in_flight(1));
    tokio::spawn(peer.echo());
    let mut first = client.call(Bytes::from("first"));
    let mut granted = client.call(Bytes::from("granted"));
    let mut last = client.call(Bytes::from("last"));
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut granted).is_pending());
    assert!(poll!(&mut last).is_pending());
    assert_eq!(first.await.unwrap(), "first");
    assert_eq!(load(&client), (1, 0, 1));
    drop(granted);
    assert_eq!(load(&client), (1, 0, 0));
    assert_eq!(last.await.unwrap(), "last");
    assert_eq!(load(&client), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_beside_its_reply_frees_its_tag_at_once() {
    let (client, mut peer) = pair(patient);
    let mut call = client.call(Bytes::from("asked"));
    assert!(poll!(&mut call).is_pending());
    let request = peer.request().await;
    peer.reply(request.tag, "answered").await;
    rest().await;
    assert_eq!(load(&client), (1, 0, 0));
    drop(call);
    assert_eq!(load(&client), (0, 0, 0));
}

/// tower peak-EWMA counts a cancellation as an answer; here it is none, and its late reply is the peer's.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_after_its_request_keeps_its_tag_until_the_reply() {
    let (client, mut peer) = pair(|settings| patient(settings).max_in_flight(1));
    let mut call = client.call(Bytes::from("left"));
    assert!(poll!(&mut call).is_pending());
    drop(call);
    assert_eq!(load(&client), (1, 1, 0));
    let mut next = client.call(Bytes::from("next"));
    assert!(poll!(&mut next).is_pending());
    assert_eq!(load(&client), (1, 1, 1));
    let left = peer.request().await;
    peer.reply(left.tag, left.message).await;
    tokio::spawn(peer.echo());
    assert_eq!(next.await.unwrap(), "next");
}

/// The same future, begun on one task and finished on another.
#[tokio::test(start_paused = true)]
async fn a_call_that_moves_to_another_task_is_woken_there() {
    let (client, mut peer) = pair(patient);
    let mut call = client.call(Bytes::from("moved"));
    assert!(poll!(&mut call).is_pending());
    let call = call.into_owned();
    let moved = tokio::spawn(call);
    rest().await;
    let request = peer.request().await;
    peer.reply(request.tag, request.message).await;
    assert_eq!(moved.await.unwrap().unwrap(), "moved");
}
