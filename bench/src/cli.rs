//! The command line: what can be asked, and what is known by name.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};

use crate::rounds::{Rounds, Scenario};
use crate::{http, mux, postgres, redis, scenarios};

/// The hidden command by which this program becomes the server of `http`.
pub const HTTP_SERVER: &str = "http-server";

const EXAMPLES: &str = "\
Examples:
  cargo run --release --manifest-path bench/Cargo.toml -- pool
  cargo run --release --manifest-path bench/Cargo.toml -- pool --json pool.json
  cargo run --release --manifest-path bench/Cargo.toml -- pool --only contend_64x8 --rounds 9
  cargo run --release --manifest-path bench/Cargo.toml -- postgres --subject cenote,deadpool
  cargo run --release --manifest-path bench/Cargo.toml -- mux --only mux_64,mux_1000
  cargo run --release --manifest-path bench/Cargo.toml -- redis --json redis.json
  cargo run --release --manifest-path bench/Cargo.toml -- balance --json balance.json
  cargo run --release --manifest-path bench/Cargo.toml -- keyed --only keyed
  cargo run --release --manifest-path bench/Cargo.toml -- http --only h1_64,h1_64x10 --rounds 9
  cargo run --release --manifest-path bench/Cargo.toml -- idle --subject cenote,bb8";

/// Measures Cenote beside its rivals, in one process and one run.
///
/// Each round runs every subject once, in an order that moves on by one, and each figure is the median of the
/// rounds: compare the figures of one run, not those of two. A quiet machine gives steadier ones. In `pool`, `mux`,
/// `balance`, `keyed` and `http` each run of a subject is a process of its own. At the end, what the project asks of itself
/// is printed with what was reached.
#[derive(Parser)]
#[command(name = "cenote-bench", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// The pools alone, over connections that do nothing: get and drop, contention, queues, memory, a spike
    ///
    /// Every pool runs as its users set it up by default, with checks at checkout off where they can be turned off.
    /// `two_rmw` and `sem_queue` are floors, not pools: two atomic read-modify-writes, and a tokio semaphore around a
    /// lock-free queue. Five rounds take about half a minute; fewer are run where that would exceed a minute.
    Pool(PoolArgs),

    /// Pools that nobody uses: 10,000 of them, with no connection and with one each
    ///
    /// Memory, processor time and wake-ups. Takes more than a minute for each subject, most of it spent waiting.
    Idle(IdleArgs),

    /// Pools over a set of endpoints: choosing among 10 to 10,000, queues, changes of the set, memory, rest
    ///
    /// Connections do nothing. Beside the pool over a set: tower's p2c balancer, a vector of pools, one pool of as many
    /// connections. `one_endpoint` is for comparing two builds of this program, by running them in turn. Five rounds take
    /// about four minutes, more than half of it spent waiting; fewer are run where that would exceed five.
    Balance(BalanceArgs),

    /// A pool per key: what finding it costs, a million keys one after the other, 100,000 that nobody uses
    ///
    /// Connections do nothing. Beside it the same pools without keys, and a map behind a lock. Takes some minutes.
    Keyed(KeyedArgs),

    /// `SELECT 1` on a real PostgreSQL that the run starts for itself, ten connections, 64 and 1,000 users
    ///
    /// Needs PostgreSQL's server programs installed (Debian: `apt-get install postgresql`).
    Postgres(PostgresArgs),

    /// Many callers on one connection: requests of 64 bytes to an echo server on loopback TCP
    ///
    /// 1, 64 and 1,000 tasks on two worker threads, each with one call at a time; the server has a thread of its own.
    /// `batch_limit` is what the wire allows, not a client: one task writes 1,000 frames, then reads their replies.
    /// `wakes_only` is what the runtime allows: 1,000 tasks that one other wakes, and no connection.
    /// `mux_allocations` counts how often a call asks for memory. Five rounds take less than a minute.
    Mux(MuxArgs),

    /// GET of 64 bytes from a real Redis that the run starts for itself, one connection, 1, 64 and 1,000 callers
    ///
    /// Needs Redis's server installed (Debian: `apt-get install redis-server`). Where `redis-benchmark` is installed
    /// too, it gives the floor: pipelines of 100 on one connection, and of 32 on four.
    Redis(RedisArgs),

    /// HTTP clients: rates over HTTP/1.1 and HTTP/2, what a request costs, a thousand at once
    ///
    /// GET of 64 bytes from hyper's server, which has a process of its own. `h1_64`, `h1_64x10` and `h1_1000x10`: so many
    /// tasks over HTTP/1.1, on as many or on 10 connections; `h2_1`, `h2_64`, `h2_1000` and `h2_1000x4`: over HTTP/2 without
    /// TLS, on one or up to four. `cold_burst`: a thousand requests at once over TLS, before there is a connection.
    /// `h1_allocations` and `h2_allocations` count how often a request asks for memory. Where `wrk` and `h2load` are
    /// installed (Debian: `apt-get install wrk nghttp2-client`), they give the floors. Nine rounds take some ten minutes;
    /// fewer are run where that would exceed twenty.
    Http(HttpArgs),

    /// HTTP clients and an nginx that is reloaded each second: how many requests fail
    ///
    /// Half a minute for each subject. Needs nginx installed (Debian: `apt-get install nginx-light`).
    HttpReload(HttpReloadArgs),

    /// Serve HTTP as the runs of `http` ask for it, until standard input ends
    #[command(hide = true, name = HTTP_SERVER)]
    HttpServer,
}

