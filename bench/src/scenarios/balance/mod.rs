//! The scenarios of the `balance` run: pools over a set of endpoints, their subjects and their figures' names.
//!
//! Where a scenario of the `pool` run has the loop already, it runs here with other pools.

mod change;
mod choose;
mod hand_over;
mod idle;
mod tower_p2c;

use super::full;
use super::{case, get_drop, memory, on_one_thread};
use crate::connector::Setup;
use crate::measure::{Outcome, Sample};
use crate::rounds::{Case, Machine, Scenario};
use crate::subjects::{
    Cenote, CenoteAt, CenoteByKey, CenotePool, CenoteRoundRobin, CenoteSharedOfOne,
    CenoteSharedOfSet, Subject, VecOfPools,
};

pub const LEGEND: &str = "\
cenote_pool is one pool over the endpoints, cenote one over a single endpoint with as many connections, cenote_shared and
cenote_shared_one are those whose connections many share; vec_of_pools is
what is written by hand, a pool an endpoint and a count beside it; tower_p2c is tower's p2c Balance over services that
are always ready and answer at once, PendingRequests their load. Settings are the default ones.";

/// Endpoints of `full`, `memory` and `idle`.
const MANY: usize = 1_000;
const VERY_MANY: usize = 10_000;

/// Every scenario, in the order of the report.
pub fn all() -> Vec<Scenario> {
    let scenario = |name, about, cases| Scenario {
        name,
        about,
        machine: Machine::Own,
        cases,
    };
    vec![
        scenario(
            "choose_p2c",
            "get and drop, one connection an endpoint, one task and two, in ns per operation of a task",
            vec![
                case::<CenotePool>(choose::by_one_and_two::<CenotePool>),
                case::<VecOfPools>(choose::by_one_and_two::<VecOfPools>),
                Case {
                    subject: tower_p2c::NAME,
                    run: Box::new(tower_p2c::run),
                },
            ],
        ),
        scenario(
            "choose_round_robin",
            "the same in turn, one task",
            vec![case::<CenoteRoundRobin>(choose::by_one::<CenoteRoundRobin>)],
        ),
        scenario(
            "choose_named",
            "the same of an endpoint that is named, each in turn, one task",
            vec![case::<CenoteAt>(choose::by_one::<CenoteAt>)],
        ),
        scenario(
            "choose_by_key",
            "the same of the endpoint that a key belongs to, another key each time, one task",
            vec![case::<CenoteByKey>(choose::by_one::<CenoteByKey>)],
        ),
        scenario(
            "shared_choice",
            "get and drop of a shared connection, over as many endpoints with one connection each, or of one endpoint with as many connections; one task and two",
            vec![
                case::<CenoteSharedOfSet>(choose::by_one_and_two::<CenoteSharedOfSet>),
                case::<CenoteSharedOfOne>(choose::by_one_and_two::<CenoteSharedOfOne>),
            ],
        ),
        scenario(
            "one_endpoint",
            "get and drop of an idle connection of a pool of one endpoint, to compare two builds by",
            vec![case::<Cenote>(get_drop::one_task::<Cenote>)],
        ),
        scenario(
            "hand_over",
            "1,000 waiters for 10 or 1,000 connections, each to an endpoint of its own, one yield while held",
            vec![
                case::<CenotePool>(hand_over::run::<CenotePool>),
                case::<Cenote>(hand_over::run::<Cenote>),
                case::<VecOfPools>(hand_over::run::<VecOfPools>),
            ],
        ),
        scenario(
            "full",
            "all but 8 of 20,000 connections over 1,000 endpoints leased for good, and 1, 10 or 1,000 users more than are free",
            vec![full_case::<CenotePool>(), full_case::<Cenote>()],
        ),
        scenario(
            "change",
            "an endpoint more or less of 10 or 10,000: from its telling to the first lease or the last close, in us",
            vec![Case {
                subject: CenotePool::NAME,
                run: Box::new(change::run),
            }],
        ),
        scenario(
            "memory",
            "bytes per endpoint of 10,000 with one idle connection, beside the connection and the connector",
            vec![
                case::<CenotePool>(bytes_per_endpoint::<CenotePool>),
                case::<VecOfPools>(bytes_per_endpoint::<VecOfPools>),
            ],
        ),
        scenario(
            "idle",
            "10,000 endpoints with one idle connection each, while nothing is due",
            vec![
                case::<CenotePool>(idle::run::<CenotePool>),
                case::<VecOfPools>(idle::run::<VecOfPools>),
            ],
        ),
    ]
}

fn full_case<S: Subject>() -> Case {
    Case {
        subject: S::NAME,
        run: Box::new(|| {
            let setup = Setup::of_size(20_000).over(MANY);
            on_one_thread(full::rates::<S>(setup, full::BESIDE_20000))
        }),
    }
}

fn bytes_per_endpoint<S: Subject>() -> Outcome<Sample> {
    let setup = Setup::of_size(VERY_MANY).over(VERY_MANY);
    let connector = size_of_val(&setup.connector) as f64;
    let bytes = on_one_thread(memory::idle_slot::<S>(&setup))?;
    Ok(vec![("bytes_per_endpoint", bytes - connector)])
}
