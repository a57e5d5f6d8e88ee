//! Cases in processes of their own: each begins with a heap and threads that no other subject has left behind.

use std::env;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::measure::{Failure, Outcome, Sample};
use crate::rounds::{Case, Scenario};

/// What the process of a case prints.
#[derive(Serialize, Deserialize)]
enum Report {
    Measured(Vec<(String, f64)>),
    Failed(String),
}

/// The same scenarios; each run of a case of theirs is a process, which is `command` of this program.
pub fn each(scenarios: Vec<Scenario>, command: &'static str) -> Vec<Scenario> {
    let isolated = |mut scenario: Scenario| {
        for case in &mut scenario.cases {
            let (name, subject) = (scenario.name, case.subject);
            case.run = Box::new(move || run(command, name, subject));
        }
        scenario
    };
    scenarios.into_iter().map(isolated).collect()
}

fn run(command: &str, scenario: &str, subject: &str) -> Outcome<Sample> {
    let failed = |why: String| Failure::new(format!("its process failed: {why}"));
    let program = env::current_exe().map_err(|error| failed(error.to_string()))?;
    let output = Command::new(program)
        .args([command, "--only", scenario, "--subject", subject, "--alone"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    match serde_json::from_slice(&output.stdout) {
        Ok(Report::Measured(sample)) => Ok(sample
            .into_iter()
            // As many names as there are metrics, for as long as the run lasts.
            .map(|(metric, value)| (&*metric.leak(), value))
            .collect()),
        Ok(Report::Failed(why)) => Err(Failure::new(why)),
        Err(error) => Err(failed(format!("{}, {error}", output.status))),
    }
}

/// In such a process: runs the one case and prints what it yields.
pub fn report(scenarios: &[Scenario]) -> Result<(), String> {
    let mut cases = scenarios.iter().flat_map(|scenario| &scenario.cases);
    let (Some(Case { run, .. }), None) = (cases.next(), cases.next()) else {
        return Err("--alone is for one scenario with one subject".to_owned());
    };
    let report = match run() {
        Ok(sample) => {
            let named = |(metric, value): (&str, f64)| (metric.to_owned(), value);
            Report::Measured(sample.into_iter().map(named).collect())
        }
        Err(failure) => Report::Failed(failure.to_string()),
    };
    let report = serde_json::to_string(&report).map_err(|error| error.to_string())?;
    println!("{report}");
    Ok(())
}
