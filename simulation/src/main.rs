//! Plays the scenarios at full length, and says which figures hold.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use cenote_simulation::report::{self, Played};
use cenote_simulation::{Length, Scenario, page};
use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What pools over sets of endpoints do with load, simulated and held against what is published, or promised.
///
/// The pool is the real one, on virtual time; servers and callers are simulated. The same seed gives the same figures.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask simulate", max_term_width = 100, after_help = after_help())]
struct Args {
    /// Whence all random numbers are.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only the scenario of this name; several: repeat it.
    #[arg(long, value_name = "NAME", value_parser = named)]
    only: Vec<&'static str>,
    /// As short as the tests play them.
    #[arg(long)]
    short: bool,
    /// Writes a page with the figures and charts to this file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Writes the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn after_help() -> String {
    let mut text = String::from("Scenarios:\n");
    for Scenario { name, about, .. } in Scenario::ALL {
        text.push_str(&format!("  {name:<19} {about}\n"));
    }
    text.push_str(
        "\nExit status: 0 if all figures hold, 1 if one does not or a file cannot be written, 2 if the command was not\n\
         understood.",
    );
    text
}

fn named(name: &str) -> Result<&'static str, String> {
    let found = Scenario::ALL.iter().find(|scenario| scenario.name == name);
    match found {
        Some(scenario) => Ok(scenario.name),
        None => Err("no scenario has this name; see --help".into()),
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let played = play(&args);
    let mut exit = ExitCode::SUCCESS;
    println!("{} Seed {}.", report::summary(&played), args.seed);
    if !played.iter().all(|played| played.outcome.holds()) {
        exit = ExitCode::FAILURE;
    }
    let json = || format!("{:#}\n", report::json(args.seed, &played));
    for written in [
        write(args.html.as_deref(), || page::page(args.seed, &played)),
        write(args.json.as_deref(), json),
    ] {
        if let Err(problem) = written {
            eprintln!("simulate: {problem}");
            exit = ExitCode::FAILURE;
        }
    }
    exit
}

/// One after the other; each is told of as soon as it is done.
fn play(args: &Args) -> Vec<Played> {
    let length = if args.short {
        Length::Short
    } else {
        Length::Full
    };
    let is_asked_for =
        |scenario: &Scenario| args.only.is_empty() || args.only.contains(&scenario.name);
    let scenarios: Vec<Scenario> = Scenario::ALL.into_iter().filter(is_asked_for).collect();
    let bar =
        ProgressBar::with_draw_target(Some(scenarios.len() as u64), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{spinner} {bar:30} {pos} of {len}, {elapsed}  {msg}");
    bar.set_style(style.expect("a constant template is valid"));
    bar.enable_steady_tick(Duration::from_millis(100));
    let mut played = Vec::new();
    for scenario in scenarios {
        bar.set_message(scenario.name);
        let outcome = scenario.play(args.seed, length);
        let done = Played { scenario, outcome };
        bar.suspend(|| println!("{}", report::table(&done)));
        bar.inc(1);
        played.push(done);
    }
    bar.finish_and_clear();
    played
}

fn write(file: Option<&Path>, text: impl FnOnce() -> String) -> Result<(), String> {
    let Some(file) = file else {
        return Ok(());
    };
    fs::write(file, text()).map_err(|error| format!("cannot write {}: {error}", file.display()))
}
