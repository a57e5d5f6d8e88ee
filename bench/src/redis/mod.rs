//! The `redis` run: what one connection shared by many callers is worth in front of a real server.
//!
//! Owns the server (started for the run, gone after it) and the list of subjects.

mod cenote;
mod floor;
mod fred;
mod redis_rs;
mod subject;

use std::io::{Read, Write};
use std::net::TcpStream;

use cenote_testkit::RedisServer;

use self::cenote::Cenote;
use self::floor::Floor;
use self::fred::Fred;
use self::redis_rs::RedisRs;
use self::subject::{Answered, KEY, Subject, Target, VALUE};
use crate::callers::{self, CallError};
use crate::rounds::{Case, Machine, Scenario};

pub const SCENARIOS: [&str; 3] = ["redis_1", "redis_64", "redis_1000"];

/// Every subject by name, in the order of the report.
pub const SUBJECTS: [&str; 5] = [
    Floor::ONE_BY_100.name,
    Floor::FOUR_BY_32.name,
    RedisRs::NAME,
    Fred::NAME,
    Cenote::NAME,
];

pub const LEGEND: &str = "\
Clients are set up by default, each with one connection: redis_rs is the multiplexed one, which limits the time of each
reply, fred a client that pipelines by itself and does not, cenote the client of cenote-redis with one shared connection,
which limits it too and leases the connection for each command. floor_1x100 and floor_4x32 are redis-benchmark, on one
connection with 100 requests in each pipeline and on four with 32: what the server answers when nobody waits for a
single reply.";

/// A Redis server of the run's own, with the key that is asked for; it ends with this value.
pub struct Server {
    target: Target,
    _running: RedisServer,
}

impl Server {
    pub fn start() -> Result<Self, String> {
        let started = || -> Result<Self, CallError> {
            let server = RedisServer::start()?;
            let target = Target {
                addr: server.addr(),
                url: server.url(),
            };
            fill(&target)?;
            Ok(Self {
                target,
                _running: server,
            })
        };
        started().map_err(|error| format!("cannot start Redis for the run: {error}"))
    }

    pub fn scenarios(&self) -> Vec<Scenario> {
        vec![
            Scenario {
                name: SCENARIOS[0],
                about: "GET of 64 bytes on one connection, one caller",
                machine: Machine::Shared,
                cases: self.clients(1),
            },
            Scenario {
                name: SCENARIOS[1],
                about: "GET of 64 bytes on one connection, 64 callers at once",
                machine: Machine::Shared,
                cases: self.clients(64),
            },
            Scenario {
                name: SCENARIOS[2],
                about: "GET of 64 bytes on one connection, 1,000 callers at once",
                machine: Machine::Shared,
                cases: [self.floors(), self.clients(1_000)]
                    .into_iter()
                    .flatten()
                    .collect(),
            },
        ]
    }

    /// The clients, in the order of the report.
    fn clients(&self, callers: usize) -> Vec<Case> {
        vec![
            self.case::<RedisRs>(callers),
            self.case::<Fred>(callers),
            self.case::<Cenote>(callers),
        ]
    }

    /// What the server allows; nothing where the program that knows is not installed.
    fn floors(&self) -> Vec<Case> {
        let floors = [Floor::ONE_BY_100, Floor::FOUR_BY_32];
        let installed = floors.into_iter().filter(|_| floor::is_installed());
        let case = |floor: Floor| {
            let target = self.target.clone();
            Case {
                subject: floor.name,
                run: Box::new(move || floor.run(&target)),
            }
        };
        installed.map(case).collect()
    }

    fn case<S: Subject>(&self, callers: usize) -> Case {
        let target = self.target.clone();
        Case {
            subject: S::NAME,
            run: Box::new(move || callers::run(Answered::<S>::open(&target), callers)),
        }
    }
}

/// Sets the key, before any client is there.
fn fill(target: &Target) -> Result<(), CallError> {
    let mut connection = TcpStream::connect(target.addr)?;
    let value = str::from_utf8(&VALUE)?;
    write!(connection, "SET {KEY} {value}\r\nQUIT\r\n")?;
    let mut replies = String::new();
    connection.read_to_string(&mut replies)?;
    if !replies.starts_with("+OK\r\n") {
        return Err(format!("SET was answered with {replies:?}").into());
    }
    Ok(())
}
