//! `memory`: what a pool adds to a connection that idles, and what a getter costs while it waits.
//!
//! `bytes_per_idle_slot`: heap bytes of a pool with 10,000 idle connections over their number, less the
//! connection's own size. `bytes_per_waiter`: the size of the `get` future, which its task holds, and the heap bytes
//! that queueing it allocates, whatever the pool or tokio uses them for.

use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::task::unconstrained;

use super::on_one_thread;
use crate::allocations::Count;
use crate::connector::{Connection, Setup};
use crate::measure::{Failure, Outcome, Sample};
use crate::subjects::{Subject, refused};

const SLOTS: usize = 10_000;
const WAITERS: usize = 10_000;

pub fn run<S: Subject>() -> Outcome<Sample> {
    Ok(vec![
        (
            "bytes_per_idle_slot",
            on_one_thread(idle_slot::<S>(&Setup::of_size(SLOTS)))?,
        ),
        (
            "bytes_per_waiter",
            on_one_thread(unconstrained(waiter::<S>()))?,
        ),
    ])
}

/// Heap bytes for each of the pool's connections, which are all open and idle, less its own size.
pub(super) async fn idle_slot<S: Subject>(setup: &Setup) -> Outcome<f64> {
    let slots = setup.max_size;
    let count = Count::start();
    let subject = S::open(setup).await;
    subject.fill(slots).await?;
    // Tasks the pool spawned to open or take back connections end, and give their memory back.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let live = count.live_bytes();
    drop(count);
    let open = setup.connector.tally.open();
    if open != slots {
        return Err(Failure::new(format!(
            "{open} connections idle, not {slots}"
        )));
    }
    drop(subject);
    Ok(live as f64 / slots as f64 - size_of::<Connection>() as f64)
}

async fn waiter<S: Subject>() -> Outcome<f64> {
    let subject = S::open(&Setup::of_size(1).unbounded_queue()).await;
    let lease = subject.get().await.map_err(refused)?;
    let mut getters: Vec<Pin<Box<_>>> = (0..WAITERS).map(|_| Box::pin(subject.get())).collect();
    let future = size_of_val(&*getters[0]);
    let mut context = Context::from_waker(Waker::noop());
    let count = Count::start();
    for getter in &mut getters {
        if getter.as_mut().poll(&mut context).is_ready() {
            return Err(Failure::new(
                "a getter did not wait for the only connection",
            ));
        }
    }
    let heap = count.live_bytes();
    drop(count);
    drop(getters);
    drop(lease);
    Ok(future as f64 + heap as f64 / WAITERS as f64)
}
