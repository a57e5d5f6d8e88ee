//! A PgBouncer for a test.

use crate::account::Account;
use crate::cluster::SUPERUSER;
use crate::error::ServerError;
use crate::programs;
use crate::server::{self, Recipe, Server, define_life};
use rustix::process::Signal;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A PgBouncer on 127.0.0.1 in front of a PostgreSQL server, with its files in a temporary folder; both end with
/// this value, the PostgreSQL server does not.
///
/// It trusts every client, and pools by transaction unless told otherwise: each transaction of a client runs in
/// whichever session with the server is free. When the caller is root, which PgBouncer refuses, it runs as the
/// account `postgres` (or `nobody`).
///
/// ```
/// use cenote_testkit::{PgBouncerServer, PostgresServer};
///
/// # fn main() -> Result<(), cenote_testkit::ServerError> {
/// let server = PostgresServer::start()?;
/// let pooler = PgBouncerServer::builder().setting("default_pool_size", "3").start(server.addr())?;
/// let port = pooler.port();
/// assert_eq!(pooler.url(), format!("postgres://postgres@127.0.0.1:{port}/postgres"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PgBouncerServer {
    server: Server<PgBouncerRecipe>,
}

impl PgBouncerServer {
    /// Starts a PgBouncer in front of the PostgreSQL server at `server`, which must trust the user `postgres`, and
    /// waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// [`ServerError::MissingProgram`] when PgBouncer is not installed, [`ServerError::Exited`] or
    /// [`ServerError::NotReady`] with its log when it does not come up, [`ServerError::NoAccount`] when root
    /// finds no account to run it as, and [`ServerError::System`] when the system refuses a folder or a process.
    pub fn start(server: SocketAddr) -> Result<Self, ServerError> {
        Self::builder().start(server)
    }

    /// Settings first, then [`PgBouncerBuilder::start`].
    pub fn builder() -> PgBouncerBuilder {
        PgBouncerBuilder::default()
    }

    /// `postgres://postgres@127.0.0.1:PORT/postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://{SUPERUSER}@{}/postgres", self.addr())
    }

    define_life!(holds: "settings", restarted: "ended, with its clients' connections");
}

/// The settings of a [`PgBouncerServer`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder starts nothing until `start` is called"]
pub struct PgBouncerBuilder {
    settings: Vec<(String, String)>,
}

impl PgBouncerBuilder {
    /// Any setting of the section `[pgbouncer]`, by its name. A later one of the same name wins, over this
    /// crate's choices too (`pool_mode` is `transaction`).
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Starts it in front of the server at `server` and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// As [`PgBouncerServer::start`]. A setting with a line break is a [`ServerError::BadSetting`]; one that
    /// PgBouncer refuses, or that its version does not know, is a [`ServerError::Exited`] whose log names it.
    pub fn start(self, server: SocketAddr) -> Result<PgBouncerServer, ServerError> {
        for (name, value) in &self.settings {
            if name.contains(['\n', '\r', '\0']) || value.contains(['\n', '\r', '\0']) {
                return Err(ServerError::BadSetting {
                    setting: "setting",
                    value: format!("{name:?} = {value:?}"),
                    accepted: "a line break or NUL cannot be written to its file",
                });
            }
        }
        let recipe = PgBouncerRecipe {
            program: programs::pgbouncer()?,
            account: Account::unprivileged()?,
            server,
            settings: self.settings,
        };
        let folder = server::folder("pgbouncer")?;
        if let Some(account) = recipe.account {
            account.take(folder.path())?;
        }
        fs::write(folder.path().join(USERS), format!("\"{SUPERUSER}\" \"\"\n"))
            .map_err(ServerError::system("write PgBouncer's users"))?;
        Ok(PgBouncerServer {
            server: Server::launch(recipe, folder)?,
        })
    }
}

const USERS: &str = "users.txt";
const SETTINGS: &str = "pgbouncer.ini";
const LOCK: &str = "pgbouncer.pid";

#[derive(Debug)]
struct PgBouncerRecipe {
    program: PathBuf,
    account: Option<Account>,
    server: SocketAddr,
    settings: Vec<(String, String)>,
}

impl PgBouncerRecipe {
    fn settings(&self, port: u16) -> String {
        let (host, server_port) = (self.server.ip(), self.server.port());
        let mut text = format!(
            "[databases]\n* = host={host} port={server_port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {USERS}\n\
             pidfile = {LOCK}\npool_mode = transaction\nmax_client_conn = 1000\n"
        );
        for (name, value) in &self.settings {
            text.push_str(&format!("{name} = {value}\n"));
        }
        text
    }
}

impl Recipe for PgBouncerRecipe {
    const NAME: &'static str = "PgBouncer";
    const END_ORDERLY: Signal = Signal::TERM;
    const END_AT_ONCE: Signal = Signal::KILL;
    const FREE: &'static str = "";

    fn command(&self, folder: &Path, port: u16) -> Result<Command, ServerError> {
        fs::write(folder.join(SETTINGS), self.settings(port))
            .map_err(ServerError::system("write PgBouncer's settings"))?;
        // One left by a killed PgBouncer names another process.
        let _ = fs::remove_file(folder.join(LOCK));
        let mut command = Command::new(&self.program);
        command.arg(SETTINGS);
        if let Some(account) = self.account {
            account.apply(&mut command);
        }
        Ok(command)
    }

    fn is_ready(&self, folder: &Path, port: u16, pid: u32) -> bool {
        let lock = fs::read_to_string(folder.join(LOCK)).unwrap_or_default();
        lock.trim() == pid.to_string() && server::connect(port).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_setting_that_spans_lines_is_refused() {
        let error = PgBouncerServer::builder()
            .setting("pool_mode", "session\nauth_type = any")
            .start(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)))
            .unwrap_err();
        assert!(error.to_string().starts_with("setting is "), "{error}");
    }
}
