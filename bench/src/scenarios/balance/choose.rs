//! `choose_p2c`, `choose_round_robin`, `choose_named` and `choose_by_key`: what get and drop cost over 10, 1,000 and 10,000 endpoints, of which each has
//! one idle connection.

use crate::connector::Setup;
use crate::measure::{Outcome, Sample};
use crate::scenarios::get_drop;
use crate::subjects::Subject;

/// The endpoints, and the names of the figures for one task and for each of two.
pub const SIZES: [(usize, &str, &str); 3] = [
    (10, "ns_10", "ns_10_of_two"),
    (1_000, "ns_1000", "ns_1000_of_two"),
    (10_000, "ns_10000", "ns_10000_of_two"),
];

pub fn by_one<S: Subject>() -> Outcome<Sample> {
    SIZES
        .into_iter()
        .map(|(endpoints, one, _)| Ok((one, ns::<S>(endpoints, 1)?)))
        .collect()
}

pub fn by_one_and_two<S: Subject>() -> Outcome<Sample> {
    let mut sample = by_one::<S>()?;
    for (endpoints, _, of_two) in SIZES {
        sample.push((of_two, ns::<S>(endpoints, 2)?));
    }
    Ok(sample)
}

fn ns<S: Subject>(endpoints: usize, tasks: usize) -> Outcome<f64> {
    get_drop::ns_per_op::<S>(&Setup::of_size(endpoints).over(endpoints), tasks)
}
