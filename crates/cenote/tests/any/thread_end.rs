//! What a thread keeps for itself is dropped as the thread ends. In a process of its own: where anybody has paused
//! tokio's time, tokio's own `Instant::now` panics on such a thread.

use std::cell::RefCell;
use std::thread;

use cenote::OwnedLease;
use cenote::report::{CloseReason, Counters};
use tokio::runtime::Builder;

use crate::alone::alone;
use crate::server::Server;

thread_local! {
    static KEPT: RefCell<Option<OwnedLease<Server>>> = const { RefCell::new(None) };
}

/// What a lease that a thread keeps for itself needs at its end, when tokio's own state of the thread may be gone
/// already: a panic there is the end of the process.
fn end_with_a_lease(
    lease_ends: impl Fn(&mut OwnedLease<Server>) + Sync,
    counted: fn(&Counters) -> u64,
) {
    let server = Server::default();
    for runtime in [
        Builder::new_current_thread().build().unwrap(),
        Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap(),
    ] {
        let pool = server.pool(1);
        let worker = {
            let (pool, handle) = (pool.clone(), runtime.handle().clone());
            let lease_ends = &lease_ends;
            move || {
                // Before the thread has to do with tokio for the first time.
                KEPT.with_borrow_mut(|kept| {
                    let mut lease = handle.block_on(pool.get_owned()).unwrap();
                    lease_ends(&mut lease);
                    *kept = Some(lease);
                });
            }
        };
        thread::scope(|scope| {
            let worker = scope.spawn(worker);
            runtime.block_on(async {
                while pool.counters().gets == 0 || pool.status().leased > 0 {
                    tokio::task::yield_now().await;
                }
                drop(pool.get().await.unwrap());
            });
            worker.join().unwrap();
        });
        assert_eq!(counted(&pool.counters()), 1);
    }
}

#[test]
fn a_lease_kept_by_a_thread_is_said_goodbye_to_at_the_end_of_the_thread() {
    let name = "thread_end::a_lease_kept_by_a_thread_is_said_goodbye_to_at_the_end_of_the_thread";
    alone(name, || {
        end_with_a_lease(
            |lease| OwnedLease::retire(lease),
            |counters| counters.closed_by(CloseReason::Retired),
        );
    });
}

#[test]
fn a_lease_kept_by_a_thread_is_reset_at_the_end_of_the_thread() {
    let name = "thread_end::a_lease_kept_by_a_thread_is_reset_at_the_end_of_the_thread";
    alone(name, || {
        end_with_a_lease(|lease| lease.dirty = true, |counters| counters.resets);
    });
}
