//! What is to be done: the options, checked against each other.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use clap::error::{Error, ErrorKind};

use super::{Mode, Rule, Stress, Switch, refuse};
use crate::chaos::Schedule;
use crate::output;
use crate::target::{Address, Echo, Fleet};
use crate::values::Sizes;

/// What to do.
#[derive(Debug)]
pub struct Plan {
    pub address: Address,
    pub load: Load,
    pub acquire_timeout: Duration,
    pub connect_timeout: Duration,
    /// `None`: users wait for an answer without end.
    pub request_timeout: Option<Duration>,
    /// How a pool over several servers chooses.
    pub balance: Rule,
    /// What befalls the servers during each run.
    pub chaos: Option<Schedule>,
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
/// Where one falls out, the others show what a pool over several is for.
const CHAOS_SERVERS: u32 = 3;
/// What is frozen answers nothing: without a time-out its users would never notice. Less than a freeze takes
/// in a run of the default length.
const CHAOS_REQUEST_TIMEOUT: Duration = Duration::from_millis(500);
/// As much as a slow disk, or a neighbour that takes the processor, adds.
const SLOW_BY: Duration = Duration::from_millis(50);
/// Short enough to be typed again.
const MADE_UP_SEEDS: u64 = 1_000_000;

impl Stress {
    /// Checks what no option can check alone.
    pub fn plan(self) -> Result<Plan, Error> {
        let fleet = self.fleet()?;
        let chaos = self.chaos.then(|| {
            let seed = self.seed.unwrap_or_else(|| fastrand::u64(..MADE_UP_SEEDS));
            Schedule::new(seed, self.duration, fleet.servers)
        });
        let fleet = Fleet {
            spare: chaos.as_ref().map_or(0, Schedule::additions),
            ..fleet
        };
        let address = Address::parse(&self.target, fleet)
            .map_err(|error| refuse(ErrorKind::ValueValidation, &error.to_string()))?;
        if !matches!(address, Address::Embedded(_)) {
            self.check_that_nothing_is_embedded(&address)?;
        }
        self.check_balance(&address)?;
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
        let modes = match self.modes.is_empty() {
            true => Mode::value_variants().to_vec(),
            false => self.modes.clone(),
        };
        let runs = runs(&modes, self.pool_size, self.sweep, self.shared_connections)?;
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
            request_timeout: self
                .request_timeout
                .or(chaos.is_some().then_some(CHAOS_REQUEST_TIMEOUT)),
            balance: self.balance.unwrap_or_default(),
            chaos,
            runs,
            password_file: self.password_file,
            root_certificates: self.root_certificates,
            json: self.json,
            report: self.report,
        })
    }

    /// The embedded servers, if they are what is loaded.
    fn fleet(&self) -> Result<Fleet, Error> {
        let some = match self.chaos {
            true => CHAOS_SERVERS,
            false => 1,
        };
        let servers = self.servers.unwrap_or(some);
        let slow = self.slow.unwrap_or(0);
        if slow > 0 && slow >= servers {
            let what = format!(
                "--slow {slow} leaves none of the embedded servers as it is: there are {servers} (see --servers); \
                 --service-time makes all of them slow"
            );
            return Err(refuse(ErrorKind::ArgumentConflict, &what));
        }
        Ok(Fleet {
            echo: Echo {
                tls: self.tls != Some(Switch::Off),
                service_time: self.service_time.unwrap_or_default(),
                request_size: self.request_size,
            },
            servers: servers as usize,
            slow: slow as usize,
            slow_by: self.slow_by.unwrap_or(SLOW_BY),
            spare: 0,
        })
    }

    fn check_that_nothing_is_embedded(&self, address: &Address) -> Result<(), Error> {
        let given = [
            ("--tls", self.tls.is_some()),
            ("--service-time", self.service_time.is_some()),
            ("--servers", self.servers.is_some()),
            ("--slow", self.slow.is_some()),
            ("--chaos", self.chaos),
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
        Ok(())
    }

    fn check_balance(&self, address: &Address) -> Result<(), Error> {
        let what = match self.balance {
            Some(_) if !address.is_set() => {
                "--balance is for several servers, and the target is one: --servers makes more embedded ones, \
                 tcp://HOST:PORT,HOST:PORT names others"
            }
            Some(_) if self.modes == [Mode::NoPool] => {
                "--balance is about the pools, which --mode leaves out"
            }
            _ => return Ok(()),
        };
        Err(refuse(ErrorKind::ArgumentConflict, what))
    }
}

fn check_password_file(address: &Address) -> Result<(), Error> {
    let what = match address {
        Address::Embedded(_) | Address::Tcp(_) => {
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
        Address::Embedded(_) | Address::Tcp(_) => {
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
    let wanted = |mode| modes.contains(&mode);
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
