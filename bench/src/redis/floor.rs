//! redis-benchmark, where it is installed: what the server answers to pipelines that nobody waits in.

use std::process::{Command, Stdio};

use super::subject::{KEY, Target};
use crate::measure::{Failure, Outcome, Sample};

const PROGRAM: &str = "redis-benchmark";
/// About a third of a second's.
const REQUESTS: usize = 400_000;

/// How many connections ask, and how much at once.
pub struct Floor {
    pub name: &'static str,
    connections: usize,
    pipeline: usize,
}

impl Floor {
    pub const ONE_BY_100: Self = Self {
        name: "floor_1x100",
        connections: 1,
        pipeline: 100,
    };
    pub const FOUR_BY_32: Self = Self {
        name: "floor_4x32",
        connections: 4,
        pipeline: 32,
    };

    pub fn run(&self, target: &Target) -> Outcome<Sample> {
        let output = Command::new(PROGRAM)
            .args(["-h", &target.addr.ip().to_string()])
            .args(["-p", &target.addr.port().to_string()])
            .args(["-c", &self.connections.to_string()])
            .args(["-P", &self.pipeline.to_string()])
            .args(["-n", &REQUESTS.to_string()])
            .args(["--csv", "GET", KEY])
            .output()
            .map_err(|error| Failure::new(format!("cannot run {PROGRAM}: {error}")))?;
        let report = String::from_utf8_lossy(&output.stdout);
        let rate = rate(&report)
            .ok_or_else(|| Failure::new(format!("{PROGRAM} reported no rate: {report:?}")))?;
        Ok(vec![("req_per_s", rate)])
    }
}

pub fn is_installed() -> bool {
    let asked = Command::new(PROGRAM)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}

/// The second column of the report's last line: `"GET key","1250000.00","0.075",...`.
fn rate(report: &str) -> Option<f64> {
    let column = report.lines().last()?.split("\",\"").nth(1)?;
    column.trim_matches('"').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_second_column_below_the_headings() {
        let report = "\"test\",\"rps\",\"avg_latency_ms\"\n\"GET key\",\"1250000.00\",\"0.075\"\n";
        assert_eq!(rate(report), Some(1_250_000.0));
    }
}
