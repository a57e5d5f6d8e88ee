//! Each fault on the wire, and all of them: what the file that includes this says of its database, by its `server` and
//! its `connector`.

use std::time::Duration;

use cenote_testkit::Fault;

use crate::wire::Strikes::{self, New, Slowing, Stopping};
use crate::{connector, server, wire};

const DELAY: Fault = Fault::Delay {
    by: Duration::from_millis(3),
    jitter: Duration::from_millis(10),
};
const SLOW_LINK: Fault = Fault::Bandwidth {
    bytes_per_second: 5_000,
};
const SPLIT_WRITES: Fault = Fault::SplitWrites { chunk: 24 };

async fn survives(fault: Fault, strikes: Strikes) {
    wire::survives(server(), connector, fault, strikes).await;
}

/// Prior art: deadpool #97, redis-py #2624 (the reply to a call that was cut short is read by the next user).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_survives_a_delay_with_jitter() {
    survives(DELAY, Slowing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_survives_a_slow_link() {
    survives(SLOW_LINK, Slowing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_survives_split_writes() {
    survives(SPLIT_WRITES, Slowing).await;
}

/// Prior art: reqwest #1323 (half-dead connections stay pooled).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_survives_half_closed_connections() {
    survives(Fault::HalfClose, Stopping).await;
}

/// Prior art: deadpool #191 (dead connections in a row), deadpool #201 (spinning).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_survives_resets() {
    survives(Fault::Reset, Stopping).await;
}

/// Prior art: sqlx #4349 (a silently dead connection), redis-rs #2277 (time-outs in a row do not lead to a
/// reconnect).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_survives_a_black_hole() {
    survives(Fault::BlackHole, Stopping).await;
}

/// Prior art: bb8 (a hung connect holds its slot).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_survives_silence_after_accept() {
    survives(Fault::AcceptThenSilence, New).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_survives_refused_connections() {
    survives(Fault::Refuse, New).await;
}

/// Prior art: HikariCP #2161 (connections fall to zero and never come back).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_survives_connections_closed_at_accept() {
    survives(Fault::CloseAtAccept, New).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_survives_one_fault_after_the_other() {
    let faults = [
        DELAY,
        SLOW_LINK,
        SPLIT_WRITES,
        Fault::HalfClose,
        Fault::Reset,
        Fault::BlackHole,
        Fault::AcceptThenSilence,
        Fault::Refuse,
        Fault::CloseAtAccept,
    ];
    wire::survives_a_storm(server(), connector, &faults).await;
}
