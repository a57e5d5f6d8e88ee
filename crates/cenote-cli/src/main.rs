//! The `cenote` program.

#![forbid(unsafe_code)]

mod args;
mod failure;
mod format;
mod measure;
mod output;
mod progress;
mod report;
mod results;
mod stress;
mod table;
mod target;
mod values;
mod verdict;
mod way;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Stress(options) => {
            let plan = options.plan().unwrap_or_else(|error| error.exit());
            stress::stress(&plan).unwrap_or_else(|error| {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            })
        }
    }
}