#[derive(Args)]
pub struct Common {
    /// Write the figures to this file, as {"rows":[{"scenario","subject","metric","value"}]}
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Run exactly so many rounds, however long they take
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: Option<u16>,
}

impl Common {
    /// The rounds asked for, or else `default`.
    pub fn rounds(&self, default: Rounds) -> Rounds {
        let asked = self.rounds.map(|count| Rounds::Exactly(usize::from(count)));
        asked.unwrap_or(default)
    }
}

#[derive(Args)]
pub struct PoolArgs {
    #[command(flatten)]
    pub common: Common,

    /// Run only these scenarios (several: commas, or the option again)
    #[arg(long, value_name = "SCENARIO", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(names(&scenarios::all())))]
    pub only: Vec<String>,

    /// Run only these subjects
    #[arg(long, value_name = "SUBJECT", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(subjects(&scenarios::all())))]
    pub subject: Vec<String>,

    /// Run the one case that was chosen in this process, and print what it yields
    #[arg(long, hide = true)]
    pub alone: bool,
}

#[derive(Args)]
pub struct IdleArgs {
    #[command(flatten)]
    pub common: Common,

    /// Run only these scenarios (several: commas, or the option again)
    #[arg(long, value_name = "SCENARIO", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(names(&scenarios::idle())))]
    pub only: Vec<String>,

    /// Run only these subjects
    #[arg(long, value_name = "SUBJECT", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(subjects(&scenarios::idle())))]
    pub subject: Vec<String>,

    /// Run the one case that was chosen in this process, and print what it yields
    #[arg(long, hide = true)]
    pub alone: bool,
}

#[derive(Args)]
pub struct PostgresArgs {
    #[command(flatten)]
    pub common: Common,

    /// Run only these scenarios (several: commas, or the option again)
    #[arg(long, value_name = "SCENARIO", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(postgres::SCENARIOS))]
    pub only: Vec<String>,

    /// Run only these subjects
    #[arg(long, value_name = "SUBJECT", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(postgres::SUBJECTS))]
    pub subject: Vec<String>,
}

#[derive(Args)]
pub struct MuxArgs {
    #[command(flatten)]
    pub common: Common,

    /// Run only these scenarios (several: commas, or the option again)
    #[arg(long, value_name = "SCENARIO", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(names(&mux::all())))]
    pub only: Vec<String>,

    /// Run only these subjects
    #[arg(long, value_name = "SUBJECT", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(subjects(&mux::all())))]
    pub subject: Vec<String>,

