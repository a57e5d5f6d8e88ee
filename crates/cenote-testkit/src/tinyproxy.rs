//! A tinyproxy for a test: an HTTP proxy.

use crate::error::ServerError;
use crate::programs;
use crate::server::{self, Recipe, Server, define_life};
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tinyproxy on 127.0.0.1, its files in a temporary folder; both end with this value.
///
/// It passes requests on (and ends the connection after each), and opens tunnels to any port (CONNECT).
///
/// ```
/// use cenote_testkit::TinyproxyServer;
///
/// # fn main() -> Result<(), cenote_testkit::ServerError> {
/// let proxy = TinyproxyServer::start("BasicAuth anna secret")?;
/// println!("curl --proxy http://anna:secret@{} http://example.org/", proxy.addr());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TinyproxyServer {
    server: Server<TinyproxyRecipe>,
}

impl TinyproxyServer {
    /// Starts a tinyproxy and waits until it accepts connections. `settings` is what stands in its settings beside the
    /// address: lines in tinyproxy's own words.
    ///
    /// # Errors
    ///
    /// [`ServerError::MissingProgram`] when tinyproxy is not installed, [`ServerError::Exited`] with its log, which names
    /// the line's number, when it refuses the settings, [`ServerError::NotReady`] when it does not come up, and
    /// [`ServerError::System`] when the system refuses a folder or a process.
    pub fn start(settings: impl Into<String>) -> Result<Self, ServerError> {
        let recipe = TinyproxyRecipe {
            program: programs::tinyproxy()?,
            settings: settings.into(),
        };
        let server = Server::launch(recipe, server::folder("tinyproxy")?)?;
        Ok(Self { server })
    }

    define_life!(holds: "settings", restarted: "asked to end (SIGTERM), which closes its connections");
}

const SETTINGS: &str = "tinyproxy.conf";
const LOCK: &str = "tinyproxy.pid";

#[derive(Debug)]
struct TinyproxyRecipe {
    program: PathBuf,
    settings: String,
}

impl Recipe for TinyproxyRecipe {
    const NAME: &'static str = "tinyproxy";
    const END_ORDERLY: Signal = Signal::TERM;
    const END_AT_ONCE: Signal = Signal::KILL;
    const FREE: &'static str = "";

    fn command(&self, folder: &Path, port: u16) -> Result<Command, ServerError> {
        let lock = folder.join(LOCK);
        let settings = format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 1000\nPidFile \"{}\"\n{}\n",
            lock.display(),
            self.settings
        );
        fs::write(folder.join(SETTINGS), settings)
            .map_err(ServerError::system("write tinyproxy's settings"))?;
        // One left by a killed server names another process.
        let _ = fs::remove_file(lock);
        let mut command = Command::new(&self.program);
        command.args(["-d", "-c", SETTINGS]);
        Ok(command)
    }

    fn is_ready(&self, folder: &Path, port: u16, pid: u32) -> bool {
        let lock = fs::read_to_string(folder.join(LOCK)).unwrap_or_default();
        lock.trim() == pid.to_string() && server::connect(port).is_ok()
    }
}
