//! What a thread keeps for itself is dropped as the thread ends. In a program of its own: where anybody has paused tokio's
//! time, tokio's own `Instant::now` panics on such a thread.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod server;

use std::cell::RefCell;
use std::thread;

use cenote::{CloseReason, OwnedLease};
use server::Server;
use tokio::runtime::Builder;

/// A lease that a thread keeps for itself is dropped as the thread ends, when tokio's own state of the thread may be gone
/// already: a panic there is the end of the process.
#[test]
fn a_lease_kept_by_a_thread_is_said_goodbye_to_at_the_end_of_the_thread() {
    thread_local! {
        static KEPT: RefCell<Option<OwnedLease<Server>>> = const { RefCell::new(None) };
    }
    let server = Server::default();
    let pool = server.pool(1);
    let runtime = Builder::new_current_thread().build().unwrap();
    let worker = {
        let (pool, handle) = (pool.clone(), runtime.handle().clone());
        move || {
            // Before the thread has to do with tokio for the first time.
            KEPT.with_borrow_mut(|kept| {
                let lease = handle.block_on(pool.get_owned()).unwrap();
                OwnedLease::retire(&lease);
                *kept = Some(lease);
            });
        }
    };
    runtime.block_on(async {
        tokio::task::spawn_blocking(move || thread::spawn(worker).join().unwrap())
            .await
            .unwrap();
        while server.open() > 0 {
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(pool.counters().closed_by(CloseReason::Retired), 1);
}