    /// Run the one case that was chosen in this process, and print what it yields
    #[arg(long, hide = true)]
    pub alone: bool,
}

#[derive(Args)]
pub struct BalanceArgs {
    #[command(flatten)]
    pub common: Common,

    /// Run only these scenarios (several: commas, or the option again)
    #[arg(long, value_name = "SCENARIO", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(names(&scenarios::balance::all())))]
    pub only: Vec<String>,

    /// Run only these subjects
    #[arg(long, value_name = "SUBJECT", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(subjects(&scenarios::balance::all())))]
    pub subject: Vec<String>,

    /// Run the one case that was chosen in this process, and print what it yields
    #[arg(long, hide = true)]
    pub alone: bool,
}

#[derive(Args)]
pub struct KeyedArgs {
    #[command(flatten)]
    pub common: Common,

    /// Run only these scenarios (several: commas, or the option again)
    #[arg(long, value_name = "SCENARIO", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(names(&scenarios::keyed::all())))]
    pub only: Vec<String>,

    /// Run only these subjects
    #[arg(long, value_name = "SUBJECT", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(subjects(&scenarios::keyed::all())))]
    pub subject: Vec<String>,

    /// Run the one case that was chosen in this process, and print what it yields
    #[arg(long, hide = true)]
    pub alone: bool,
}

#[derive(Args)]
pub struct RedisArgs {
    #[command(flatten)]
    pub common: Common,

    /// Run only these scenarios (several: commas, or the option again)
    #[arg(long, value_name = "SCENARIO", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(redis::SCENARIOS))]
    pub only: Vec<String>,

    /// Run only these subjects
    #[arg(long, value_name = "SUBJECT", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(redis::SUBJECTS))]
    pub subject: Vec<String>,
}

#[derive(Args)]
pub struct HttpArgs {
    #[command(flatten)]
    pub common: Common,

    /// Run only these scenarios (several: commas, or the option again)
    #[arg(long, value_name = "SCENARIO", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(names(&http::all())))]
    pub only: Vec<String>,

    /// Run only these subjects
    #[arg(long, value_name = "SUBJECT", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(subjects(&http::all())))]
    pub subject: Vec<String>,

    /// Run the one case that was chosen in this process, and print what it yields
    #[arg(long, hide = true)]
    pub alone: bool,
}

#[derive(Args)]
pub struct HttpReloadArgs {
    #[command(flatten)]
    pub common: Common,

    /// Run only these scenarios (several: commas, or the option again)
    #[arg(long, value_name = "SCENARIO", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(names(&http::reload())))]
    pub only: Vec<String>,

    /// Run only these subjects
    #[arg(long, value_name = "SUBJECT", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(subjects(&http::reload())))]
    pub subject: Vec<String>,

    /// Run the one case that was chosen in this process, and print what it yields
    #[arg(long, hide = true)]
    pub alone: bool,
}

fn names(scenarios: &[Scenario]) -> Vec<&'static str> {
    scenarios.iter().map(|scenario| scenario.name).collect()
}

fn subjects(scenarios: &[Scenario]) -> Vec<&'static str> {
    let mut subjects = Vec::new();
    for case in scenarios.iter().flat_map(|scenario| &scenario.cases) {
        if !subjects.contains(&case.subject) {
            subjects.push(case.subject);
        }
    }
    subjects
}

/// Keeps what was asked for: the named scenarios and subjects, or all where none is named.
pub fn select(scenarios: Vec<Scenario>, only: &[String], subject: &[String]) -> Vec<Scenario> {
    let wanted =
        |asked: &[String], name: &str| asked.is_empty() || asked.iter().any(|one| one == name);
    scenarios
        .into_iter()
        .filter(|scenario| wanted(only, scenario.name))
        .map(|mut scenario| {
            scenario.cases.retain(|case| wanted(subject, case.subject));
            scenario
        })
        .filter(|scenario| !scenario.cases.is_empty())
        .collect()
}
