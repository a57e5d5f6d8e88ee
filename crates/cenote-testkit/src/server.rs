//! The life of a server, whichever it is: launched on a port, ready, killed, frozen, restarted,
//! ended with its folder. What differs between servers is a [`Recipe`].
//!
//! What a test can do with any server is one list of methods, [`define_life!`].

use crate::error::ServerError;
use crate::guardian::Guardian;
use crate::port;
use crate::process::ProcessTree;
use rustix::process::Signal;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const READY_WITHIN: Duration = Duration::from_secs(60);
const END_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
const PORT_TRIES: u32 = 5;
const LOG_LINES: usize = 20;

/// What one kind of server needs to be run.
pub(crate) trait Recipe {
    /// As error messages call it.
    const NAME: &'static str;
    /// Asks the server to save what it has and end, closing its connections itself.
    const END_ORDERLY: Signal;
    /// Ends the server when its data are not needed any more.
    const END_AT_ONCE: Signal;
    /// The shell command, run in the folder, that frees what a killed server leaves in the system.
    const FREE: &'static str;

    /// The command that serves on `port` of 127.0.0.1 with its data in `folder`.
    fn command(&self, folder: &Path, port: u16) -> Result<Command, ServerError>;
    /// Whether the process `pid` (and no other that has taken the port) accepts connections.
    fn is_ready(&self, folder: &Path, port: u16, pid: u32) -> bool;
}

/// Makes a temporary folder for a server, with a name that tells of which kind.
pub(crate) fn folder(kind: &str) -> Result<TempDir, ServerError> {
    tempfile::Builder::new()
        .prefix(&format!("cenote-{kind}-"))
        .tempdir()
        .map_err(ServerError::system("make a temporary folder"))
}

/// A connection to what listens on `port` of 127.0.0.1.
pub(crate) fn connect(port: u16) -> io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, CONNECT_WITHIN)
}

/// Defines what a test can do with a server, on a type with a field `server: Server<_>`. Given are the names of what
/// its folder holds beside its log, and what becomes of one that runs when it is restarted.
macro_rules! define_life {
    (holds: $holds:literal, restarted: $restarted:literal) => {
        /// The port it listens on, the same for its whole life.
        #[must_use]
        pub fn port(&self) -> u16 {
            self.server.port()
        }

        /// Where it listens: 127.0.0.1 and its port.
        #[must_use]
        pub fn addr(&self) -> std::net::SocketAddr {
            self.server.addr()
        }

        #[doc = concat!("Its temporary folder, which holds its ", $holds, " and its log, `server.log`.")]
        #[must_use]
        pub fn folder(&self) -> &std::path::Path {
            self.server.folder()
        }

        /// All that it has logged so far, over all its restarts.
        #[must_use]
        pub fn log(&self) -> String {
            self.server.log()
        }

        /// Kills all of its processes (SIGKILL), stopped or not, as if the machine had lost them at once. When this
        /// returns, its connections are closed and new ones are refused. Without effect on one that is down.
        ///
        /// # Errors
        ///
        /// [`ServerError::StillRunning`] if the system does not get rid of the processes.
        pub fn kill(&self) -> Result<(), ServerError> {
            self.server.kill()
        }

        /// Freezes all of its processes (SIGSTOP): connections stay open and new ones are still accepted by the
        /// system, but nothing answers until [`cont`](Self::cont).
        ///
        /// # Errors
        ///
        /// [`ServerError::NotRunning`] if it was killed or has ended by itself.
        pub fn stop(&self) -> Result<(), ServerError> {
            self.server.stop()
        }

        /// Lets a stopped one run on (SIGCONT). Without effect on one that runs.
        ///
        /// # Errors
        ///
        /// [`ServerError::NotRunning`] if it was killed or has ended by itself.
        pub fn cont(&self) -> Result<(), ServerError> {
            self.server.cont()
        }

        #[doc = concat!(
            "Starts it again on the same port with the same ", $holds, ", and waits until it accepts connections. ",
            "One that still runs, or is stopped, is first ", $restarted, "."
        )]
        ///
        /// # Errors
        ///
        /// [`ServerError::Exited`] or [`ServerError::NotReady`] with its log when it does not come up again.
        pub fn restart(&self) -> Result<(), ServerError> {
            self.server.restart()
        }
    };
}

pub(crate) use define_life;

/// A server of one kind.
#[derive(Debug)]
pub(crate) struct Server<R: Recipe> {
    recipe: R,
    port: u16,
    life: Mutex<Life>,
    // After `life`: the folder goes when the processes have gone.
    folder: TempDir,
}

#[derive(Debug)]
struct Life {
    running: Option<Running>,
    guardian: Guardian,
}

#[derive(Debug)]
struct Running {
    child: Child,
    tree: ProcessTree,
}

