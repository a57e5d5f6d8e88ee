//! Rates, latencies and what they cost: tasks with one request under way each, for a fixed time.
//!
//! `cpu_ns_per_req` is the client's alone, for the server is another process; `opened` are the connections that the server
//! accepted, from the first request to the last.

use std::time::Duration;

use super::files;
use super::subject::{Asked, Subject};
use super::target::{Protocol, Server};
use crate::callers::{self, Lengths};
use crate::measure::{Failure, Outcome, Sample};

/// A thousand tasks open up to two thousand connections before anything is measured.
const LENGTHS: Lengths = Lengths {
    warm_up: Duration::from_millis(400),
    window: Duration::from_secs(1),
};

/// How many ask, how, and over how many connections where a client can be bounded.
#[derive(Clone, Copy)]
pub struct Load {
    pub protocol: Protocol,
    pub tasks: usize,
    pub connections: usize,
}

pub fn run<S: Subject>(load: Load) -> Outcome<Sample> {
    files::allow_many().map_err(|error| Failure::new(error.to_string()))?;
    let mut server = Server::start()?;
    let target = server.target(load.protocol, load.connections)?;
    let observed = callers::observe(Asked::<S>::open(target), load.tasks, LENGTHS)?;
    let mut sample = observed.summary();
    sample.push(("cpu_ns_per_req", observed.processor_ns_per_answer()));
    sample.push(("opened", server.accepted()? as f64));
    Ok(sample)
}
