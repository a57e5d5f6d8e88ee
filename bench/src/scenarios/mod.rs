//! The scenarios of the `pool` and `idle` runs: what each measures, and on which subjects. Those of `balance` and
//! `keyed` have lists of their own.
//!
//! A scenario's loop is written once, generic over the subject; the lists below only name who takes part.

pub mod balance;
pub mod keyed;

mod budget;
mod contend;
mod full;
mod get_drop;
mod idle_pools;
mod memory;
mod open;
mod slots_flat;
mod spike;
mod stopwatch;
mod waiters_flat;

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::measure::{Failure, Outcome, Sample};
use crate::rounds::{Case, Machine, Scenario};
use crate::subjects::{BlockingSubject, Cenote, Subject};

/// A case that takes longer than this hangs, and says so instead of stopping the run.
const HUNG: Duration = Duration::from_secs(20);

fn case<S: Subject>(run: fn() -> Outcome<Sample>) -> Case {
    Case {
        subject: S::NAME,
        run: Box::new(run),
    }
}

fn blocking_case<S: BlockingSubject>(run: fn() -> Outcome<Sample>) -> Case {
    Case {
        subject: S::NAME,
        run: Box::new(run),
    }
}

/// Lists `$run::<Subject>` for each subject, so that adding one is adding its name.
macro_rules! cases {
    ($case:ident, $module:ident::$run:ident: $($subject:ident),+ $(,)?) => {
        vec![$($case::<crate::subjects::$subject>($module::$run::<crate::subjects::$subject>)),+]
    };
}

/// Every scenario, in the order of the report.
pub fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "get_drop_1",
            about: "get and drop of an idle connection, one task",
            machine: Machine::Own,
            cases: [
                cases!(case, get_drop::one_task:
                    TwoRmw, SemQueue, Cenote, CenoteOwned, Bb8, Deadpool, DeadpoolTimeout, Mobc),
                cases!(blocking_case, get_drop::one_thread: R2d2, CenoteBlocking),
            ]
            .into_iter()
            .flatten()
            .collect(),
        },
        Scenario {
            name: "get_drop_2",
            about: "the same by two tasks on two threads, per operation of a task",
            machine: Machine::Own,
            cases: [
                cases!(case, get_drop::two_tasks:
                    TwoRmw, SemQueue, Cenote, CenoteOwned, Bb8, Deadpool, DeadpoolTimeout, Mobc),
                cases!(blocking_case, get_drop::two_threads: R2d2, CenoteBlocking),
            ]
            .into_iter()
            .flatten()
            .collect(),
        },
        Scenario {
            name: "contend_64x8",
            about: "64 tasks on 8 connections, one yield while held (blocking pools: threads)",
            machine: Machine::Own,
            cases: [
                cases!(case, contend::tasks_64x8: SemQueue, Cenote, CenoteOwned, Bb8, Deadpool, DeadpoolTimeout, Mobc),
                cases!(blocking_case, contend::threads_64x8: R2d2, CenoteBlocking),
            ]
            .into_iter()
            .flatten()
            .collect(),
        },
        Scenario {
            name: "contend_1000x10",
            about: "1,000 tasks on 10 connections, one yield while held (blocking pools: threads)",
            machine: Machine::Own,
            cases: [
                cases!(case, contend::tasks_1000x10:
                    SemQueue, Cenote, CenoteOwned, Bb8, Deadpool, DeadpoolTimeout, Mobc),
                cases!(blocking_case, contend::threads_1000x10: R2d2, CenoteBlocking),
            ]
            .into_iter()
            .flatten()
            .collect(),
        },
        Scenario {
            name: "waiters_flat",
            about: "one hand-off to the oldest of 10, 1,000 or 100,000 waiters, in ns",
            machine: Machine::Own,
            cases: cases!(case, waiters_flat::run: SemQueue, Cenote, CenoteOwned, Bb8, Deadpool, DeadpoolTimeout),
        },
        Scenario {
            name: "slots_flat",
            about: "get and drop with max_size 10, 1,000 or 10,000, half of it leased, in ns",
            machine: Machine::Own,
            cases: cases!(case, slots_flat::run: SemQueue, Cenote, CenoteOwned, Bb8, Deadpool, DeadpoolTimeout),
        },
        Scenario {
            name: "open",
            about: "opening one connection on the way to 1,000 or 80,000, all leased, in ns",
            machine: Machine::Own,
            cases: cases!(case, open::run: SemQueue, Cenote, CenoteOwned, Bb8, Deadpool),
        },
        Scenario {
            name: "budget",
            about: "closing a connection of one pool to open one of another, of 10 or 10,000, in ns",
            machine: Machine::Own,
            cases: vec![Case {
                subject: Cenote::NAME,
                run: Box::new(budget::run),
            }],
        },
        Scenario {
            name: "full",
            about: "1,000 or 20,000 leased for good, 8 free, and 1, 10 or 1,000 users more than are free",
            machine: Machine::Own,
            cases: cases!(case, full::run: SemQueue, Cenote, CenoteOwned, Bb8, Deadpool),
        },
        Scenario {
            name: "memory",
            about: "bytes per idle slot beside the connection, and per waiter",
            machine: Machine::Own,
            cases: cases!(case, memory::run: SemQueue, Cenote, CenoteOwned, Bb8, Deadpool, DeadpoolTimeout),
        },
        Scenario {
            name: "spike",
            about: "50 getters at once, 5 idle, 150 ms to connect, 2 ms held; virtual time",
            machine: Machine::Own,
            cases: cases!(case, spike::run: Cenote, CenoteOwned, Bb8, Deadpool, DeadpoolTimeout, Mobc),
        },
    ]
}

/// The scenarios of the `idle` run.
pub fn idle() -> Vec<Scenario> {
    vec![Scenario {
        name: "idle_pools",
        about: "10,000 pools that nobody uses, with no connection and with one each",
        machine: Machine::Own,
        cases: cases!(case, idle_pools::run: Cenote, CenoteShared, Bb8, Deadpool, Mobc),
    }]
}

/// Runs a future on two worker threads, as the measured tasks' home; a hang is a failure.
fn on_two_workers<T>(measured: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = two_workers()?;
    let outcome = runtime.block_on(within_reason(measured));
    runtime.shutdown_background();
    outcome
}

/// Runs a future on one thread; a hang is a failure.
fn on_one_thread<T>(measured: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    current_thread(false)?.block_on(within_reason(measured))
}

fn two_workers() -> Outcome<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .map_err(|error| Failure::new(format!("no runtime: {error}")))
}

fn current_thread(paused: bool) -> Outcome<Runtime> {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(paused)
        .build()
        .map_err(|error| Failure::new(format!("no runtime: {error}")))
}

async fn within_reason<T>(measured: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::time::timeout(HUNG, measured)
        .await
        .unwrap_or_else(|_| Err(Failure::new(format!("hung: not done after {HUNG:?}"))))
}
