//! The workspace's own commands. `cargo xtask test` checks everything that is committed, on a
//! machine that has no more than a Rust toolchain and a C compiler; `verify`, `soak` and `simulate` are
//! the proof at greater length.

#![forbid(unsafe_code)]

mod cli;
mod invocation;
mod needs;
mod part;
mod run;
mod servers;
mod verify;

use cli::Command;
use invocation::Invocation;
use std::env;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let command = match cli::parse(env::args().skip(1)) {
        Ok(command) => command,
        Err(problem) => {
            eprintln!("xtask: {problem}\nTry `cargo xtask --help`.");
            return ExitCode::from(2);
        }
    };
    match command {
        Command::Help => print!("{}", cli::help()),
        Command::List => print!("{}", cli::list()),
        Command::Test(parts) => return in_workspace(|| run::all(&parts)),
        Command::Verify(effort) => return in_workspace(|| run::verify(effort)),
        Command::Soak(args) => return in_workspace(|| program("cenote-soak", &args).run()),
        Command::Simulate(args) => {
            return in_workspace(|| program("cenote-simulation", &args).run());
        }
    }
    ExitCode::SUCCESS
}

/// A program of the workspace, with arguments of its own.
fn program(package: &str, args: &[String]) -> Invocation {
    let program = Invocation::cargo(["run", "--release", "-p", package, "--"]);
    args.iter()
        .fold(program, |program, arg| program.args([arg]))
}

/// Does `work` where every path is relative to the workspace, wherever the caller stands.
fn in_workspace(work: impl FnOnce() -> Result<(), String>) -> ExitCode {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if let Err(error) = env::set_current_dir(&workspace) {
        eprintln!("xtask: cannot enter {}: {error}", workspace.display());
        return ExitCode::FAILURE;
    }
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nxtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
