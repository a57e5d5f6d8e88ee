//! The command line: what may be said, what it means, and what is refused. Nothing here touches the
//! network or the disk.

mod plan;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use cenote::endpoints::Balance;
use clap::builder::PossibleValue;
use clap::error::{Error, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use serde::{Serialize, Serializer};

pub use self::plan::{Load, Plan, Setup};
use crate::help;
use crate::values::{self, Sizes};

/// The `cenote` program.
#[derive(Debug, Parser)]
#[command(
    name = "cenote",
    version,
    about = "Measures what a connection pool is worth",
    after_help = help::of_program(),
    arg_required_else_help = true,
    max_term_width = help::WIDEST
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// An error of `cenote stress`.
pub fn refuse(kind: ErrorKind, what: &str) -> Error {
    let mut command = Cli::command();
    command.build();
    match command.find_subcommand_mut("stress") {
        Some(stress) => stress.error(kind, what),
        None => command.error(kind, what),
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run many users against a server, without a pool and with one, and compare
    #[command(after_long_help = help::of_stress(), after_help = "More, with examples: cenote stress --help")]
    Stress(Stress),
}

/// Options of `cenote stress`, as typed.
#[derive(Debug, Args)]
pub struct Stress {
    /// What to load: embedded, tcp://HOST:PORT, postgres://... or redis://...
    ///
    /// `embedded` is an echo server in this process that does a real TLS handshake, so that a
    /// connection costs what it costs. `tcp://` expects a server that echoes what it reads. PostgreSQL
    /// answers a SELECT, Redis an ECHO, of --request-size bytes. `rediss://` is Redis over TLS; PostgreSQL
    /// takes `?sslmode=require`.
    ///
    /// `tcp://a:1,b:2` is a service of several servers, as `embedded` is with --servers: one pool is over all
    /// of them. Several hosts in the URL of a database are one server, looked for at each in turn.
    #[arg(default_value = "embedded")]
    target: String,

    /// Users at once
    #[arg(short, long, value_name = "N", default_value = "1000", allow_hyphen_values = true, value_parser = values::users)]
    users: u32,

    /// How long each mode runs, such as 5s, 500ms or "1m 30s"
    #[arg(short, long, value_name = "TIME", default_value = "5s", allow_hyphen_values = true, value_parser = values::positive_duration)]
    duration: Duration,

    /// What to compare, separated by commas [default: all]
    #[arg(short, long = "mode", value_name = "MODE", value_delimiter = ',')]
    modes: Vec<Mode>,

    /// Connections in the pool [default: 10]
    ///
    /// 10 is what a pool of this library has when nothing else is said: enough to keep a server of a
    /// few cores busy. What is best depends on how long a request takes; --sweep finds it. Over several
    /// servers it is so many to each.
    #[arg(short, long, value_name = "N", conflicts_with = "sweep", allow_hyphen_values = true, value_parser = values::pool_size)]
    pool_size: Option<u32>,

    /// Try the pool at several sizes: 1..64 (its ends and the powers of two between) or a list, 5,10,20
    #[arg(long, value_name = "SIZES", allow_hyphen_values = true, value_parser = values::sizes)]
    sweep: Option<Sizes>,

    /// Connections that all users share in the mode `shared` [default: 1]
    ///
    /// Over several servers it is so many to each.
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = values::pool_size)]
    shared_connections: Option<u32>,

    /// Bytes in a request and in its answer, such as 64, 4KiB or 1MiB
    #[arg(long, value_name = "BYTES", default_value = "64", allow_hyphen_values = true, value_parser = values::request_size)]
    request_size: usize,

    /// A user's pause between two requests; each is drawn from half to one and a half times this
    #[arg(long, value_name = "TIME", default_value = "0s", allow_hyphen_values = true, value_parser = values::duration)]
    think_time: Duration,

    /// Whether connections to the embedded server use TLS [default: on]
    #[arg(long, value_name = "SWITCH")]
    tls: Option<Switch>,

    /// How long the embedded server takes to answer, as a query would [default: 0s]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = values::duration)]
    service_time: Option<Duration>,

    /// Embedded servers, each with a port of its own, and one pool over all of them [default: 1, 3 with --chaos]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = values::servers)]
    servers: Option<u32>,

    /// How many of the embedded servers are slow
    #[arg(long, value_name = "K", allow_hyphen_values = true, value_parser = values::servers)]
    slow: Option<u32>,

    /// How much longer those take to answer [default: 50ms]
    #[arg(long, value_name = "TIME", requires = "slow", allow_hyphen_values = true, value_parser = values::positive_duration)]
    slow_by: Option<Duration>,

    /// Which server of several the pools choose [default: p2c]
    ///
    /// In the exclusive pool they differ while connections are idle: while all are in use, the next to come back
    /// serves. Without a pool any server is chosen.
    #[arg(long, value_name = "RULE")]
    balance: Option<Rule>,

    /// Kill, freeze, bring back and add embedded servers during each run
    ///
    /// A killed server resets its connections and refuses others; a frozen one accepts them and answers
    /// nothing; one is added to those that the pool knows. Each run sees the same at the same times. What came
    /// of it is told step by step: the requests that failed, and after how long none did any more.
    #[arg(long)]
    chaos: bool,

    /// Repeat the chaos of a run that showed this seed [default: another each time]
    #[arg(long, value_name = "NUMBER", requires = "chaos", allow_hyphen_values = true, value_parser = values::seed)]
    seed: Option<u64>,

    /// How long a user waits for an answer before giving up [default: without end, 500ms with --chaos]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = values::positive_duration)]
    request_timeout: Option<Duration>,

    /// How long a user waits for a connection before giving up
    #[arg(long, value_name = "TIME", default_value = "5s", allow_hyphen_values = true, value_parser = values::positive_duration)]
    acquire_timeout: Duration,

    /// How long opening one connection may take
    #[arg(long, value_name = "TIME", default_value = "5s", allow_hyphen_values = true, value_parser = values::positive_duration)]
    connect_timeout: Duration,

    /// A file with the password of a database on its only line
    ///
    /// A password in TARGET is seen by everybody who lists the processes of this machine, and stays in the
    /// shell's history. Where neither TARGET nor this option has one, the environment is asked: PGPASSWORD
    /// for PostgreSQL, REDISCLI_AUTH for Redis.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// A PEM file of certificates to trust in place of the system's, for an authority of your own
    ///
    /// With it PostgreSQL is always asked for TLS, unless TARGET has an sslmode. Redis is where TARGET
    /// begins with rediss://.
    #[arg(long, value_name = "FILE")]
    root_certificates: Option<PathBuf>,

    /// Write all that was measured as JSON; - is the standard output (the table then goes to stderr)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write a self-contained page with plots; - as for --json
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

/// A way of getting connections that can be compared with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Each request opens a connection and closes it
    NoPool,
    /// One pool; a user has a connection alone while using it
    Exclusive,
    /// Few connections that all users send on at once, without waiting for each other's answers
    Shared,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// A rule by which a pool chooses among servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Rule {
    /// Of two drawn at random the one with less to do: nearly even, whatever their number
    #[default]
    #[value(name = "p2c", alias = "power-of-two")]
    PowerOfTwo,
    /// Of two drawn at random the one whose answers take less, times what it has to do: a slow or failing server gets few
    PeakEwma,
    /// The one with the least to do: a slow server gets least; looks at all of them each time
    LeastLoaded,
    /// One after the other: for servers that are alike, and requests too
    RoundRobin,
    /// Any: to compare the others with
    Random,
}

impl From<Rule> for Balance {
    fn from(rule: Rule) -> Self {
        match rule {
            Rule::PowerOfTwo => Self::PowerOfTwo,
            Rule::PeakEwma => Self::PeakEwma,
            Rule::LeastLoaded => Self::LeastLoaded,
            Rule::RoundRobin => Self::RoundRobin,
            Rule::Random => Self::Random,
        }
    }
}

/// As `--balance` takes it.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", PossibleValue::get_name))
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