impl<R: Recipe> Server<R> {
    /// Launches a server in `folder`, on a port of its own choice, and waits until it is ready.
    pub(crate) fn launch(recipe: R, folder: TempDir) -> Result<Self, ServerError> {
        let guardian = Guardian::watch(folder.path(), R::FREE)?;
        let life = Mutex::new(Life {
            running: None,
            guardian,
        });
        let mut server = Self {
            recipe,
            port: 0,
            life,
            folder,
        };
        let mut tries = 0;
        loop {
            tries += 1;
            server.port = port::pick().map_err(ServerError::system("find a free port"))?;
            let ran = server.run(&mut server.life());
            match ran {
                // Someone else took the port since it was picked.
                Err(ServerError::Exited { .. })
                    if tries < PORT_TRIES && !port::is_free(server.port) => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(server),
            }
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn kill(&self) -> Result<(), ServerError> {
        self.end_by_force(&mut self.life())
    }

    pub(crate) fn stop(&self) -> Result<(), ServerError> {
        self.alive(&mut self.life(), "stop")
            .map(|running| running.tree.freeze())
    }

    pub(crate) fn cont(&self) -> Result<(), ServerError> {
        self.alive(&mut self.life(), "continue")
            .map(|running| running.tree.thaw())
    }

    /// Tells the server itself something, and not the processes that it has.
    pub(crate) fn signal(
        &self,
        signal: Signal,
        attempted: &'static str,
    ) -> Result<(), ServerError> {
        self.alive(&mut self.life(), attempted)
            .map(|running| running.tree.signal_root(signal))
    }

    pub(crate) fn shut_down(&self) -> Result<(), ServerError> {
        self.end(&mut self.life(), R::END_ORDERLY)
    }

    pub(crate) fn restart(&self) -> Result<(), ServerError> {
        self.restart_changed(|_| Ok(()))
    }

    /// As [`restart`](Self::restart), after `change` was made to what is in the folder.
    pub(crate) fn restart_changed(
        &self,
        change: impl FnOnce(&Path) -> Result<(), ServerError>,
    ) -> Result<(), ServerError> {
        let mut life = self.life();
        self.end(&mut life, R::END_ORDERLY)?;
        change(self.folder())?;
        self.run(&mut life)
    }

    pub(crate) fn recipe(&self) -> &R {
        &self.recipe
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        // A test that panicked while it held the lock must still be able to end its server.
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive<'a>(
        &self,
        life: &'a mut Life,
        attempted: &'static str,
    ) -> Result<&'a mut Running, ServerError> {
        let runs = |running: &mut Running| matches!(running.child.try_wait(), Ok(None));
        let runs = life.running.as_mut().is_some_and(runs);
        match &mut life.running {
            Some(running) if runs => Ok(running),
            _ => Err(ServerError::NotRunning {
                server: R::NAME,
                port: self.port,
                attempted,
            }),
        }
    }

    /// Ends a server that runs, by `signal`; by force if that takes too long.
    fn end(&self, life: &mut Life, signal: Signal) -> Result<(), ServerError> {
        if let Some(running) = &mut life.running {
            running.tree.signal_root(signal);
            running.tree.thaw();
            let deadline = Instant::now() + END_WITHIN;
            while matches!(running.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                thread::sleep(POLL);
            }
        }
        self.end_by_force(life)
    }

    fn end_by_force(&self, life: &mut Life) -> Result<(), ServerError> {
        let Some(mut running) = life.running.take() else {
            return Ok(());
        };
        let dying = running.tree.kill();
        // Reaped first: until then the system lists it.
        let _ = running.child.wait();
        life.guardian.guards(0);
        match dying.wait(Instant::now() + END_WITHIN) {
            0 => Ok(()),
            left => Err(ServerError::StillRunning {
                server: R::NAME,
                port: self.port,
                left,
                waited: END_WITHIN,
            }),
        }
    }

    fn run(&self, life: &mut Life) -> Result<(), ServerError> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .map_err(ServerError::system("open the server's log"))?;
        let mut command = self.recipe.command(self.folder(), self.port)?;
        let child = command
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .stdout(
                log.try_clone()
                    .map_err(ServerError::system("open the server's log"))?,
            )
            .stderr(log)
            // The terminal's Ctrl-C goes to the test, not to its server.
            .process_group(0)
            .spawn()
            .map_err(ServerError::system(format!("start {}", R::NAME)))?;
        self.await_ready(life, child)
    }

    fn await_ready(&self, life: &mut Life, mut child: Child) -> Result<(), ServerError> {
        let pid = child.id();
        life.guardian.guards(pid);
        let deadline = Instant::now() + READY_WITHIN;
        let failed = loop {
            let ready = self.recipe.is_ready(self.folder(), self.port, pid);
            match child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => break self.exited(status),
                Err(source) => break ServerError::system("wait for the server")(source),
            }
            let tree = if ready { ProcessTree::of(pid) } else { None };
            if let Some(tree) = tree {
                life.running = Some(Running { child, tree });
                return Ok(());
            }
            if Instant::now() > deadline {
                break ServerError::NotReady {
                    server: R::NAME,
                    port: self.port,
                    waited: READY_WITHIN,
                    log: self.log_end(),
                };
            }
            thread::sleep(POLL);
        };
        life.guardian.guards(0);
        if let Some(tree) = ProcessTree::of(pid) {
            tree.kill();
        }
        let _ = child.wait();
        Err(failed)
    }

    fn exited(&self, status: ExitStatus) -> ServerError {
        ServerError::Exited {
            server: R::NAME,
            port: self.port,
            status,
            log: self.log_end(),
        }
    }

    fn log_path(&self) -> PathBuf {
        self.folder().join("server.log")
    }

    fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

impl<R: Recipe> Drop for Server<R> {
    fn drop(&mut self) {
        // A drop has nobody to tell: what is left after all deadlines stays the system's.
        let _ = self.end(&mut self.life(), R::END_AT_ONCE);
    }
}
