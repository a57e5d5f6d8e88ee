//! A Redis server for a test.

use crate::error::ServerError;
use crate::percent::percent_encoded;
use crate::programs;
use crate::server::{self, Recipe, Server, define_life};
use rustix::process::Signal;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A Redis server on 127.0.0.1, with its data in a temporary folder; both end with this value.
///
/// Written data survive [`kill`](Self::kill) and [`restart`](Self::restart): the server appends each
/// write to its log before it answers. `DEBUG` is enabled for local clients.
///
/// ```
/// use cenote_testkit::RedisServer;
///
/// # fn main() -> Result<(), cenote_testkit::ServerError> {
/// let server = RedisServer::builder().password("secret").max_clients(50).start()?;
/// assert_eq!(server.url(), format!("redis://:secret@127.0.0.1:{}", server.port()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RedisServer {
    server: Server<RedisRecipe>,
    password: Option<String>,
}

impl RedisServer {
    /// Starts a server without a password, with the server's own defaults otherwise, and waits until
    /// it accepts connections.
    ///
    /// # Errors
    ///
    /// [`ServerError::MissingProgram`] when Redis is not installed, [`ServerError::Exited`] or
    /// [`ServerError::NotReady`] with the server's log when it does not come up, and
    /// [`ServerError::System`] when the system refuses a folder or a process.
    pub fn start() -> Result<Self, ServerError> {
        Self::builder().start()
    }

    /// Settings first, then [`RedisBuilder::start`].
    pub fn builder() -> RedisBuilder {
        RedisBuilder::default()
    }

    /// `redis://127.0.0.1:PORT`, with the password if one is set.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.addr(), self.password.as_deref())
    }

    define_life!(holds: "data", restarted: "asked to end in good order (SIGTERM)");
}

/// The settings of a [`RedisServer`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder starts nothing until `start` is called"]
pub struct RedisBuilder {
    password: Option<String>,
    settings: Vec<(String, String)>,
}

impl RedisBuilder {
    /// Asks clients for this password (`requirepass`). Default: none.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// How many clients may be connected at once (`maxclients`). Default: Redis's, 10,000.
    pub fn max_clients(self, max_clients: u32) -> Self {
        self.setting("maxclients", max_clients.to_string())
    }

    /// Any other setting of `redis.conf`, by its name. A later one of the same name wins.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Starts the server and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// As [`RedisServer::start`]; a setting that Redis refuses is a [`ServerError::Exited`] whose log
    /// names it.
    pub fn start(self) -> Result<RedisServer, ServerError> {
        let recipe = RedisRecipe {
            program: programs::redis()?,
            password: self.password.clone(),
            settings: self.settings,
        };
        Ok(RedisServer {
            server: Server::launch(recipe, server::folder("redis")?)?,
            password: self.password,
        })
    }
}

/// The URL of what speaks Redis's protocol there.
pub(crate) fn url(at: SocketAddr, password: Option<&str>) -> String {
    let login = match password {
        Some(password) => format!(":{}@", percent_encoded(password)),
        None => String::new(),
    };
    format!("redis://{login}{at}")
}

/// What the server at `port` says to these commands, each with its line end, after a login where that is needed.
pub(crate) fn ask(port: u16, password: Option<&str>, commands: &str) -> io::Result<String> {
    let mut client = server::connect(port)?;
    client.set_read_timeout(Some(Duration::from_secs(1)))?;
    if let Some(password) = password {
        let length = password.len();
        write!(client, "*2\r\n$4\r\nAUTH\r\n${length}\r\n{password}\r\n")?;
    }
    client.write_all(commands.as_bytes())?;
    // After the answers it closes. Sentinels know no QUIT.
    client.shutdown(Shutdown::Write)?;
    let mut reply = String::new();
    client.read_to_string(&mut reply)?;
    Ok(reply)
}

#[derive(Debug)]
struct RedisRecipe {
    program: PathBuf,
    password: Option<String>,
    settings: Vec<(String, String)>,
}

impl Recipe for RedisRecipe {
    const NAME: &'static str = "Redis";
    const END_ORDERLY: Signal = Signal::TERM;
    const END_AT_ONCE: Signal = Signal::KILL;
    const FREE: &'static str = "";

    fn command(&self, folder: &Path, port: u16) -> Result<Command, ServerError> {
        let mut command = Command::new(&self.program);
        command
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"])
            .arg(folder);
        // Each write is in the log, though not on the disk, before it is answered.
        command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "no"]);
        command.args(["--enable-debug-command", "local", "--daemonize", "no"]);
        if let Some(password) = &self.password {
            command.arg("--requirepass").arg(password);
        }
        for (name, value) in &self.settings {
            command.arg(OsString::from(format!("--{name}"))).arg(value);
        }
        Ok(command)
    }

    fn is_ready(&self, _folder: &Path, port: u16, pid: u32) -> bool {
        let own = format!("process_id:{pid}\r\n");
        let questions = "INFO server\r\nINFO persistence\r\n";
        ask(port, self.password.as_deref(), questions)
            .is_ok_and(|reply| reply.contains(&own) && reply.contains("\nloading:0\r\n"))
    }
}
