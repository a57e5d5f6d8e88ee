//! A PostgreSQL server for a test.

use crate::account::Account;
use crate::cluster::{self, SUPERUSER};
use crate::error::ServerError;
use crate::percent::percent_encoded;
use crate::programs;
use crate::server::{self, Recipe, Server, define_life};
use crate::standby;
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

// Far from PostgreSQL's own limit, which other settings have a share in.
const MOST_CONNECTIONS: u32 = 100_000;

/// A PostgreSQL server on 127.0.0.1, with a new cluster in a temporary folder; both end with this
/// value.
///
/// The superuser `postgres` and the database `postgres` exist. Nothing is forced to the disk
/// (`fsync` is off), yet committed data survive [`kill`](Self::kill) and [`restart`](Self::restart).
/// Autovacuum and replication are off, unless it is to be [`replicating`](PostgresBuilder::replicating), so that only the
/// test's own clients are served. When the
/// caller is root, which PostgreSQL refuses, it runs as the account `postgres` (or `nobody`).
///
/// ```
/// use cenote_testkit::PostgresServer;
///
/// # fn main() -> Result<(), cenote_testkit::ServerError> {
/// let server = PostgresServer::start()?;
/// let port = server.port();
/// assert_eq!(server.url(), format!("postgres://postgres@127.0.0.1:{port}/postgres"));
///
/// server.stop()?; // frozen: connections stay open, nothing answers
/// server.cont()?;
/// server.kill()?; // every process is gone, new connections are refused
/// server.restart()?; // same port, same data
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PostgresServer {
    server: Server<PostgresRecipe>,
    password: Option<String>,
}

impl PostgresServer {
    /// Starts a server that trusts every client, and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// [`ServerError::MissingProgram`] when PostgreSQL is not installed, [`ServerError::Setup`] when
    /// `initdb` fails, [`ServerError::Exited`] or [`ServerError::NotReady`] with the server's log when
    /// it does not come up, [`ServerError::NoAccount`] when root finds no account to run it as, and
    /// [`ServerError::System`] when the system refuses a folder or a process.
    pub fn start() -> Result<Self, ServerError> {
        Self::builder().start()
    }

    /// Settings first, then [`PostgresBuilder::start`].
    pub fn builder() -> PostgresBuilder {
        PostgresBuilder::default()
    }

    /// `postgres://postgres@127.0.0.1:PORT/postgres`, with the password if one is set.
    #[must_use]
    pub fn url(&self) -> String {
        let password = match &self.password {
            Some(password) => format!(":{}", percent_encoded(password)),
            None => String::new(),
        };
        format!("postgres://{SUPERUSER}{password}@{}/postgres", self.addr())
    }

    /// Starts a standby of `primary`, which is [`replicating`](PostgresBuilder::replicating), with the same settings, and
    /// waits until it takes connections, which can read and not write.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); [`ServerError::Setup`] when `primary` cannot be copied, for it is down, is not
    /// `replicating`, or has a password.
    pub fn standby_of(primary: &Self) -> Result<Self, ServerError> {
        let recipe = primary.server.recipe().clone();
        let folder = server::folder(cluster::KIND)?;
        standby::copy(folder.path(), recipe.account, primary.port())?;
        standby::follow(folder.path(), recipe.account, primary.port())?;
        Ok(Self {
            server: Server::launch(recipe, folder)?,
            password: None,
        })
    }

    /// Asks a standby to become a primary, as it does some milliseconds later: `pg_is_in_recovery()` then is false.
    /// Clients stay connected.
    ///
    /// # Errors
    ///
    /// [`ServerError::Setup`] when it is down, or no standby.
    pub fn promote(&self) -> Result<(), ServerError> {
        standby::promote(self.folder(), self.server.recipe().account)
    }

    /// Shuts it down in PostgreSQL's "fast" mode, which tells the connected clients that an administrator ends their
    /// sessions, and the standbys all that it has. Without effect on one that is down.
    ///
    /// # Errors
    ///
    /// [`ServerError::StillRunning`] if the system does not get rid of the processes.
    pub fn shut_down(&self) -> Result<(), ServerError> {
        self.server.shut_down()
    }

    /// Restarts it as a standby of `primary`: one that was a standby and follows another from now on, or the primary of
    /// before, which must have been [shut down](Self::shut_down) before `primary` was promoted, or it has what that
    /// has not.
    ///
    /// # Errors
    ///
    /// As [`restart`](Self::restart).
    pub fn follow(&self, primary: &Self) -> Result<(), ServerError> {
        let account = self.server.recipe().account;
        self.server
            .restart_changed(|folder| standby::follow(folder, account, primary.port()))
    }

    define_life!(
        holds: "data",
        restarted: "shut down in PostgreSQL's \"fast\" mode, which tells the connected clients that an \
                    administrator ends their sessions"
    );
}

/// The settings of a [`PostgresServer`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder starts nothing until `start` is called"]
pub struct PostgresBuilder {
    password: Option<String>,
    max_connections: Option<u32>,
    settings: Vec<(String, String)>,
}

impl PostgresBuilder {
    /// The password of the superuser `postgres`, asked for by SCRAM-SHA-256. Default: every client is
    /// trusted without one.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// How many clients may be connected at once: exactly so many, none of them reserved for
    /// superusers. Default: 100.
    pub fn max_connections(mut self, max_connections: u32) -> Self {
        self.max_connections = Some(max_connections);
        self
    }

