//! Callers whose wakers panic, or are cloned by code that does: it is their own affair, and nobody else's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use bytes::{BufMut, Bytes, BytesMut};
use cenote::mux::{CallError, Disconnected};
use futures::{SinkExt, StreamExt, poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::odd_wakers::{Woken, on_clone, panicking, poll_by, without_deadlock};
use crate::peer::{BUFFER, Client, load, ms, pair, raw, rest, secs};

/// The replies to three requests, which come in one read: the first caller's waker panics, the others are woken. It
/// has its own reply all the same, when it looks.
#[tokio::test(start_paused = true)]
async fn a_caller_whose_waker_panics_keeps_nobody_from_the_replies_that_came_with_its_own() {
    let (client, mut peer) = pair(|settings| settings);
    let mut calls: Vec<_> = (0..3).map(|_| client.call(Bytes::from("asked"))).collect();
    let woken = Woken::default();
    assert!(poll_by(&panicking(), &mut calls[0]).is_pending());
    for call in &mut calls[1..] {
        assert!(poll_by(&woken.waker(), call).is_pending());
    }
    let mut replies = BytesMut::new();
    for _ in 0..3 {
        let tag = peer.request().await.tag.unwrap();
        replies.put_u32(5);
        replies.put_u32(tag);
        replies.put_slice(b"reply");
    }
    peer.0.get_mut().write_all(&replies).await.unwrap();
    rest().await;
    assert_eq!(woken.times(), 2);
    for call in calls {
        assert_eq!(call.await.unwrap(), "reply");
    }
    assert!(client.is_open());
}

/// And where replies come in order.
#[tokio::test(start_paused = true)]
async fn in_order_too_a_waker_that_panics_keeps_nobody_from_a_reply() {
    let (client, mut peer) = crate::peer::orderly(|settings| settings);
    let mut calls: Vec<_> = (0..3).map(|_| client.call(Bytes::from("asked"))).collect();
    let woken = Woken::default();
    for (n, call) in calls.iter_mut().enumerate() {
        let waker = if n == 1 { panicking() } else { woken.waker() };
        assert!(poll_by(&waker, call).is_pending());
    }
    for _ in 0..3 {
        let request = peer.next().await.unwrap().unwrap();
        peer.feed(request.freeze()).await.unwrap();
    }
    SinkExt::<Bytes>::flush(&mut peer).await.unwrap();
    rest().await;
    assert_eq!(woken.times(), 2);
    for call in calls {
        assert_eq!(call.await.unwrap()[..], *b"asked");
    }
}

/// Two calls, of which the first is polled by a waker that panics and the other by one that counts.
fn one_panics(client: &Client, woken: &Woken) -> [cenote::mux::Call<'static, Bytes, Bytes>; 2] {
    let mut calls = [(); 2].map(|()| client.call(Bytes::from("asked")).into_owned());
    assert!(poll_by(&panicking(), &mut calls[0]).is_pending());
    assert!(poll_by(&woken.waker(), &mut calls[1]).is_pending());
    calls
}

#[tokio::test(start_paused = true)]
async fn calls_beside_one_whose_waker_panics_time_out() {
    let (client, _peer) = pair(|settings| settings.call_timeout(ms(80)));
    let woken = Woken::default();
    let calls = one_panics(&client, &woken);
    sleep(ms(100)).await;
    assert!(woken.times() > 0);
    for call in calls {
        let error = call.await.unwrap_err();
        assert!(matches!(error, CallError::TimedOut { .. }), "{error}");
    }
}

/// The call that waits for a turn is woken like any other.
#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_a_turn_beside_one_whose_waker_panics_time_out() {
    let (client, _peer) = pair(|settings| settings.call_timeout(ms(80)).max_in_flight(1));
    let mut holder = client.call(Bytes::from("holder")).timeout(secs(9));
    assert!(poll!(&mut holder).is_pending());
    let woken = Woken::default();
    let calls = one_panics(&client, &woken);
    assert_eq!(client.queued(), 2);
    sleep(ms(100)).await;
    assert!(woken.times() > 0);
    for call in calls {
        let error = call.await.unwrap_err();
        assert!(matches!(error, CallError::TimedOut { .. }), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_is_told_to_all_though_a_waker_panics() {
    for cap in [1, 2] {
        let (client, peer) = pair(|settings| settings.max_in_flight(cap));
        let woken = Woken::default();
        let calls = one_panics(&client, &woken);
        drop(peer);
        rest().await;
        assert_eq!(woken.times(), 1);
        assert!(matches!(client.closed().await, Disconnected::PeerClosed));
        for call in calls {
            let error = call.await.unwrap_err();
            assert!(
                matches!(
                    error,
                    CallError::Disconnected {
                        cause: Disconnected::PeerClosed,
                        ..
                    }
                ),
                "{error}"
            );
        }
    }
}

/// Calls that wait for a turn are refused when the peer is found sick, by a caller that is none of them.
#[tokio::test(start_paused = true)]
async fn a_caller_that_finds_the_peer_sick_tells_all_that_wait_though_a_waker_panics() {
    let (client, _peer) = pair(|settings| settings.max_in_flight(2).max_abandoned(1));
    let mut pending = client.call(Bytes::from("pending"));
    let mut leaves = client.call(Bytes::from("leaves"));
    assert!(poll!(&mut pending).is_pending() && poll!(&mut leaves).is_pending());
    let woken = Woken::default();
    let [_panics, _other] = one_panics(&client, &woken);
    assert_eq!(client.queued(), 2);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(leaves))).is_ok());
    assert!(!client.is_open());
    assert_eq!(woken.times(), 1);
}

