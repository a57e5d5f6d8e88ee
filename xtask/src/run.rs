//! Runs the parts one after the other under headings, times each, and stops at the first failure.

use crate::invocation::Invocation;
use crate::needs;
use crate::part::{Part, Work};
use crate::servers;
use crate::verify::{self, Effort};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// How a part ended that did not fail.
enum Outcome {
    Passed,
    Skipped(String),
}

/// Runs `parts` in order. The error says which failed and how to repeat it alone.
pub fn all(parts: &[Part]) -> Result<(), String> {
    let started = Instant::now();
    let mut summary = Vec::with_capacity(parts.len());
    for (number, part) in (1..).zip(parts) {
        heading(&format!(
            "{} ({number} of {}): {}",
            part.name(),
            parts.len(),
            part.about()
        ));
        let begun = Instant::now();
        let outcome = one(*part).map_err(|problem| failure(*part, &problem))?;
        let took = seconds(begun.elapsed());
        summary.push(match outcome {
            Outcome::Passed => format!("  {:<9}passed  {took:>8}", part.name()),
            Outcome::Skipped(why) => {
                println!("Skipped: {why}");
                format!("  {:<9}skipped {took:>8}  {why}", part.name())
            }
        });
    }
    heading(&format!(
        "All parts passed in {}",
        seconds(started.elapsed())
    ));
    println!("{}", summary.join("\n"));
    Ok(())
}

/// Runs every proof. The error says which failed and how to repeat it alone.
pub fn verify(effort: Effort) -> Result<(), String> {
    let started = Instant::now();
    for (what, proof) in verify::proofs(effort) {
        heading(what);
        proof.run()?;
    }
    heading(&format!("All held, in {}", seconds(started.elapsed())));
    Ok(())
}

fn one(part: Part) -> Result<Outcome, String> {
    match part.work() {
        Work::InstallServers => servers::install()?,
        Work::Run(invocations) => each(&invocations)?,
        Work::RunWith(needs, invocations) => {
            let unmet = needs.into_iter().find_map(|need| needs::meet(need).err());
            if let Some(why) = unmet {
                return Ok(Outcome::Skipped(why));
            }
            each(&invocations)?;
        }
    }
    Ok(Outcome::Passed)
}

fn each(invocations: &[Invocation]) -> Result<(), String> {
    for invocation in invocations {
        println!("$ {invocation}");
        invocation.run()?;
    }
    Ok(())
}

fn heading(text: &str) {
    println!("\n=== {text}");
    // What follows is printed by other processes: nothing of ours may come after it.
    let _ = io::stdout().flush();
}

fn failure(part: Part, problem: &str) -> String {
    let name = part.name();
    format!(
        "{name}: {problem}\nThe parts after it were not run. To repeat it alone: cargo xtask test --only {name}"
    )
}

/// A duration to a tenth of a second, with minutes where there are any.
fn seconds(duration: Duration) -> String {
    let tenths = duration.as_millis().div_ceil(100);
    let (whole, tenth) = (tenths / 10, tenths % 10);
    match whole / 60 {
        0 => format!("{whole}.{tenth} s"),
        minutes => format!("{minutes} min {:02} s", whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_as_people_do() {
        assert_eq!(seconds(Duration::from_millis(1_240)), "1.3 s");
        assert_eq!(seconds(Duration::from_secs(185)), "3 min 05 s");
    }

    #[test]
    fn a_failure_tells_how_to_repeat_the_part_alone() {
        let told = failure(Part::Clippy, "`cargo clippy` failed (exit status: 101)");
        assert!(told.starts_with("clippy: `cargo clippy` failed"), "{told}");
        assert!(told.ends_with("cargo xtask test --only clippy"), "{told}");
    }
}
