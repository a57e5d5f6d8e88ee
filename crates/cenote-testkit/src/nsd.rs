//! An NSD name server for a test: a second implementation beside Knot.

use crate::error::ServerError;
use crate::programs;
use crate::server::{self, Recipe, Server, define_life};
use crate::zone::Zone;
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An NSD name server on 127.0.0.1, UDP and TCP, with authority over one zone; its files are in a temporary folder, and
/// both end with this value. What it does not know of it refuses.
///
/// ```
/// use cenote_testkit::NsdServer;
///
/// # fn main() -> Result<(), cenote_testkit::ServerError> {
/// let server = NsdServer::start("prod.test", "db 30 A 10.0.0.1")?;
/// println!("ask {} for db.prod.test", server.addr());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct NsdServer {
    server: Server<NsdRecipe>,
}

impl NsdServer {
    /// Starts a name server of `zone` and waits until it answers; zone and records are those of
    /// [`KnotServer::start`](crate::KnotServer::start).
    ///
    /// # Errors
    ///
    /// [`ServerError::MissingProgram`] when NSD is not installed, [`ServerError::BadSetting`] when the zone's name is
    /// none, [`ServerError::Exited`] or [`ServerError::NotReady`] with the server's log when it does not come up, and
    /// [`ServerError::System`] when the system refuses a folder or a process.
    pub fn start(zone: &str, records: &str) -> Result<Self, ServerError> {
        let zone = Zone::new(zone, records)?;
        let recipe = NsdRecipe {
            program: programs::nsd()?,
            zone: zone.name().into(),
        };
        let folder = server::folder("nsd")?;
        zone.write(folder.path())?;
        Ok(Self {
            server: Server::launch(recipe, folder)?,
        })
    }

    define_life!(holds: "zone", restarted: "asked to end in good order (SIGTERM)");
}

const SETTINGS: &str = "nsd.conf";
const LOCK: &str = "nsd.pid";

#[derive(Debug)]
struct NsdRecipe {
    program: PathBuf,
    zone: String,
}

impl NsdRecipe {
    fn settings(&self, folder: &Path, port: u16) -> String {
        let (zone, folder, file) = (&self.zone, folder.display(), Zone::FILE);
        format!(
            "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  chroot: \"\"\n  server-count: 1\n  \
             zonesdir: \"{folder}\"\n  zonelistfile: \"{folder}/zone.list\"\n  database: \"\"\n  \
             pidfile: \"{folder}/{LOCK}\"\n  xfrdfile: \"{folder}/xfrd.state\"\n  xfrdir: \"{folder}\"\n\
             remote-control:\n  control-enable: no\nzone:\n  name: {zone}\n  zonefile: {file}\n"
        )
    }
}

impl Recipe for NsdRecipe {
    const NAME: &'static str = "NSD";
    const END_ORDERLY: Signal = Signal::TERM;
    const END_AT_ONCE: Signal = Signal::KILL;
    const FREE: &'static str = "";

    fn command(&self, folder: &Path, port: u16) -> Result<Command, ServerError> {
        fs::write(folder.join(SETTINGS), self.settings(folder, port))
            .map_err(ServerError::system("write NSD's settings"))?;
        // One left by a killed server names another process.
        let _ = fs::remove_file(folder.join(LOCK));
        let mut command = Command::new(&self.program);
        // In the foreground.
        command.args(["-d", "-c", SETTINGS]);
        Ok(command)
    }

    fn is_ready(&self, folder: &Path, port: u16, pid: u32) -> bool {
        let lock = fs::read_to_string(folder.join(LOCK)).unwrap_or_default();
        lock.trim() == pid.to_string() && server::connect(port).is_ok()
    }
}
