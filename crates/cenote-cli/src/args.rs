//! The command line: what may be said, what it means, and what is refused. Nothing here touches the
//! network or the disk.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::{Error, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::help;
use crate::output;
use crate::target::{Address, Echo};
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
    /// few cores busy. What is best depends on how long a request takes; --sweep finds it.
    #[arg(short, long, value_name = "N", conflicts_with = "sweep", allow_hyphen_values = true, value_parser = values::pool_size)]
    pool_size: Option<u32>,

    /// Try the pool at several sizes: 1..64 (its ends and the powers of two between) or a list, 5,10,20
    #[arg(long, value_name = "SIZES", allow_hyphen_values = true, value_parser = values::sizes)]
    sweep: Option<Sizes>,

    /// Connections that all users share in the mode `shared` [default: 1]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
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

/// What to do: the options, checked against each other.
#[derive(Debug)]
pub struct Plan {
    pub address: Address,
    pub load: Load,
    pub acquire_timeout: Duration,
    pub connect_timeout: Duration,
    /// The runs, in order.
    pub runs: Vec<Setup>,
    pub password_file: Option<PathBuf>,
    pub root_certificates: Option<PathBuf>,
    pub json: Option<PathBuf>,
    pub report: Option<PathBuf>,
}

/// What the users do, the same in every run.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub users: usize,
    pub duration: Duration,
    pub request_size: usize,
    pub think_time: Duration,
}

/// How connections are had in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    NoPool,
    Exclusive { pool_size: usize },
    Shared { connections: usize },
}

impl Setup {
    pub fn mode(self) -> Mode {
        match self {
            Self::NoPool => Mode::NoPool,
            Self::Exclusive { .. } => Mode::Exclusive,
            Self::Shared { .. } => Mode::Shared,
        }
    }

    pub fn pool_size(self) -> Option<usize> {
        match self {
            Self::NoPool => None,
            Self::Exclusive { pool_size } => Some(pool_size),
            Self::Shared { connections } => Some(connections),
        }
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPool => f.write_str("no pool"),
            Self::Exclusive { pool_size } => write!(f, "exclusive pool of {pool_size}"),
            Self::Shared { connections } => write!(f, "shared pool of {connections}"),
        }
    }
}

const DEFAULT_POOL_SIZE: u32 = 10;
/// What many users on one connection are like shows best on one.
const DEFAULT_SHARED_CONNECTIONS: u32 = 1;

impl Stress {
    /// Checks what no option can check alone.
    pub fn plan(self) -> Result<Plan, Error> {
        let echo = Echo {
            tls: self.tls != Some(Switch::Off),
            service_time: self.service_time.unwrap_or_default(),
            request_size: self.request_size,
        };
        let address = Address::parse(&self.target, echo)
            .map_err(|error| refuse(ErrorKind::ValueValidation, &error.to_string()))?;
        if !matches!(address, Address::Embedded(_)) {
            let given = [
                ("--tls", self.tls.is_some()),
                ("--service-time", self.service_time.is_some()),
            ];
            for (option, given) in given {
                if given {
                    let what = format!(
                        "{option} is for the embedded server, and the target is of the kind {}",
                        address.kind()
                    );
                    return Err(refuse(ErrorKind::ArgumentConflict, &what));
                }
            }
        }
        if self.password_file.is_some() {
            check_password_file(&address)?;
        }
        if self.root_certificates.is_some() {
            check_root_certificates(&address)?;
        }
        if let (Some(json), Some(report)) = (&self.json, &self.report)
            && same_place(json, report)
        {
            let what = format!(
                "--json and --report would both be written to {}; give each a file of its own",
                output::shown(json)
            );
            return Err(refuse(ErrorKind::ArgumentConflict, &what));
        }
        let runs = runs(
            &self.modes,
            self.pool_size,
            self.sweep,
            self.shared_connections,
        )?;
        Ok(Plan {
            address,
            load: Load {
                users: self.users as usize,
                duration: self.duration,
                request_size: self.request_size,
                think_time: self.think_time,
            },
            acquire_timeout: self.acquire_timeout,
            connect_timeout: self.connect_timeout,
            runs,
            password_file: self.password_file,
            root_certificates: self.root_certificates,
            json: self.json,
            report: self.report,
        })
    }
}

fn check_password_file(address: &Address) -> Result<(), Error> {
    let what = match address {
        Address::Embedded(_) | Address::Tcp { .. } => {
            "--password-file is for databases: the target is none"
        }
        Address::Postgres(url) | Address::Redis(url) if url.password().is_some() => {
            "--password-file gives a password, and the target has one: leave one of them out"
        }
        Address::Postgres(_) | Address::Redis(_) => return Ok(()),
    };
    Err(refuse(ErrorKind::ArgumentConflict, what))
}

fn check_root_certificates(address: &Address) -> Result<(), Error> {
    let what = match address {
        Address::Embedded(_) | Address::Tcp { .. } => {
            "--root-certificates is for databases: the target is none"
        }
        Address::Postgres(url) if url.option("sslmode") == Some("disable") => {
            "--root-certificates is for TLS, which sslmode=disable in the target switches off"
        }
        Address::Redis(url) if !url.is_of("rediss") && !url.is_of("valkeys") => {
            "--root-certificates is for TLS: the target would begin with rediss://"
        }
        Address::Postgres(_) | Address::Redis(_) => return Ok(()),
    };
    Err(refuse(ErrorKind::ArgumentConflict, what))
}

fn runs(
    modes: &[Mode],
    pool_size: Option<u32>,
    sweep: Option<Sizes>,
    shared_connections: Option<u32>,
) -> Result<Vec<Setup>, Error> {
    let wanted = |mode| modes.is_empty() || modes.contains(&mode);
    let sized = match (&sweep, pool_size) {
        (Some(_), _) => Some("--sweep"),
        (None, Some(_)) => Some("--pool-size"),
        (None, None) => None,
    };
    if let (Some(option), false) = (sized, wanted(Mode::Exclusive)) {
        let what = format!("{option} is about the exclusive pool, which --mode leaves out");
        return Err(refuse(ErrorKind::ArgumentConflict, &what));
    }
    if shared_connections.is_some() && !wanted(Mode::Shared) {
        let what = "--shared-connections is about the shared pool, which --mode leaves out";
        return Err(refuse(ErrorKind::ArgumentConflict, what));
    }
    let mut runs = Vec::new();
    if wanted(Mode::NoPool) {
        runs.push(Setup::NoPool);
    }
    if wanted(Mode::Exclusive) {
        let sizes = match sweep {
            Some(Sizes(sizes)) => sizes,
            None => vec![pool_size.unwrap_or(DEFAULT_POOL_SIZE)],
        };
        runs.extend(sizes.iter().map(|size| Setup::Exclusive {
            pool_size: *size as usize,
        }));
    }
    if wanted(Mode::Shared) {
        runs.push(Setup::Shared {
            connections: shared_connections.unwrap_or(DEFAULT_SHARED_CONNECTIONS) as usize,
        });
    }
    Ok(runs)
}

/// Whether two paths are written differently at most.
fn same_place(one: &Path, other: &Path) -> bool {
    let absolute = |path| std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
    absolute(one) == absolute(other)
}
