//! Dropping and using a pool where there is no runtime, another one, or one that has ended.

use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use cenote::report::CloseReason;
use cenote::{Connect, Dial, GetError, Lease, Multiplex, OwnedLease, Pool, Verdict};
use futures::executor;
use tokio::runtime::Runtime;

use crate::server::{Act, Server, assert_quiet, ms, pass, secs};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// sqlx #1389, tokio #3963, mysql_async #88: a drop that spawns panics without a runtime.
#[test]
fn a_lease_can_be_dropped_on_a_thread_without_a_runtime() {
    let server = Server::default();
    let pool = server.pool(1);
    let runtime = runtime();
    let lease = runtime.block_on(pool.get_owned()).unwrap();
    thread::spawn(move || drop(lease)).join().unwrap();
    assert_eq!(pool.status().idle, 1);
    // The same with a reset to be run in the background.
    let mut lease = runtime.block_on(pool.get_owned()).unwrap();
    lease.dirty = true;
    thread::spawn(move || drop(lease)).join().unwrap();
    runtime.block_on(async { drop(pool.get().await.unwrap()) });
    assert_eq!(pool.counters().resets, 1);
}

/// Until the next keeper has looked, the pool's clock stands still.
#[test]
fn a_lease_taken_as_another_runtime_takes_over_begins_now() {
    let server = Server::default();
    let pool = server.pool(1);
    runtime().block_on(async { drop(pool.get().await.unwrap()) });
    runtime().block_on(async {
        let lease = pool.get().await.unwrap();
        assert!(Lease::info(&lease).idle_for < secs(3_600));
    });
}

#[test]
fn a_lease_and_its_pool_can_be_dropped_after_their_runtime() {
    let server = Server::default();
    let runtime = runtime();
    let pool = server.pool(2);
    let clean = runtime.block_on(pool.get_owned()).unwrap();
    let mut dirty = runtime.block_on(pool.get_owned()).unwrap();
    drop(runtime);
    dirty.dirty = true;
    drop(dirty);
    drop(clean);
    assert_quiet(&pool);
    drop(pool);
    assert_eq!(server.open(), 0);
}

/// hyper #2312, reqwest #1148: a pool shared across runtimes hangs.
#[test]
fn a_pool_serves_the_next_runtime_after_the_one_it_began_on_has_ended() {
    let server = Server::default();
    let pool = server.builder().max_size(1).min_idle(1).build().unwrap();
    for _ in 0..3 {
        let runtime = runtime();
        runtime.block_on(async { drop(pool.get().timeout(secs(60)).await.unwrap()) });
    }
    assert_quiet(&pool);
}

/// The dial and upkeep die with their runtime while somebody on another one waits for them.
#[test]
fn a_waiter_on_another_runtime_survives_the_end_of_the_one_that_dials() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Never);
    let pool = server
        .builder()
        .max_size(1)
        .acquire_timeout(secs(60))
        .build()
        .unwrap();
    let first = runtime();
    first.block_on(async {
        let mut get = Box::pin(pool.get());
        assert!(futures::poll!(&mut get).is_pending());
        tokio::task::yield_now().await;
    });
    let waiter = {
        let pool = pool.clone();
        thread::spawn(move || runtime().block_on(async { pool.get_owned().await.map(drop) }))
    };
    while pool.status().waiters == 0 {
        thread::yield_now();
    }
    server.plan(|plan| plan.connect = Act::Ok);
    drop(first);
    waiter.join().unwrap().unwrap();
    assert_quiet(&pool);
}

