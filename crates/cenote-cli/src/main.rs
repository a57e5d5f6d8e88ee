//! The `cenote` program.

#![forbid(unsafe_code)]

mod advice;
mod args;
mod attempt;
mod chaos;
mod failure;
mod format;
mod help;
mod measure;
mod output;
mod progress;
mod refusal;
mod report;
mod results;
mod roots;
mod secrets;
mod shown;
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
    let cli = Cli::try_parse().unwrap_or_else(|error| refusal::discreet(error).exit());
    match cli.command {
        Command::Stress(options) => {
            let plan = options.plan().unwrap_or_else(|error| error.exit());
            stress::stress(&plan).unwrap_or_else(|error| {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            })
        }
    }
}
