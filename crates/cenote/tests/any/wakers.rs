//! Waiters whose wakers panic, or do as they like when they are cloned: that is their own affair, and neither the code
//! that wakes them nor anybody beside them suffers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Wake, Waker};

use cenote::shared::SharedGet;
use cenote::{GetError, Lease, SharedLease, SharedPool};
use futures::poll;

use crate::odd_wakers::{Woken, on_clone, panicking, poll_by, without_deadlock};
use crate::server::{Act, Server, ms, pass, secs};

/// One connection, which carries four leases, all of them taken.
async fn full(server: &Server) -> (SharedPool<Server>, Vec<SharedLease<Server>>) {
    let builder = server.shared().max_size(1).acquire_timeout(None);
    let pool = builder.build().unwrap();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(pool.get().await.unwrap());
    }
    (pool, held)
}

/// Two waiters: the waker of the first panics, that of the other counts.
fn one_panics<'a>(pool: &'a SharedPool<Server>, woken: &Woken) -> [SharedGet<'a, Server>; 2] {
    let mut gets = [pool.get(), pool.get()];
    assert!(poll_by(&panicking(), &mut gets[0]).is_pending());
    assert!(poll_by(&woken.waker(), &mut gets[1]).is_pending());
    gets
}

#[tokio::test(start_paused = true)]
async fn a_caller_beside_one_whose_waker_panics_is_served_by_the_first_connection() {
    let server = Server::default();
    let builder = server.shared().max_size(1).acquire_timeout(None);
    let pool = builder.build().unwrap();
    let woken = Woken::default();
    let gets = one_panics(&pool, &woken);
    pass(secs(1)).await;
    assert_eq!(woken.times(), 1);
    for get in gets {
        drop(get.await.unwrap());
    }
    assert_eq!(server.connected(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_beside_one_whose_waker_panics_is_told_the_connect_error() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Fail);
    let builder = server.shared().max_size(1).acquire_timeout(None);
    let pool = builder.build().unwrap();
    let woken = Woken::default();
    let gets = one_panics(&pool, &woken);
    pass(secs(10)).await;
    assert_eq!(woken.times(), 1);
    for get in gets {
        get.await.unwrap_err();
    }
}

#[tokio::test(start_paused = true)]
async fn a_shared_lease_is_dropped_without_a_panic_though_a_waker_panics() {
    let server = Server::default();
    let (pool, mut held) = full(&server).await;
    let woken = Woken::default();
    let gets = one_panics(&pool, &woken);
    for _ in 0..2 {
        let lease = held.pop().unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| drop(lease))).is_ok());
    }
    assert_eq!(woken.times(), 1);
    for get in gets {
        drop(get.await.unwrap());
    }
}

/// A second panic would be the end of the process.
#[tokio::test(start_paused = true)]
async fn a_shared_lease_dropped_in_unwinding_serves_one_whose_waker_panics() {
    let server = Server::default();
    let (pool, mut held) = full(&server).await;
    let mut get = pool.get();
    assert!(poll_by(&panicking(), &mut get).is_pending());
    let lease = held.pop().unwrap();
    let unwinds = std::thread::spawn(move || {
        let _lease = lease;
        panic!("told to");
    });
    assert!(unwinds.join().is_err());
    drop(get.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_close_of_a_shared_pool_is_told_to_all_though_a_waker_panics() {
    let server = Server::default();
    let (pool, held) = full(&server).await;
    let woken = Woken::default();
    let gets = one_panics(&pool, &woken);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(pool.close()))).is_ok());
    assert_eq!(woken.times(), 1);
    for get in gets {
        get.await.unwrap_err();
    }
    drop(held);
}

/// The end of the last lease wakes the tasks that wait for the pool's: a panic of one's waker does not come out there,
/// and the others are woken too.
#[tokio::test(start_paused = true)]
async fn a_lease_is_discarded_without_a_panic_beside_a_close_whose_waker_panics() {
    let server = Server::default();
    let pool = server.pool(1);
    let lease = pool.get().await.unwrap();
    let woken = Woken::default();
    let mut closes = [pool.close(), pool.close()];
    assert!(poll_by(&panicking(), &mut closes[0]).is_pending());
    assert!(poll_by(&woken.waker(), &mut closes[1]).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| Lease::discard(lease))).is_ok());
    assert!(woken.times() > 0);
    for close in closes {
        assert_eq!(close.await.abandoned, 0);
    }
}

/// A second panic would be the end of the process.
#[tokio::test(start_paused = true)]
async fn a_lease_is_dropped_in_unwinding_beside_a_close_whose_waker_panics() {
    let server = Server::default();
    let pool = server.pool(1);
    let lease = pool.get_owned().await.unwrap();
    let mut close = pool.close();
    assert!(poll_by(&panicking(), &mut close).is_pending());
    let unwinds = std::thread::spawn(move || {
        let _lease = lease;
        panic!("told to");
    });
    assert!(unwinds.join().is_err());
    assert_eq!(close.await.abandoned, 0);
}