/// Dropped while its holder unwinds, a second panic would be the end of the process.
#[tokio::test(start_paused = true)]
async fn a_call_dropped_in_unwinding_passes_its_turn_to_one_whose_waker_panics() {
    let (client, mut peer) = pair(|settings| settings.max_in_flight(1));
    let mut first = client.call(Bytes::from("first"));
    let mut next = client.call(Bytes::from("next"));
    assert!(poll!(&mut first).is_pending());
    assert!(poll_by(&panicking(), &mut next).is_pending());
    let request = peer.request().await;
    peer.reply(request.tag, request.message).await;
    rest().await;
    let first = first.into_owned();
    let unwinds = std::thread::spawn(move || {
        let _first = first;
        panic!("told to");
    });
    assert!(unwinds.join().is_err());
    tokio::spawn(peer.echo());
    assert_eq!(next.await.unwrap(), "next");
}

/// The turn that was its own is not lost.
#[tokio::test(start_paused = true)]
async fn a_call_whose_waker_panics_as_it_is_cloned_passes_its_turn_on() {
    let (client, mut peer) = pair(|settings| settings.max_in_flight(1));
    let mut first = client.call(Bytes::from("first"));
    let mut queued = client.call(Bytes::from("queued"));
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut queued).is_pending());
    let request = peer.request().await;
    peer.reply(request.tag, request.message).await;
    first.await.unwrap();
    let waker = on_clone(|| panic!("told to"));
    let polled = catch_unwind(AssertUnwindSafe(|| poll_by(&waker, &mut queued)));
    assert!(polled.is_err());
    drop(queued);
    tokio::spawn(peer.echo());
    assert_eq!(client.call(Bytes::from("next")).await.unwrap(), "next");
}

#[tokio::test(start_paused = true)]
async fn all_callers_that_wait_for_the_end_are_told_though_a_waker_panics() {
    let (client, peer) = pair(|settings| settings);
    let woken = Woken::default();
    let mut ends = [(); 3].map(|()| Box::pin(client.closed()));
    for (n, end) in ends.iter_mut().enumerate() {
        let waker = if n == 0 { panicking() } else { woken.waker() };
        assert!(poll_by(&waker, end).is_pending());
    }
    drop(peer);
    rest().await;
    assert_eq!(woken.times(), 2);
    for end in ends {
        assert!(matches!(end.await, Disconnected::PeerClosed));
    }
}

#[tokio::test(start_paused = true)]
async fn all_senders_that_wait_for_room_are_told_though_a_waker_panics() {
    let (client, mut far) = raw(|settings| settings.max_buffered(1));
    // The line is full, and so is what waits for it.
    client.send(Bytes::from(vec![0; 2 * BUFFER])).await.unwrap();
    client.send(Bytes::from("fills")).await.unwrap();
    let woken = Woken::default();
    let mut sends = [(); 3].map(|()| Box::pin(client.send(Bytes::from("waits"))));
    for (n, send) in sends.iter_mut().enumerate() {
        let waker = if n == 0 { panicking() } else { woken.waker() };
        assert!(poll_by(&waker, send).is_pending());
    }
    tokio::spawn(async move { while far.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {} });
    rest().await;
    assert_eq!(woken.times(), 2);
    for send in sends {
        send.await.unwrap();
    }
}

