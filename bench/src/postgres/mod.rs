//! The `postgres` run: what a pool is worth in front of a real server.
//!
//! Owns the server (started for the run, gone after it), the list of subjects and what makes them comparable.

mod bb8;
mod cenote;
mod cenote_shared;
mod deadpool;
mod load;
mod no_pool;
mod sqlx;
mod subject;

use cenote_testkit::PostgresServer;

use self::bb8::{Bb8, Bb8Untested};
use self::cenote::{Cenote, CenotePrepared};
use self::cenote_shared::CenoteShared;
use self::deadpool::{Deadpool, DeadpoolPrepared};
use self::no_pool::NoPool;
use self::sqlx::Sqlx;
use self::subject::{QueryError, Subject, Target};
use crate::rounds::{Case, Machine, Scenario};

pub const SCENARIOS: [&str; 2] = ["postgres_64", "postgres_1000"];

/// Every subject by name, in the order of the report.
pub const SUBJECTS: [&str; 9] = [
    NoPool::NAME,
    Bb8::NAME,
    Bb8Untested::NAME,
    Deadpool::NAME,
    DeadpoolPrepared::NAME,
    Sqlx::NAME,
    Cenote::NAME,
    CenotePrepared::NAME,
    CenoteShared::NAME,
];

pub const LEGEND: &str = "\
Like for like, by what a user writes: bb8, bb8_untested, deadpool and cenote are given the SQL text at each query, which
rivals prepare first (two round trips) and cenote runs in one, as it has no parameters; deadpool_prepared, sqlx,
cenote_prepared and cenote_shared prepare it once per connection; cenote_shared pipelines the queries of all users on
one connection, and on up to three more when more than 750 are under way on each. bb8 and sqlx add a round trip that
asks for a sign of life at every checkout; deadpool and bb8_untested never ask; cenote asks where a connection has
idled for a second or more, before it is used. no_pool connects for each query, 64 at once at most. p50 and p99 are of get and query.";

const CONNECTIONS: usize = 10;

/// A PostgreSQL server of the run's own; it ends with this value.
pub struct Server {
    target: Target,
    _running: PostgresServer,
}

impl Server {
    pub fn start() -> Result<Self, String> {
        let started = || -> Result<Self, QueryError> {
            let server = PostgresServer::start()?;
            let url = server.url();
            let target = Target {
                config: url.parse()?,
                url,
                connections: CONNECTIONS,
            };
            Ok(Self {
                target,
                _running: server,
            })
        };
        started().map_err(|error| format!("cannot start PostgreSQL for the run: {error}"))
    }

    pub fn scenarios(&self) -> Vec<Scenario> {
        vec![
            Scenario {
                name: SCENARIOS[0],
                about: "SELECT 1 by 64 users on 10 connections",
                machine: Machine::Shared,
                cases: self.cases(64),
            },
            Scenario {
                name: SCENARIOS[1],
                about: "SELECT 1 by 1,000 users on 10 connections",
                machine: Machine::Shared,
                cases: self.cases(1_000),
            },
        ]
    }

    fn cases(&self, users: usize) -> Vec<Case> {
        vec![
            self.case::<NoPool>(users),
            self.case::<Bb8>(users),
            self.case::<Bb8Untested>(users),
            self.case::<Deadpool>(users),
            self.case::<DeadpoolPrepared>(users),
            self.case::<Sqlx>(users),
            self.case::<Cenote>(users),
            self.case::<CenotePrepared>(users),
            self.case::<CenoteShared>(users),
        ]
    }

    fn case<S: Subject>(&self, users: usize) -> Case {
        let target = self.target.clone();
        Case {
            subject: S::NAME,
            run: Box::new(move || load::run::<S>(&target, users)),
        }
    }
}