/// Under a lock of the pool this would wait for itself for ever.
#[test]
fn a_waker_whose_clone_looks_at_the_shared_pool_is_cloned_under_no_lock() {
    without_deadlock(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let server = Server::default();
            let (pool, mut held) = full(&server).await;
            let clones = Arc::new(AtomicUsize::new(0));
            let (looked_at, counts) = (pool.clone(), clones.clone());
            let waker = on_clone(move || {
                assert!(looked_at.load() <= 6);
                assert!(looked_at.try_get().is_err());
                counts.fetch_add(1, SeqCst);
            });
            let mut get = pool.get();
            assert!(poll_by(&waker, &mut get).is_pending());
            let first = clones.load(SeqCst);
            assert!(first > 0);
            // Another waker has its place, and it comes back.
            assert!(poll_by(Waker::noop(), &mut get).is_pending());
            assert!(poll_by(&waker, &mut get).is_pending());
            assert!(clones.load(SeqCst) > first);
            held.pop();
            drop(get.await.unwrap());
        });
    });
}

/// The runtime that looked after the pool ends, and all waiters are woken to see to the next: none of their wakers is
/// cloned under a lock.
#[test]
fn a_runtime_that_ends_wakes_waiters_on_others_whatever_their_wakers_do() {
    without_deadlock(|| {
        let server = Server::default();
        let builder = server.shared().max_size(1).acquire_timeout(None);
        let pool = builder.build().unwrap();
        let runtime = || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_all().build().unwrap()
        };
        let first = runtime();
        let held: Vec<_> = first.block_on(async {
            let mut held = Vec::new();
            for _ in 0..4 {
                held.push(pool.get().await.unwrap());
            }
            held
        });
        let looked_at = pool.clone();
        let looks = on_clone(move || assert!(looked_at.load() <= 8));
        let woken = Woken::default();
        let mut gets = [pool.get(), pool.get(), pool.get()];
        assert!(poll_by(&looks, &mut gets[0]).is_pending());
        assert!(poll_by(&panicking(), &mut gets[1]).is_pending());
        assert!(poll_by(&woken.waker(), &mut gets[2]).is_pending());
        drop(first);
        assert!(woken.times() > 0);
        drop(held);
        runtime().block_on(async {
            for get in gets {
                drop(get.await.unwrap());
            }
        });
    });
}

/// A waker whose clone panics costs its own poll: not a place, not a turn.
#[tokio::test(start_paused = true)]
async fn a_waker_whose_clone_panics_costs_its_caller_one_poll() {
    let server = Server::default();
    let (pool, mut held) = full(&server).await;
    let panics = on_clone(|| panic!("the clone"));
    let mut newcomer = pool.get();
    let mut waits = pool.get();
    assert!(poll!(&mut waits).is_pending());
    for get in [&mut newcomer, &mut waits] {
        let polled = catch_unwind(AssertUnwindSafe(|| poll_by(&panics, get).is_ready()));
        assert!(polled.is_err());
    }
    assert_eq!(pool.status().waiters, 1);
    held.pop();
    let served = waits.await.unwrap();
    drop(served);
    drop(newcomer.await.unwrap());
}

/// A pool of leases one at a time: the same.
#[tokio::test(start_paused = true)]
async fn a_waker_whose_clone_looks_at_an_exclusive_pool_is_cloned_under_no_lock() {
    let server = Server::default();
    let pool = server.pool(1);
    let held = pool.get().await.unwrap();
    let looked_at = pool.clone();
    let waker = on_clone(move || {
        let _ = looked_at.try_get();
        looked_at.status();
    });
    let mut get = Box::pin(pool.get());
    assert!(poll_by(&waker, &mut get).is_pending());
    assert!(poll_by(Waker::noop(), &mut get).is_pending());
    assert!(poll_by(&waker, &mut get).is_pending());
    drop(held);
    drop(get.await.unwrap());
}

/// All timers of a process are woken on one thread: what ended it would end every time-out there is.
#[test]
fn a_waker_that_panics_when_its_time_is_over_ends_nobody_else_s_time_out() {
    let outcome = without_deadlock(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(async {
            let server = Server::default();
            let pool = server.pool(1);
            let _held = pool.get().await.unwrap();
            let (panics, woken) = (Panics::default(), Woken::default());
            let mut gets = [ms(1), ms(5)].map(|limit| pool.get().timeout(limit));
            assert!(poll_by(&panics.waker(), &mut gets[0]).is_pending());
            assert!(poll_by(&woken.waker(), &mut gets[1]).is_pending());
            while panics.times() == 0 || woken.times() == 0 {
                tokio::task::yield_now().await;
            }
            pool.get().timeout(ms(5)).await.map(drop)
        })
    });
    assert!(matches!(outcome, Err(GetError::TimedOut(_))), "{outcome:?}");
}

/// Counts how often it panicked when it was woken.
#[derive(Clone, Default)]
struct Panics(Woken);

impl Panics {
    fn times(&self) -> usize {
        self.0.times()
    }

    fn waker(&self) -> Waker {
        struct Then(Waker);
        impl Wake for Then {
            fn wake(self: Arc<Self>) {
                self.0.wake_by_ref();
                panic!("the waker");
            }
        }
        Waker::from(Arc::new(Then(self.0.waker())))
    }
}
