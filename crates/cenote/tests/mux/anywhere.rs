//! Calls and handles where there is no runtime, another one, or one that has ended; callers that panic and
//! calls that are forgotten.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;

use bytes::Bytes;
use cenote::mux::{Call, CallError, Disconnected};
use futures::executor;
use futures::poll;
use tokio::runtime::{Builder, Runtime};

use crate::peer::{Client, load, ms, pair, rest, secs};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// One that runs by itself.
fn background() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn a_call_can_be_made_without_a_runtime() {
    let server = background();
    let client = server.block_on(async {
        let (client, peer) = pair(|settings| settings);
        tokio::spawn(peer.echo());
        client
    });
    let call = client.call(Bytes::from("asks"));
    assert_eq!(executor::block_on(call).unwrap(), "asks");
    let call = client.call(Bytes::from("own time")).timeout(secs(60));
    assert_eq!(executor::block_on(call).unwrap(), "own time");
    executor::block_on(client.send(Bytes::from("sent"))).unwrap();
    executor::block_on(client.close());
}

#[test]
fn a_call_without_a_runtime_times_out() {
    let server = background();
    let (client, _peer) = server.block_on(async { pair(|settings| settings) });
    let call = client.call(Bytes::from("slow")).timeout(ms(5));
    let error = executor::block_on(call).unwrap_err();
    assert!(matches!(error, CallError::TimedOut { .. }), "{error}");
}

/// sqlx #1389, tokio #3963: a drop that spawns panics without a runtime.
#[test]
fn calls_and_handles_can_be_dropped_without_a_runtime() {
    let server = runtime();
    let (client, peer) = server.block_on(async { pair(|settings| settings.max_in_flight(1)) });
    let (pending, queued) = server.block_on(async {
        let mut pending = client.call(Bytes::from("pending")).into_owned();
        let mut queued = client.call(Bytes::from("queued")).into_owned();
        assert!(poll!(&mut pending).is_pending() && poll!(&mut queued).is_pending());
        (pending, queued)
    });
    let dropping = thread::spawn(move || {
        drop(queued);
        drop(pending);
        drop(client);
    });
    dropping.join().unwrap();
    server.block_on(async {
        let mut peer = peer;
        assert_eq!(peer.request().await.message, "pending");
        assert!(futures::StreamExt::next(&mut peer.0).await.is_none());
    });
}

/// reqwest #1148, hyper #2312: hangs across runtimes.
#[test]
fn a_call_on_another_runtime_learns_that_the_connections_is_gone() {
    let server = background();
    let (client, _peer) = server.block_on(async { pair(|settings| settings.max_in_flight(1)) });
    let other = runtime();
    other.block_on(async {
        let mut pending = client.call(Bytes::from("pending"));
        let mut queued = client.call(Bytes::from("queued"));
        assert!(poll!(&mut pending).is_pending() && poll!(&mut queued).is_pending());
        server.shutdown_background();
        for call in [pending, queued] {
            let error = call.await.unwrap_err();
            assert!(
                matches!(
                    error,
                    CallError::Disconnected {
                        cause: Disconnected::RuntimeGone,
                        ..
                    }
                ),
                "{error}"
            );
        }
        let error = client.call(Bytes::from("new")).await.unwrap_err();
        assert!(
            matches!(
                error,
                CallError::Disconnected {
                    cause: Disconnected::RuntimeGone,
                    ..
                }
            ),
            "{error}"
        );
        client.close().await;
        assert_eq!(load(&client), (0, 0, 0));
    });
}

/// While a thread unwinds, too.
#[test]
fn a_runtime_that_ends_in_a_panic_is_a_runtime_that_is_gone() {
    let (tell, told) = std::sync::mpsc::channel();
    let unwinding = thread::spawn(move || {
        let server = runtime();
        let (client, _peer) = server.block_on(async { pair(|settings| settings) });
        tell.send(client).unwrap();
        // Dropped by unwinding.
        let _server = server;
        panic!("elsewhere");
    });
    let client = told.recv().unwrap();
    unwinding.join().unwrap_err();
    let lost = executor::block_on(client.closed());
    assert!(matches!(lost, Disconnected::RuntimeGone), "{lost}");
}

#[test]
fn everything_can_be_dropped_after_the_runtime() {
    let server = runtime();
    let (client, peer) = server.block_on(async { pair(|settings| settings.max_in_flight(1)) });
    let calls = server.block_on(async {
        let mut calls = [0, 1, 2].map(|_| client.call(Bytes::from("asks")).into_owned());
        assert!(poll!(&mut calls[0]).is_pending() && poll!(&mut calls[1]).is_pending());
        calls
    });
    drop(server);
    drop(calls);
    drop(client);
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_panics_leaves_as_any_other() {
    let (client, peer) = pair(|settings| settings);
    let caller = tokio::spawn({
        let client = client.clone();
        async move {
            let mut call = client.call(Bytes::from("left"));
            assert!(poll!(&mut call).is_pending());
            panic!("the caller");
        }
    });
    caller.await.unwrap_err();
    assert_eq!(load(&client), (1, 1, 0));
    tokio::spawn(peer.echo());
    rest().await;
    assert_eq!(load(&client), (0, 0, 0));
    assert_eq!(client.call(Bytes::from("next")).await.unwrap(), "next");
}

/// It costs its tag, and is never unsound; a close does not wait for it longer than its time-out.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_forgotten_costs_its_tag() {
    let (client, peer) = pair(|settings| settings.max_in_flight(3));
    let mut pending = Box::pin(client.call(Bytes::from("forgotten")));
    assert!(poll!(&mut pending).is_pending());
    std::mem::forget(pending);
    tokio::spawn(peer.echo());
    for _ in 0..10 {
        assert_eq!(client.call(Bytes::from("next")).await.unwrap(), "next");
    }
    assert_eq!(load(&client), (1, 0, 0));
    client.close().await;
}

/// As a task's last waker takes the task with it, and what that holds.
#[test]
fn a_waker_that_is_dropped_as_its_call_leaves_may_use_the_connection() {
    struct Looks(Client);
    impl Wake for Looks {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Looks {
        fn drop(&mut self) {
            self.0.queued();
        }
    }
    let server = background();
    let (client, _peer) = server.block_on(async { pair(|settings| settings.max_in_flight(1)) });
    let begin = |call: &mut Call<'_, Bytes, Bytes>| {
        let waker = Waker::from(Arc::new(Looks(client.clone())));
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(call).poll(&mut cx).is_pending());
    };
    let (mut pending, mut queued) = (client.call(Bytes::new()), client.call(Bytes::new()));
    begin(&mut pending);
    begin(&mut queued);
    // Its place is taken by another.
    begin(&mut queued);
    begin(&mut pending);
    drop(queued);
    drop(pending);
    assert_eq!(load(&client), (1, 1, 0));
}

/// A balancer looks at it while others take tags on one thread and give them back on another.
#[test]
fn the_load_is_never_beyond_the_cap_whatever_goes_on() {
    let server = background();
    let (client, _peer) =
        server.block_on(async { pair(|settings| settings.max_in_flight(64).encoders(8)) });
    let (hand, taken) = mpsc::sync_channel(1);
    let reserves = client.clone();
    let taking = thread::spawn(move || {
        for _ in 0..20_000 {
            hand.send(executor::block_on(reserves.reserve()).unwrap())
                .unwrap();
        }
    });
    let giving = thread::spawn(move || taken.into_iter().for_each(drop));
    while !giving.is_finished() {
        assert!(client.in_flight() <= 64);
    }
    taking.join().unwrap();
    giving.join().unwrap();
    assert_eq!(client.in_flight(), 0);
}
