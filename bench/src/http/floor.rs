//! What C asks with, where it is installed: wrk over HTTP/1.1, h2load over HTTP/2. Neither has callers to wake.

use std::env;
use std::process::Command;

use super::rate::Load;
use super::target::{Protocol, Server};
use crate::measure::{Failure, Outcome, Sample};

/// The requests that h2load has under way on a connection: no more than the server allows.
const MAX_STREAMS: usize = 100;

#[derive(Clone, Copy)]
pub enum Floor {
    Wrk,
    H2load,
}

impl Floor {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Wrk, Self::H2load];

    /// The one that speaks this protocol.
    pub fn of(protocol: Protocol) -> Self {
        match protocol.is_http2_only() {
            true => Self::H2load,
            false => Self::Wrk,
        }
    }

    /// The program, and the subject.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wrk => "wrk",
            Self::H2load => "h2load",
        }
    }

    pub fn is_installed(self) -> bool {
        let folders = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&folders).any(|folder| folder.join(self.name()).is_file())
    }

    /// A second of it.
    pub fn run(self, load: Load) -> Outcome<Sample> {
        let name = self.name();
        let mut server = Server::start()?;
        let target = server.target(load.protocol, load.connections)?;
        let mut command = Command::new(name);
        match self {
            Self::Wrk => command.args(["-t2", "-d1s", &format!("-c{}", load.connections)]),
            Self::H2load => {
                let each = load.tasks.div_ceil(load.connections).min(MAX_STREAMS);
                let connections = format!("-c{}", load.connections);
                command.args(["-t1", "-D1", &connections, &format!("-m{each}")])
            }
        };
        let output = command.arg(target.uri.to_string()).output();
        let output = output.map_err(|error| Failure::new(format!("cannot run {name}: {error}")))?;
        let report = String::from_utf8_lossy(&output.stdout);
        let rate = self
            .rate(&report)
            .ok_or_else(|| Failure::new(format!("{name} reported no rate: {report:?}")))?;
        Ok(vec![
            ("req_per_s", rate),
            ("opened", server.accepted()? as f64),
        ])
    }

    /// `Requests/sec:  81234.56`, or `finished in 1.00s, 81234.56 req/s, 1.2MB/s`.
    fn rate(self, report: &str) -> Option<f64> {
        let mut lines = report.lines().map(str::trim);
        let figure = match self {
            Self::Wrk => lines.find_map(|line| line.strip_prefix("Requests/sec:"))?,
            Self::H2load => {
                let line = lines.find(|line| line.starts_with("finished in"))?;
                line.split(", ")
                    .find_map(|part| part.strip_suffix(" req/s"))?
            }
        };
        figure.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_and_h2load_say_their_rates_in_a_line() {
        let wrk = "  8123 requests in 1.00s, 1.55MB read\nRequests/sec:   8123.45\nTransfer/sec:  1.55MB\n";
        assert_eq!(Floor::Wrk.rate(wrk), Some(8_123.45));
        let h2load = "\nfinished in 1.01s, 91234.50 req/s, 2.34MB/s\nrequests: 91234 total\n";
        assert_eq!(Floor::H2load.rate(h2load), Some(91_234.5));
    }
}