    /// Standbys can [follow](PostgresServer::standby_of) it. Default: they cannot.
    pub fn replicating(mut self) -> Self {
        let settings = standby::SETTINGS.map(|(name, value)| (name.into(), value.into()));
        self.settings.extend(settings);
        self
    }

    /// Any other setting of `postgresql.conf`, by its name. A later one of the same name wins, over
    /// this crate's choices too.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Makes a new cluster, starts the server and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// As [`PostgresServer::start`], and [`ServerError::BadSetting`] for a `max_connections` outside
    /// 1 to 100,000 or a password that is empty or has a line break. Another setting that PostgreSQL
    /// refuses is a [`ServerError::Exited`] whose log names it.
    pub fn start(self) -> Result<PostgresServer, ServerError> {
        self.verify()?;
        let recipe = PostgresRecipe {
            program: programs::postgres("postgres")?,
            account: Account::unprivileged()?,
            max_connections: self.max_connections.unwrap_or(100),
            settings: self.settings,
        };
        let folder = server::folder(cluster::KIND)?;
        cluster::create(folder.path(), recipe.account, self.password.as_deref())?;
        Ok(PostgresServer {
            server: Server::launch(recipe, folder)?,
            password: self.password,
        })
    }

    fn verify(&self) -> Result<(), ServerError> {
        let too_many_or_none = |count: &u32| !(1..=MOST_CONNECTIONS).contains(count);
        if let Some(count) = self.max_connections.filter(too_many_or_none) {
            return Err(ServerError::BadSetting {
                setting: "max_connections",
                value: count.to_string(),
                accepted: "it must be 1 to 100000",
            });
        }
        let is_unfit =
            |password: &&String| password.is_empty() || password.contains(['\n', '\r', '\0']);
        if let Some(password) = self.password.as_ref().filter(is_unfit) {
            return Err(ServerError::BadSetting {
                setting: "password",
                value: format!("{password:?}"),
                accepted: "at least one character is needed, and no line break or NUL",
            });
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
struct PostgresRecipe {
    program: PathBuf,
    account: Option<Account>,
    max_connections: u32,
    settings: Vec<(String, String)>,
}

impl Recipe for PostgresRecipe {
    const NAME: &'static str = "PostgreSQL";
    const END_ORDERLY: Signal = Signal::INT;
    // Not KILL: an immediate shutdown still frees the server's shared memory.
    const END_AT_ONCE: Signal = Signal::QUIT;
    // A killed server leaves a small segment of System V shared memory, whose id ends the seventh line
    // of its lock file. A server that ended in order has removed both.
    const FREE: &'static str = "ipcrm -m $(sed -n '7s/.* //p' data/postmaster.pid)";

    fn command(&self, folder: &Path, port: u16) -> Result<Command, ServerError> {
        let mut command = cluster::command(&self.program, self.account);
        command.arg("-D").arg(cluster::data(folder)).args([
            "-p",
            &port.to_string(),
            "-h",
            "127.0.0.1",
        ]);
        command
            .arg("-k")
            .arg(folder)
            .args(["-N", &self.max_connections.to_string()]);
        for setting in [
            "superuser_reserved_connections=0",
            "max_wal_senders=0",
            "wal_level=minimal",
            "autovacuum=off",
            "fsync=off",
            "full_page_writes=off",
            // In the data folder, so that a killed server leaves none in /dev/shm.
            "dynamic_shared_memory_type=mmap",
        ] {
            command.args(["-c", setting]);
        }
        for (name, value) in &self.settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        Ok(command)
    }

    fn is_ready(&self, folder: &Path, port: u16, pid: u32) -> bool {
        let lock =
            fs::read_to_string(cluster::data(folder).join("postmaster.pid")).unwrap_or_default();
        says_ready(&lock, pid) && server::connect(port).is_ok()
    }
}

/// Whether the lock file of a cluster is that of `pid` and says that connections are accepted. A
/// file left by a killed server names another process.
fn says_ready(lock: &str, pid: u32) -> bool {
    let mut lines = lock.lines();
    lines
        .next()
        .is_some_and(|line| line.trim() == pid.to_string())
        && lines.nth(6).is_some_and(|line| line.trim() == "ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str =
        "17\n/tmp/data\n1700000000\n20000\n/tmp\n127.0.0.1\n  123456     98304\nready   \n";

    #[test]
    fn a_lock_file_says_ready_for_its_own_process_only() {
        assert!(says_ready(LOCK, 17));
        assert!(!says_ready(LOCK, 18));
    }

    #[test]
    fn a_starting_server_is_not_ready() {
        assert!(!says_ready(&LOCK.replace("ready   ", "starting"), 17));
        assert!(!says_ready("17\n/tmp/data\n", 17));
    }

    #[test]
    fn zero_connections_are_refused_by_name_with_what_is_accepted() {
        let error = PostgresServer::builder()
            .max_connections(0)
            .start()
            .unwrap_err();
        let expected = "max_connections is 0: it must be 1 to 100000";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_password_that_cannot_be_given_to_initdb_is_refused() {
        for password in ["", "two\nlines"] {
            let error = PostgresServer::builder()
                .password(password)
                .start()
                .unwrap_err();
            assert!(error.to_string().starts_with("password is "), "{error}");
        }
    }
}
