//! The workspace's own commands. `cargo xtask test` checks everything that is committed, on a
//! machine that has no more than a Rust toolchain and a C compiler.

#![forbid(unsafe_code)]

mod cli;
mod invocation;
mod part;
mod run;
mod servers;

use cli::Command;
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
        Command::Test(parts) => {
            // Every path below is relative to the workspace, wherever the caller stands.
            let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
            if let Err(error) = env::set_current_dir(&workspace) {
                eprintln!("xtask: cannot enter {}: {error}", workspace.display());
                return ExitCode::FAILURE;
            }
            if let Err(failure) = run::all(&parts) {
                eprintln!("\nxtask: {failure}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