#[test]
fn a_pool_built_outside_a_runtime_begins_with_its_first_get() {
    let server = Server::default();
    let pool = server.builder().min_idle(2).build().unwrap();
    assert_eq!(server.open(), 0);
    let runtime = runtime();
    runtime.block_on(async {
        drop(pool.get().await.unwrap());
        while pool.status().idle < 2 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_getter_that_must_wait_where_there_never_was_a_runtime_is_told_so() {
    let pool = Server::default().pool(1);
    let error = executor::block_on(pool.get()).unwrap_err();
    assert!(matches!(error, GetError::NoRuntime { .. }), "{error}");
    assert_quiet(&pool);
}

#[test]
fn a_getter_that_must_wait_where_the_last_runtime_has_ended_is_told_so() {
    let pool = Server::default().pool(1);
    let lease = runtime().block_on(pool.get_owned()).unwrap();
    let error = executor::block_on(pool.get()).unwrap_err();
    assert!(matches!(error, GetError::NoRuntime { .. }), "{error}");
    drop(lease);
}

/// A getter may be polled by any executor, as long as some runtime runs the pool.
#[test]
fn a_getter_polled_outside_the_runtime_is_served_checked_and_timed_out() {
    let server = Server::default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let pool = {
        let _context = runtime.enter();
        server
            .builder()
            .max_size(1)
            .check_after_idle(secs(0))
            .build()
            .unwrap()
    };
    drop(executor::block_on(pool.get()).unwrap());
    let held = executor::block_on(pool.get()).unwrap();
    assert_eq!(pool.counters().checks, 2);
    let own = pool.get().timeout(ms(5));
    assert!(executor::block_on(own).unwrap_err().is_timeout());
    drop(held);
    assert_eq!(executor::block_on(pool.close()).abandoned, 0);
}

/// bb8 #211: dropped while its thread unwinds, outside any runtime.
#[test]
fn a_lease_dropped_during_unwinding_takes_its_connection_along() {
    let server = Server::default();
    let pool = server.pool(1);
    let lease = runtime().block_on(pool.get_owned()).unwrap();
    let user = thread::spawn(move || {
        let _lease = lease;
        panic!("told to");
    });
    assert!(user.join().is_err());
    assert_eq!(pool.counters().closed_by(CloseReason::Panicked), 1);
    assert_eq!(server.open(), 0);
    assert_quiet(&pool);
}

/// Pools, leases and their futures go where tasks go.
#[test]
fn everything_can_be_sent_and_shared() {
    fn sent<T: Send>(_: &T) {}
    fn shared<T: Send + Sync>(_: &T) {}
    let pool: Pool<Server> = Server::default().pool(1);
    shared(&pool);
    sent(&pool.get());
    sent(&pool.get_owned());
    sent(&pool.close());
    let runtime = runtime();
    sent(&runtime.block_on(pool.get_owned()));
}

/// Tokio's timers would panic there, which under `panic = "abort"` ends the process.
#[test]
fn a_runtime_without_timers_runs_a_pool_all_the_same() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let server = Server::default();
    let pool = server.builder().max_size(1).check_after_idle(secs(0));
    let pool = pool.build().unwrap();
    runtime.block_on(async {
        let held = pool.get().timeout(secs(60)).await.unwrap();
        let error = pool.get().timeout(ms(5)).await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
        drop(held);
        assert_eq!(pool.close().await.abandoned, 0);
    });
    assert_eq!(pool.counters().checks, 1);
}

#[test]
fn try_get_where_no_runtime_is_leaves_idle_connections_alone() {
    let server = Server::default();
    let pool = server.pool(2);
    runtime().block_on(async {
        let both = (pool.get().await, pool.get().await);
        drop(both);
    });
    assert!(pool.try_get().is_err());
    assert_eq!((pool.status().idle, server.open()), (2, 2));
}

/// The runtime that runs upkeep is alive but nobody drives it: another takes over.
#[test]
fn a_getter_on_another_runtime_is_timed_out_though_the_first_stands_still() {
    let pool = Server::default()
        .builder()
        .max_size(1)
        .acquire_timeout(secs(4))
        .build()
        .unwrap();
    let first = runtime();
    let held = first.block_on(pool.get_owned()).unwrap();
    let second = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    second.block_on(async {
        // Its clock runs ahead of the first one's, which stands still.
        pass(secs(10)).await;
        assert!(pool.get().await.unwrap_err().is_timeout());
    });
    drop(held);
    drop(first);
}

/// A connection may belong to the runtime that is gone: what idled then is checked.
#[test]
fn what_was_idle_when_its_runtime_ended_is_checked_before_the_next_lease() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(1)
        .check_after_idle(secs(3600))
        .build()
        .unwrap();
    runtime().block_on(async { drop(pool.get().await.unwrap()) });
    assert_eq!(pool.counters().checks, 0);
    runtime().block_on(async { drop(pool.get().await.unwrap()) });
    assert_eq!((pool.counters().checks, server.connected()), (1, 1));
}

/// Upkeep watches the deadlines, on a runtime that nobody drives any more.
#[test]
fn a_getter_alone_times_out_though_the_runtime_of_upkeep_stands_still() {
    let server = Server::default();
    let pool = server.builder().max_size(1).build().unwrap();
    let first = runtime();
    let lease = first.block_on(pool.get_owned()).unwrap();
    let second = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let error = second.block_on(pool.get()).err().unwrap();
    assert!(matches!(error, GetError::TimedOut(_)), "{error}");
    drop(lease);
    assert_quiet(&pool);
}

/// Its connections are alive as long as the runtime that they were opened on.
struct Tied;

impl Connect for Tied {
    type Connection = tokio::task::JoinHandle<()>;
    type Error = std::convert::Infallible;

    async fn connect(&self, _: &Dial) -> Result<Self::Connection, Self::Error> {
        Ok(tokio::spawn(std::future::pending()))
    }

    fn is_open(&self, task: &Self::Connection) -> bool {
        !task.is_finished()
    }

    fn verdict(&self, _: &mut Self::Connection) -> Verdict {
        Verdict::Reuse
    }
}

impl Multiplex for Tied {
    fn capacity(&self, _: &Self::Connection) -> usize {
        8
    }
}

/// Every `#[tokio::test]` is a runtime of its own; a pool in a `static` meets them all.
#[test]
fn connections_on_a_runtime_of_their_own_outlive_the_runtimes_of_their_users() {
    let connections = Runtime::new().unwrap();
    let builder = || Pool::builder(Tied).max_size(1);
    let of_callers = builder().build().unwrap();
    let of_its_own = builder()
        .runtime(connections.handle().clone())
        .build()
        .unwrap();
    let shared = cenote::SharedPool::builder(Tied).runtime(connections.handle().clone());
    let shared = shared.build().unwrap();
    for _ in 0..3 {
        runtime().block_on(async {
            assert!(!of_callers.get().await.unwrap().is_finished());
            assert!(!of_its_own.get().await.unwrap().is_finished());
            assert!(!shared.get().await.unwrap().is_finished());
        });
    }
    assert_eq!(of_callers.counters().opened, 3);
    assert_eq!(of_its_own.counters().opened, 1);
    assert_eq!(shared.counters().opened, 1);
}

#[test]
fn a_pool_whose_own_runtime_has_ended_says_so() {
    let connections = Runtime::new().unwrap();
    let pool = Pool::builder(Tied).runtime(connections.handle().clone());
    let pool = pool.build().unwrap();
    connections.shutdown_background();
    let refused = runtime()
        .block_on(pool.get().timeout(secs(60)))
        .unwrap_err();
    assert!(matches!(refused, GetError::NoRuntime { .. }), "{refused}");
}

/// A task that is spawned on a runtime that is shutting down is dropped within `tokio::spawn`, where no runtime can be
/// entered.
#[test]
fn a_lease_dropped_by_a_spawn_on_a_runtime_that_ends_is_said_goodbye_to_on_the_pool_s_own() {
    struct SpawnsWhenDropped(Option<OwnedLease<Server>>);
    impl Drop for SpawnsWhenDropped {
        fn drop(&mut self) {
            let lease = self.0.take();
            tokio::spawn(async move { drop(lease) });
        }
    }
    let server = Server::default();
    let (own, users) = (runtime(), runtime());
    let builder = server.builder().runtime(own.handle().clone());
    let pool = builder.build().unwrap();
    let lease = own.block_on(pool.get_owned()).unwrap();
    OwnedLease::retire(&lease);
    let spawns = SpawnsWhenDropped(Some(lease));
    users.spawn(async move {
        let _spawns = spawns;
        std::future::pending::<()>().await;
    });
    users.block_on(tokio::task::yield_now());
    drop(users);
    own.block_on(async {
        while server.open() > 0 {
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(server.seen.goodbyes.load(SeqCst), 1);
}
