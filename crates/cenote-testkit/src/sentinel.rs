//! A Redis Sentinel for a test.

use crate::error::ServerError;
use crate::programs;
use crate::redis::{self, RedisServer};
use crate::server::{self, Recipe, Server, define_life};
use rustix::process::Signal;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Redis Sentinel on 127.0.0.1 that monitors one master, with its configuration in a temporary folder; both end with this
/// value. It is quick: a server that says nothing for half a second is down, and a failover is tried for 3 s.
///
/// What it knows survives [`kill`](Self::kill) and [`restart`](Self::restart). It finds replicas and other sentinels by
/// itself, through the master.
///
/// ```
/// use cenote_testkit::{RedisServer, SentinelServer};
///
/// # fn main() -> Result<(), cenote_testkit::ServerError> {
/// let master = RedisServer::start()?;
/// let sentinel = SentinelServer::builder("orders", &master).quorum(1).start()?;
/// assert!(sentinel.url().starts_with("redis://127.0.0.1:"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SentinelServer {
    server: Server<SentinelRecipe>,
    password: Option<String>,
}

impl SentinelServer {
    /// A sentinel that monitors `master` under this name; settings first, then [`SentinelBuilder::start`].
    pub fn builder(name: impl Into<String>, master: &RedisServer) -> SentinelBuilder {
        SentinelBuilder {
            name: name.into(),
            master: master.port(),
            quorum: 2,
            password: None,
            settings: Vec::new(),
        }
    }

    /// `redis://127.0.0.1:PORT`, with the password if one is set.
    #[must_use]
    pub fn url(&self) -> String {
        redis::url(self.addr(), self.password.as_deref())
    }

    define_life!(holds: "configuration", restarted: "asked to end in good order (SIGTERM)");
}

/// The settings of a [`SentinelServer`].
#[derive(Clone, Debug)]
#[must_use = "a builder starts nothing until `start` is called"]
pub struct SentinelBuilder {
    name: String,
    master: u16,
    quorum: u32,
    password: Option<String>,
    settings: Vec<String>,
}

impl SentinelBuilder {
    /// How many sentinels must find the master down before one of them is let replace it. Default: 2.
    pub fn quorum(mut self, sentinels: u32) -> Self {
        self.quorum = sentinels;
        self
    }

    /// Asks clients and other sentinels for this password, and logs in to those with it. Default: none.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Any other line of `sentinel.conf`. A later one of the same setting wins.
    pub fn setting(mut self, line: impl Into<String>) -> Self {
        self.settings.push(line.into());
        self
    }

    /// Starts the sentinel and waits until it answers.
    ///
    /// # Errors
    ///
    /// As [`RedisServer::start`]; a setting that Redis refuses is a [`ServerError::Exited`] whose log names it.
    pub fn start(self) -> Result<SentinelServer, ServerError> {
        let password = self.password.clone();
        let recipe = SentinelRecipe {
            program: programs::redis()?,
            settings: self,
        };
        Ok(SentinelServer {
            server: Server::launch(recipe, server::folder("sentinel")?)?,
            password,
        })
    }
}

/// The sentinel rewrites it with what it finds out.
const SETTINGS: &str = "sentinel.conf";

#[derive(Debug)]
struct SentinelRecipe {
    program: PathBuf,
    settings: SentinelBuilder,
}

impl SentinelRecipe {
    fn first_settings(&self) -> String {
        let SentinelBuilder {
            name,
            master,
            quorum,
            password,
            settings,
        } = &self.settings;
        let mut text = format!(
            "bind 127.0.0.1\nsentinel monitor {name} 127.0.0.1 {master} {quorum}\nsentinel down-after-milliseconds \
             {name} 500\nsentinel failover-timeout {name} 3000\n"
        );
        if let Some(password) = password {
            let _ = writeln!(
                text,
                "requirepass \"{password}\"\nsentinel sentinel-pass \"{password}\""
            );
        }
        for line in settings {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

impl Recipe for SentinelRecipe {
    const NAME: &'static str = "Redis Sentinel";
    const END_ORDERLY: Signal = Signal::TERM;
    const END_AT_ONCE: Signal = Signal::KILL;
    const FREE: &'static str = "";

    fn command(&self, folder: &Path, port: u16) -> Result<Command, ServerError> {
        let file = folder.join(SETTINGS);
        if !file.exists() {
            fs::write(&file, self.first_settings())
                .map_err(ServerError::system("write the sentinel's settings"))?;
        }
        let mut command = Command::new(&self.program);
        command
            .arg(file)
            .args(["--sentinel", "--port", &port.to_string(), "--dir"])
            .arg(folder);
        Ok(command)
    }

    fn is_ready(&self, _folder: &Path, port: u16, pid: u32) -> bool {
        let own = format!("process_id:{pid}\r\n");
        redis::ask(port, self.settings.password.as_deref(), "INFO server\r\n")
            .is_ok_and(|reply| reply.contains(&own))
    }
}
