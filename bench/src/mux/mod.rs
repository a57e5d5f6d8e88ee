//! The `mux` run: what a client is worth that many callers share, in front of a server that costs next to nothing.
//!
//! Owns the list of subjects. Every case has an echo server of its own, which ends with it.

mod batch_limit;
mod cenote_mux;
mod cenote_shared;
mod channel_mux;
mod echo;
mod frame;
mod noria_stack;
mod subject;
mod tokio_tower;
mod wakes_only;

use self::cenote_mux::CenoteMux;
use self::cenote_shared::CenoteShared;
use self::channel_mux::ChannelMux;
use self::echo::EchoServer;
use self::noria_stack::NoriaStack;
use self::subject::{Echoed, Subject};
use self::tokio_tower::TokioTower;
use self::wakes_only::WakesOnly;
use crate::callers;
use crate::measure::{Failure, Outcome};
use crate::rounds::{Case, Machine, Scenario};

pub const LEGEND: &str = "\
channel_mux is the design usually written by hand: a channel, a map of one-shot channels, a task that yields once and
writes what has gathered, a task that reads. tokio_tower is a tower Buffer in front of a tokio-tower client; noria_stack
is a Buffer, a concurrency limit and a p2c Balance over two of them, as in Noria. batch_limit and wakes_only are no
clients but floors: the wire with no callers, and callers with no wire. All set TCP_NODELAY. The payload is an
array inside the request, so all that mux_allocations counts, in the whole process, is the client's own.";

/// Every scenario, in the order of the report.
pub fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "mux_1",
            about: "echo of 64 bytes, one caller",
            machine: Machine::Own,
            cases: calls(1),
        },
        Scenario {
            name: "mux_64",
            about: "echo of 64 bytes, 64 callers at once",
            machine: Machine::Own,
            cases: calls(64),
        },
        Scenario {
            name: "mux_1000",
            about: "echo of 64 bytes, 1,000 callers at once",
            machine: Machine::Own,
            cases: [vec![limit(), wakes(1_000)], calls(1_000)]
                .into_iter()
                .flatten()
                .collect(),
        },
        Scenario {
            name: "mux_allocations",
            about: "allocations a call, 64 callers at once",
            machine: Machine::Own,
            cases: vec![allocations::<ChannelMux>(), allocations::<CenoteMux>()],
        },
    ]
}

/// The clients, in the order of the report.
fn calls(callers: usize) -> Vec<Case> {
    vec![
        case::<ChannelMux>(callers),
        case::<TokioTower>(callers),
        case::<NoriaStack>(callers),
        case::<CenoteMux>(callers),
        case::<CenoteShared>(callers),
    ]
}

fn case<S: Subject>(callers: usize) -> Case {
    Case {
        subject: S::NAME,
        run: Box::new(move || {
            let server = start()?;
            callers::run(Echoed::<S>::open(server.addr()), callers)
        }),
    }
}

fn limit() -> Case {
    Case {
        subject: "batch_limit",
        run: Box::new(|| batch_limit::run(start()?.addr())),
    }
}

fn wakes(callers: usize) -> Case {
    Case {
        subject: "wakes_only",
        run: Box::new(move || callers::run(WakesOnly::open(), callers)),
    }
}

fn allocations<S: Subject>() -> Case {
    Case {
        subject: S::NAME,
        run: Box::new(|| {
            let server = start()?;
            callers::allocations::run(Echoed::<S>::open(server.addr()))
        }),
    }
}

fn start() -> Outcome<EchoServer> {
    EchoServer::start().map_err(|error| Failure::new(format!("no echo server: {error}")))
}
