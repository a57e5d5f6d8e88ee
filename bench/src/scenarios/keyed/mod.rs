//! The scenarios of the `keyed` run: a pool per key.

mod many_keys;

use super::{case, get_drop};
use crate::connector::Setup;
use crate::measure::{Outcome, Sample};
use crate::rounds::{Case, Machine, Scenario};
use crate::subjects::{BarePools, CenoteKeyed, MutexMap, Subject};

pub const LEGEND: &str = "\
bare_pools are pools without keys, found by a number; mutex_map is what is written by hand, a map behind a lock of which
the pool is cloned. A key is whether the connection is secure, and a host's name. Settings are the default ones.";

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
            "keyed",
            "get and drop of an idle connection of a key, of 1 or 1,000 all over the place, one task and two, in ns",
            vec![
                case::<CenoteKeyed>(look_up::<CenoteKeyed>),
                case::<BarePools>(look_up::<BarePools>),
                case::<MutexMap>(look_up::<MutexMap>),
            ],
        ),
        scenario(
            "distinct_keys",
            "a million keys one after the other beside 1,000 that stay: what of the heap is left over, and a key's time in us",
            vec![Case {
                subject: CenoteKeyed::NAME,
                run: Box::new(many_keys::distinct),
            }],
        ),
        scenario(
            "idle_keys",
            "100,000 keys with one idle connection each: heap bytes beside the connection, and use while nothing is due",
            vec![Case {
                subject: CenoteKeyed::NAME,
                run: Box::new(many_keys::idle),
            }],
        ),
    ]
}

fn look_up<S: Subject>() -> Outcome<Sample> {
    // Two connections of each key: as many as there are tasks.
    let ns = |keys, tasks| get_drop::ns_per_op::<S>(&Setup::of_size(2 * keys).over(keys), tasks);
    Ok(vec![
        ("ns_1", ns(1, 1)?),
        ("ns_1_of_two", ns(1, 2)?),
        ("ns_1000", ns(1_000, 1)?),
        ("ns_1000_of_two", ns(1_000, 2)?),
    ])
}
