//! A Dante for a test: a SOCKS proxy.

use crate::error::ServerError;
use crate::programs;
use crate::server::{self, Recipe, Server, define_life};
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Dante on 127.0.0.1 that leads every client, without a password, to servers of this machine, its files in a temporary
/// folder; both end with this value.
///
/// It looks passwords up among the accounts of the machine, and nowhere else: so this one has none.
///
/// ```
/// use cenote_testkit::DanteServer;
///
/// # fn main() -> Result<(), cenote_testkit::ServerError> {
/// let proxy = DanteServer::start()?;
/// println!("curl --proxy socks5h://{} http://localhost/", proxy.addr());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct DanteServer {
    server: Server<DanteRecipe>,
}

impl DanteServer {
    /// Starts a Dante and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// [`ServerError::MissingProgram`] when Dante is not installed, [`ServerError::Exited`] with its log when it ends
    /// before, [`ServerError::NotReady`] when it does not come up, and [`ServerError::System`] when the system refuses a
    /// folder or a process.
    pub fn start() -> Result<Self, ServerError> {
        let recipe = DanteRecipe {
            program: programs::dante()?,
        };
        let server = Server::launch(recipe, server::folder("dante")?)?;
        Ok(Self { server })
    }

    define_life!(holds: "settings", restarted: "asked to end (SIGTERM), which closes its connections");
}

impl Drop for DanteServer {
    fn drop(&mut self) {
        // Of its many processes the first takes none along when it is killed. A drop has nobody to tell what is left.
        let _ = self.server.kill();
    }
}

const SETTINGS: &str = "danted.conf";
const LOCK: &str = "danted.pid";

#[derive(Debug)]
struct DanteRecipe {
    program: PathBuf,
}

impl Recipe for DanteRecipe {
    const NAME: &'static str = "Dante";
    const END_ORDERLY: Signal = Signal::TERM;
    const END_AT_ONCE: Signal = Signal::TERM;
    const FREE: &'static str = "";

    fn command(&self, folder: &Path, port: u16) -> Result<Command, ServerError> {
        let settings = format!(
            "logoutput: stderr\ninternal: 127.0.0.1 port = {port}\nexternal: 127.0.0.1\nclientmethod: none\n\
             socksmethod: none\nclient pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}\n\
             socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}\n"
        );
        fs::write(folder.join(SETTINGS), settings)
            .map_err(ServerError::system("write Dante's settings"))?;
        // One left by a killed server names another process.
        let _ = fs::remove_file(folder.join(LOCK));
        let mut command = Command::new(&self.program);
        command.args(["-f", SETTINGS, "-p"]).arg(folder.join(LOCK));
        Ok(command)
    }

    fn is_ready(&self, folder: &Path, port: u16, pid: u32) -> bool {
        let lock = fs::read_to_string(folder.join(LOCK)).unwrap_or_default();
        lock.trim() == pid.to_string() && server::connect(port).is_ok()
    }
}