/// A caller that writes itself and finds no room leaves the driver's waker in the line, never its own: that would be
/// woken by whatever makes room.
#[tokio::test(start_paused = true)]
async fn making_room_in_the_line_wakes_no_caller() {
    let (client, mut far) = raw(|settings| settings);
    rest().await;
    let big = Bytes::from(vec![0; 2 * BUFFER]);
    let mut call = client.call(big);
    let woken = Woken::default();
    assert!(poll_by(&woken.waker(), &mut call).is_pending());
    // Nobody but this task has run since.
    far.read_exact(&mut vec![0; BUFFER]).await.unwrap();
    assert_eq!(woken.times(), 0);
    far.read_exact(&mut vec![0; BUFFER + 8]).await.unwrap();
}

/// Under a lock of the mux this would wait for itself for ever.
#[test]
fn a_waker_whose_clone_looks_at_the_mux_and_calls_through_it_is_cloned_under_no_lock() {
    without_deadlock(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (client, mut peer) = pair(|settings| settings.max_in_flight(2));
            rest().await;
            let looked = Arc::new(AtomicBool::new(false));
            let looks = {
                let (client, looked) = (client.clone(), looked.clone());
                move || {
                    assert!(client.load() < 100);
                    let mut call = client.call(Bytes::from("by the waker"));
                    let _ = poll_by(Waker::noop(), &mut call);
                    std::mem::forget(call);
                    looked.store(true, SeqCst);
                }
            };
            let looked_since = || looked.swap(false, SeqCst);
            let waker = on_clone(looks);
            // The first has a tag, ...
            let mut first = client.call(Bytes::from("first"));
            assert!(poll_by(&waker, &mut first).is_pending());
            assert!(looked_since());
            // ... is polled by another, ...
            assert!(poll_by(Waker::noop(), &mut first).is_pending());
            assert!(poll_by(&waker, &mut first).is_pending());
            assert!(looked_since());
            // ... and the next have none: a call and a permit.
            let mut queued = client.call(Bytes::from("queued"));
            let mut permit = client.reserve();
            assert!(poll_by(&waker, &mut queued).is_pending());
            assert!(looked_since());
            assert!(poll_by(Waker::noop(), &mut queued).is_pending());
            assert!(poll_by(&waker, &mut queued).is_pending());
            assert!(looked_since());
            assert!(poll_by(&waker, &mut permit).is_pending());
            assert!(looked_since());
            let mut closed = Box::pin(client.closed());
            assert!(poll_by(&waker, &mut closed).is_pending());
            assert!(looked_since());
            assert_eq!(peer.request().await.message.len(), 12);
        });
    });
}

/// Nor does the time that is over clone it: overdue calls are woken, and leave another waker when they look.
#[test]
fn a_waker_whose_clone_looks_at_the_mux_is_not_cloned_when_time_is_over() {
    without_deadlock(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (client, _peer) = pair(|settings| settings.call_timeout(ms(80)).max_in_flight(1));
            let own = OnceLock::new();
            let (other, own) = (client.clone(), Arc::new(own));
            let cloned = own.clone();
            let waker = on_clone(move || {
                other.load();
                let _ = cloned.set(());
            });
            let mut pending = client.call(Bytes::from("pending"));
            let mut queued = client.call(Bytes::from("queued"));
            assert!(poll_by(&waker, &mut pending).is_pending());
            assert!(poll_by(&waker, &mut queued).is_pending());
            assert!(own.get().is_some());
            sleep(ms(100)).await;
            assert!(matches!(pending.await, Err(CallError::TimedOut { .. })));
            assert!(matches!(queued.await, Err(CallError::TimedOut { .. })));
        });
    });
}

/// A waker whose clone panics costs its own poll, and neither a tag nor the connection.
#[tokio::test(start_paused = true)]
async fn a_waker_whose_clone_panics_costs_its_caller_one_poll() {
    let (client, peer) = pair(|settings| settings.max_in_flight(1));
    tokio::spawn(peer.echo());
    rest().await;
    let panics = on_clone(|| panic!("the clone"));
    let mut call = client.call(Bytes::from("asked"));
    for _ in 0..3 {
        let polled = catch_unwind(AssertUnwindSafe(|| poll_by(&panics, &mut call).is_ready()));
        assert!(polled.is_err());
    }
    assert_eq!(load(&client), (0, 0, 0));
    assert_eq!(call.await.unwrap(), "asked");
    // Pending, and then queued behind it.
    let mut pending = client.call(Bytes::from("pending"));
    let mut queued = client.call(Bytes::from("queued"));
    for call in [&mut pending, &mut queued] {
        assert!(poll!(&mut *call).is_pending());
        let polled = catch_unwind(AssertUnwindSafe(|| poll_by(&panics, call).is_ready()));
        assert!(polled.is_err());
    }
    assert_eq!(pending.await.unwrap(), "pending");
    assert_eq!(queued.await.unwrap(), "queued");
    assert!(client.is_open());
}
