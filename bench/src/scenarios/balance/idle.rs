//! `idle`: what 10,000 endpoints with an idle connection each use of one core, and how often a thread of the process wakes
//! up, while nothing of them is due: by default no connection is asked for a sign of life for two minutes.

use std::time::Duration;

use super::VERY_MANY;
use crate::connector::Setup;
use crate::measure::{Failure, Outcome, Sample};
use crate::scenarios::current_thread;
use crate::scenarios::idle_pools::{SETTLE, use_during};
use crate::subjects::Subject;

/// For how long nothing happens.
const REST: Duration = Duration::from_secs(5);

pub fn run<S: Subject>() -> Outcome<Sample> {
    current_thread(false)?.block_on(measure::<S>())
}

async fn measure<S: Subject>() -> Outcome<Sample> {
    let setup = Setup::of_size(VERY_MANY).over(VERY_MANY);
    let subject = S::open(&setup).await;
    subject.fill(VERY_MANY).await?;
    tokio::time::sleep(SETTLE).await;
    let open = setup.connector.tally.open();
    if open != VERY_MANY {
        return Err(Failure::new(format!("{open} connections are open")));
    }
    let used = use_during(REST).await;
    drop(subject);
    used
}
