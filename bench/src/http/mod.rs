//! The `http` and `http-reload` runs: what an HTTP client's connections are worth, beside what is usually taken.
//!
//! Owns the lists of scenarios and subjects. Every case has a server of its own, which ends with it.

mod burst;
mod by_hand;
mod cenote;
mod files;
mod floor;
mod legacy;
mod rate;
mod reload;
mod reply;
mod reqwest;
pub mod server;
mod subject;
mod target;
mod tls;

use self::by_hand::{ByHand, H2ByHand};
use self::cenote::Cenote;
use self::floor::Floor;
use self::legacy::Legacy;
use self::rate::Load;
use self::reqwest::Reqwest;
use self::subject::{Asked, Subject};
use self::target::{Protocol, Server};
use crate::callers::allocations;
use crate::rounds::{Case, Machine, Scenario};

const LEGEND: &str = "\
The server is hyper's, in a process of its own on the same processors; it answers with 64 bytes and allows 100 requests at
once on a connection of HTTP/2. cpu_ns_per_req is the client's processor time, opened what the server accepted. by_hand and
h2_by_hand are no clients but hyper's connections alone: one for each task, and one for all. legacy is hyper-util's legacy
client, on which reqwest stands; neither can be bounded, so that both open what they like over HTTP/1.1, and one connection
over HTTP/2. All set TCP_NODELAY. wrk and h2load ask over as many connections as are named, h2load with 100 requests at
once on each at most, and wrk tries one before it begins.";

pub const RELOAD_LEGEND: &str = "\
Requests are GET, which a client may send again where a connection ends before it has answered anything.";

/// What stands below the tables, with the floors that could not be measured.
pub fn legend() -> String {
    let missing = Floor::ALL.into_iter().filter(|floor| !floor.is_installed());
    let lines =
        missing.map(|floor| format!("\n{} is not installed: it is left out.", floor.name()));
    LEGEND.to_owned() + &lines.collect::<String>()
}

/// The scenarios of the `http` run, in the order of the report.
pub fn all() -> Vec<Scenario> {
    let scenario = |name, about, cases| Scenario {
        name,
        about,
        machine: Machine::Own,
        cases,
    };
    vec![
        scenario(
            "h1_64",
            "HTTP/1.1, 64 tasks on as many connections",
            over_http1(64, 64),
        ),
        scenario(
            "h1_64x10",
            "HTTP/1.1, 64 tasks on 10 connections where that can be set",
            over_http1(64, 10),
        ),
        scenario(
            "h1_1000x10",
            "HTTP/1.1, 1,000 tasks on 10 connections where that can be set",
            over_http1(1_000, 10),
        ),
        scenario(
            "h2_1",
            "HTTP/2 without TLS, one task on one connection",
            over_http2(1),
        ),
        scenario(
            "h2_64",
            "HTTP/2 without TLS, 64 tasks on one connection",
            over_http2(64),
        ),
        scenario(
            "h2_1000",
            "HTTP/2 without TLS, 1,000 tasks on one connection",
            over_http2(1_000),
        ),
        scenario(
            "h2_1000x4",
            "HTTP/2 without TLS, 1,000 tasks on up to 4 connections where that can be set",
            up_to_four(),
        ),
        scenario(
            "cold_burst",
            "1,000 requests at once, TLS, no connection yet; HTTP/2 by ALPN",
            vec![
                burst::<Legacy>(Legacy::NAME, Protocol::Negotiated),
                burst::<Legacy>("legacy_http2_only", Protocol::Http2ByTls),
                burst::<Reqwest>(Reqwest::NAME, Protocol::Negotiated),
                burst::<Cenote>(Cenote::NAME, Protocol::Negotiated),
            ],
        ),
        scenario(
            "h1_allocations",
            "allocations a request, HTTP/1.1, 64 tasks on as many connections",
            vec![
                allocations::<ByHand>(Protocol::Http1),
                allocations::<Legacy>(Protocol::Http1),
                allocations::<Reqwest>(Protocol::Http1),
                allocations::<Cenote>(Protocol::Http1),
            ],
        ),
        scenario(
            "h2_allocations",
            "allocations a request, HTTP/2 without TLS, 64 tasks on one connection",
            vec![
                allocations::<H2ByHand>(Protocol::Http2),
                allocations::<Legacy>(Protocol::Http2),
                allocations::<Reqwest>(Protocol::Http2),
                allocations::<Cenote>(Protocol::Http2),
            ],
        ),
    ]
}

/// The scenarios of the `http-reload` run.
pub fn reload() -> Vec<Scenario> {
    vec![Scenario {
        name: "nginx_reload",
        about: "nginx reloaded each second for 30 s, 3 requests a connection, 64 tasks",
        machine: Machine::Shared,
        cases: vec![
            reload_case::<Legacy>(),
            reload_case::<Reqwest>(),
            reload_case::<Cenote>(),
        ],
    }]
}

fn over_http1(tasks: usize, connections: usize) -> Vec<Case> {
    let load = Load {
        protocol: Protocol::Http1,
        tasks,
        connections,
    };
    let clients = vec![
        rate::<ByHand>(load),
        rate::<Legacy>(load),
        rate::<Reqwest>(load),
        rate::<Cenote>(load),
    ];
    floor(load).into_iter().chain(clients).collect()
}

fn over_http2(tasks: usize) -> Vec<Case> {
    let load = Load {
        protocol: Protocol::Http2,
        tasks,
        connections: 1,
    };
    let clients = vec![
        rate::<H2ByHand>(load),
        rate::<Legacy>(load),
        rate::<Reqwest>(load),
        rate::<Cenote>(load),
    ];
    floor(load).into_iter().chain(clients).collect()
}

fn up_to_four() -> Vec<Case> {
    let load = Load {
        protocol: Protocol::Http2,
        tasks: 1_000,
        connections: 4,
    };
    let clients = vec![rate::<Legacy>(load), rate::<Cenote>(load)];
    floor(load).into_iter().chain(clients).collect()
}

fn rate<S: Subject>(load: Load) -> Case {
    Case {
        subject: S::NAME,
        run: Box::new(move || rate::run::<S>(load)),
    }
}

/// Nothing where the program that knows is not installed.
fn floor(load: Load) -> Option<Case> {
    let floor = Floor::of(load.protocol);
    floor.is_installed().then(|| Case {
        subject: floor.name(),
        run: Box::new(move || floor.run(load)),
    })
}

fn burst<S: Subject>(subject: &'static str, protocol: Protocol) -> Case {
    Case {
        subject,
        run: Box::new(move || burst::run::<S>(protocol)),
    }
}

fn allocations<S: Subject>(protocol: Protocol) -> Case {
    Case {
        subject: S::NAME,
        run: Box::new(move || {
            let connections = match protocol {
                Protocol::Http1 => allocations::CALLERS,
                _ => 1,
            };
            let server = Server::start()?;
            let target = server.target(protocol, connections)?;
            allocations::run(Asked::<S>::open(target))
        }),
    }
}

fn reload_case<S: Subject>() -> Case {
    Case {
        subject: S::NAME,
        run: Box::new(reload::run::<S>),
    }
}
