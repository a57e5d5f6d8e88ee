//! A Knot name server for a test, whose zone changes while its clients run.

use crate::error::ServerError;
use crate::programs;
use crate::server::{self, Recipe, Server, define_life};
use crate::zone::Zone;
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Knot name server on 127.0.0.1, UDP and TCP, with authority over one zone; its files are in a temporary folder, and
/// both end with this value. What it does not know of it refuses.
///
/// Changes survive [`kill`](Self::kill) and [`restart`](Self::restart).
///
/// ```
/// use cenote_testkit::KnotServer;
///
/// # fn main() -> Result<(), cenote_testkit::ServerError> {
/// let server = KnotServer::start("prod.test", "db 30 A 10.0.0.1\n_sql._tcp 30 SRV 0 5 5432 db")?;
/// // Both at once: no client sees the name without an address.
/// server.change(&["db A 10.0.0.1"], &["db 30 A 10.0.0.2"])?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct KnotServer {
    server: Server<KnotRecipe>,
    control: PathBuf,
    zone: String,
}

impl KnotServer {
    /// Starts a name server of `zone`, a name such as `prod.test`, and waits until it answers. The records are written
    /// as in a zone file, one a line: `db 30 A 10.0.0.1`, names without a last dot being relative to the zone. The zone
    /// has its SOA and NS records already.
    ///
    /// # Errors
    ///
    /// [`ServerError::MissingProgram`] when Knot is not installed, [`ServerError::BadSetting`] when the zone's name is
    /// none, [`ServerError::Exited`] or [`ServerError::NotReady`] with the server's log when it does not come up, and
    /// [`ServerError::System`] when the system refuses a folder or a process.
    pub fn start(zone: &str, records: &str) -> Result<Self, ServerError> {
        let zone = Zone::new(zone, records)?;
        let recipe = KnotRecipe {
            program: programs::knot("knotd")?,
            zone: zone.name().into(),
        };
        let control = programs::knot("knotc")?;
        let folder = server::folder("knot")?;
        zone.write(folder.path())?;
        Ok(Self {
            server: Server::launch(recipe, folder)?,
            control,
            zone: zone.name().into(),
        })
    }

    /// Takes records away and adds others, in one transaction. A record is taken away by its name (`db`), its name and
    /// type (`db A`), or whole (`db A 10.0.0.1`), and added whole with its time to live (`db 30 A 10.0.0.2`).
    ///
    /// # Errors
    ///
    /// [`ServerError::Setup`] with what Knot says: a record that is not there, or makes no sense, or the server is
    /// down. The zone is then as it was.
    pub fn change(&self, remove: &[&str], add: &[&str]) -> Result<(), ServerError> {
        self.control("zone-begin", "")?;
        let changed = (|| {
            for record in remove {
                self.control("zone-unset", record)?;
            }
            for record in add {
                self.control("zone-set", record)?;
            }
            self.control("zone-commit", "")?;
            // A killed server is to find it in the zone's file.
            self.control("zone-flush", "")
        })();
        if changed.is_err() {
            // The first error is the one to tell.
            let _ = self.control("zone-abort", "");
        }
        changed
    }

    fn control(&self, action: &str, record: &str) -> Result<(), ServerError> {
        let output = Command::new(&self.control)
            .arg("--config")
            .arg(self.folder().join(SETTINGS))
            .arg("--blocking")
            .arg(action)
            .arg(&self.zone)
            .args(record.split_whitespace())
            .output()
            .map_err(ServerError::system("start `knotc`"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(ServerError::Setup {
            program: self.control.clone(),
            status: output.status,
            output: format!("{action} {record}\n{said}"),
        })
    }

    define_life!(holds: "zone", restarted: "asked to end in good order (SIGTERM)");
}

const SETTINGS: &str = "knot.conf";
const LOCK: &str = "knot.pid";
const CONTROL: &str = "knot.sock";

#[derive(Debug)]
struct KnotRecipe {
    program: PathBuf,
    zone: String,
}

impl KnotRecipe {
    fn settings(&self, folder: &Path, port: u16) -> String {
        let (zone, folder, file) = (&self.zone, folder.display(), Zone::FILE);
        format!(
            "server:\n  listen: 127.0.0.1@{port}\n  rundir: \"{folder}\"\n  pidfile: {LOCK}\n  udp-workers: 1\n  \
             tcp-workers: 1\n  background-workers: 1\ncontrol:\n  listen: {CONTROL}\nlog:\n  - target: stdout\n    \
             any: info\ndatabase:\n  storage: \"{folder}\"\nzone:\n  - domain: {zone}\n    storage: \"{folder}\"\n    \
             file: {file}\n    zonefile-sync: 0\n    journal-content: none\n"
        )
    }
}

impl Recipe for KnotRecipe {
    const NAME: &'static str = "Knot";
    const END_ORDERLY: Signal = Signal::TERM;
    const END_AT_ONCE: Signal = Signal::KILL;
    const FREE: &'static str = "";

    fn command(&self, folder: &Path, port: u16) -> Result<Command, ServerError> {
        fs::write(folder.join(SETTINGS), self.settings(folder, port))
            .map_err(ServerError::system("write Knot's settings"))?;
        // What a killed server has left would pass for this one's.
        for left in [LOCK, CONTROL] {
            let _ = fs::remove_file(folder.join(left));
        }
        let mut command = Command::new(&self.program);
        command.args(["--config", SETTINGS]);
        Ok(command)
    }

    /// The control socket is there once the zone is loaded.
    fn is_ready(&self, folder: &Path, port: u16, pid: u32) -> bool {
        let lock = fs::read_to_string(folder.join(LOCK)).unwrap_or_default();
        lock.trim() == pid.to_string()
            && folder.join(CONTROL).exists()
            && server::connect(port).is_ok()
    }
}
