//! How often a call asks for memory.
//!
//! 64 callers warm up, then make 200 calls each while the whole process is counted. The callers do not allocate
//! meanwhile, and a server either does not or is a process of its own, so what is counted is the client's: in its call, in
//! its tasks, in its buffers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;

use super::{Caller, failed, numbers, within_reason, workers};
use crate::allocations::Count;
use crate::measure::{Failure, Outcome, Sample};

pub const CALLERS: usize = 64;
const CALLS: usize = 200;

pub fn run<C: Caller>(open: impl Future<Output = Outcome<C>>) -> Outcome<Sample> {
    let runtime = workers()?;
    let outcome = runtime.block_on(within_reason(async {
        let caller = open.await?;
        // Where all callers and who counts meet: warm, then counted, then done.
        let meeting = Arc::new(Barrier::new(CALLERS + 1));
        let running: Vec<_> = (0..CALLERS as u64)
            .map(|id| tokio::spawn(attend(caller.clone(), id, Arc::clone(&meeting))))
            .collect();
        meeting.wait().await;
        let count = Count::start();
        meeting.wait().await;
        meeting.wait().await;
        let allocations = count.allocations();
        drop(count);
        for task in running {
            task.await
                .map_err(|error| Failure::new(format!("a task panicked: {error}")))??;
        }
        Ok(allocations)
    }));
    runtime.shutdown_timeout(Duration::from_secs(1));
    let per_call = outcome? as f64 / (CALLERS * CALLS) as f64;
    Ok(vec![("allocations_per_call", per_call)])
}

/// Comes to every meeting, even after a call that failed: the others wait there.
async fn attend<C: Caller>(mut caller: C, id: u64, meeting: Arc<Barrier>) -> Outcome<()> {
    let mut numbers = numbers(id);
    let warm = call(&mut caller, numbers.by_ref()).await;
    meeting.wait().await;
    meeting.wait().await;
    let counted = call(&mut caller, numbers).await;
    meeting.wait().await;
    warm.and(counted)
}

async fn call<C: Caller>(caller: &mut C, numbers: impl Iterator<Item = u64>) -> Outcome<()> {
    for number in numbers.take(CALLS) {
        caller.call(number).await.map_err(failed)?;
    }
    Ok(())
}
