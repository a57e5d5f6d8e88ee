//! An nginx for a test: the web server that most clients meet.

use crate::error::ServerError;
use crate::programs;
use crate::server::{self, Recipe, Server, define_life};
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An nginx on 127.0.0.1 with one site and one worker, its files in a temporary folder; both end with this value.
///
/// ```
/// use cenote_testkit::NginxServer;
///
/// # fn main() -> Result<(), cenote_testkit::ServerError> {
/// let server = NginxServer::start("keepalive_requests 3; location / { return 200 'hello'; }")?;
/// println!("GET {}", server.url("/"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct NginxServer {
    server: Server<NginxRecipe>,
}

impl NginxServer {
    /// Starts an nginx and waits until it accepts connections. `site` is what stands in its `server { }` beside the address:
    /// settings and locations, in nginx's own words. The text that a location returns is `text/plain`.
    ///
    /// # Errors
    ///
    /// [`ServerError::MissingProgram`] when nginx is not installed, [`ServerError::Exited`] with its log, which names the
    /// setting, when it refuses the site, [`ServerError::NotReady`] when it does not come up, and [`ServerError::System`]
    /// when the system refuses a folder or a process.
    pub fn start(site: impl Into<String>) -> Result<Self, ServerError> {
        Self::start_speaking("", site)
    }

    /// The same, for clients that speak HTTP/2 from the first byte and without TLS.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_http2(site: impl Into<String>) -> Result<Self, ServerError> {
        Self::start_speaking("http2", site)
    }

    fn start_speaking(
        protocol: &'static str,
        site: impl Into<String>,
    ) -> Result<Self, ServerError> {
        let recipe = NginxRecipe {
            program: programs::nginx()?,
            protocol,
            site: site.into(),
        };
        let server = Server::launch(recipe, server::folder("nginx")?)?;
        Ok(Self { server })
    }

    /// `http://127.0.0.1:PORT` with this path behind it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr())
    }

    /// Has it read its settings again (SIGHUP), as after a change of them: a new worker has what connects from now on, the old
    /// one closes its idle connections and ends with the requests that it has. It does not wait for that.
    ///
    /// # Errors
    ///
    /// [`ServerError::NotRunning`] if it was killed or has ended by itself.
    pub fn reload(&self) -> Result<(), ServerError> {
        self.server.signal("reload", Signal::HUP)
    }

    define_life!(holds: "settings", restarted: "asked to end at once (SIGTERM), which closes its connections");
}

const SETTINGS: &str = "nginx.conf";
const LOCK: &str = "nginx.pid";

#[derive(Debug)]
struct NginxRecipe {
    program: PathBuf,
    /// What `listen` says behind the address.
    protocol: &'static str,
    site: String,
}

impl NginxRecipe {
    /// Bodies and replies that do not fit into memory would go to folders of the system's: each has one here.
    fn settings(&self, port: u16) -> String {
        let Self { protocol, site, .. } = self;
        let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let folders = folders.map(|kind| format!("  {kind}_temp_path {kind};\n"));
        format!(
            "daemon off;\nuser root;\nworker_processes 1;\npid {LOCK};\nerror_log stderr;\n\
             events {{ worker_connections 4096; }}\n\
             http {{\n  access_log off;\n  default_type text/plain;\n{}  server {{\n    listen 127.0.0.1:{port} {protocol};\n    \
             {site}\n  }}\n}}\n",
            folders.concat()
        )
    }
}

impl Recipe for NginxRecipe {
    const NAME: &'static str = "nginx";
    const END_ORDERLY: Signal = Signal::TERM;
    const END_AT_ONCE: Signal = Signal::TERM;
    const FREE: &'static str = "";

    fn command(&self, folder: &Path, port: u16) -> Result<Command, ServerError> {
        fs::write(folder.join(SETTINGS), self.settings(port))
            .map_err(ServerError::system("write nginx's settings"))?;
        // One left by a killed server names another process.
        let _ = fs::remove_file(folder.join(LOCK));
        let mut command = Command::new(&self.program);
        command.arg("-p").arg(folder).args(["-c", SETTINGS]);
        // Before it has read its settings.
        command.args(["-e", "stderr"]);
        Ok(command)
    }

    fn is_ready(&self, folder: &Path, port: u16, pid: u32) -> bool {
        let lock = fs::read_to_string(folder.join(LOCK)).unwrap_or_default();
        lock.trim() == pid.to_string() && server::connect(port).is_ok()
    }
}
