//! `cenote-bench`: Cenote's speed beside its rivals', in one run. See `--help`.

mod allocations;
mod callers;
mod cli;
mod connector;
mod http;
mod isolated;
mod measure;
mod mux;
mod neighbours;
mod output;
mod postgres;
mod processor;
mod progress;
mod redis;
mod rounds;
mod scenarios;
mod subjects;
mod table;
mod thresholds;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::cli::{Cli, Command, Common};
use crate::output::JsonFile;
use crate::progress::Progress;
use crate::rounds::{Rounds, Scenario};

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

const ROUNDS: usize = 5;
/// No run of `pool`, `mux` or `redis` keeps anybody waiting for longer.
const LIMIT: Duration = Duration::from_secs(60);
/// A round of `balance` or `keyed` has half a minute in which nothing happens.
const BALANCE_LIMIT: Duration = Duration::from_secs(300);
/// What `http` is asked is asked of the medians of at least so many.
const HTTP_ROUNDS: usize = 9;
const HTTP_LIMIT: Duration = Duration::from_secs(1_200);

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> Result<ExitCode, String> {
    match command {
        Command::Pool(args) => {
            let chosen = cli::select(scenarios::all(), &args.only, &args.subject);
            let rounds = Rounds::Within(ROUNDS, LIMIT);
            measure_each(chosen, "pool", &args.common, rounds, args.alone, "")
        }
        Command::Balance(args) => {
            let chosen = cli::select(scenarios::balance::all(), &args.only, &args.subject);
            let rounds = Rounds::Within(ROUNDS, BALANCE_LIMIT);
            let legend = scenarios::balance::LEGEND;
            measure_each(chosen, "balance", &args.common, rounds, args.alone, legend)
        }
        Command::Keyed(args) => {
            let chosen = cli::select(scenarios::keyed::all(), &args.only, &args.subject);
            let rounds = Rounds::Within(ROUNDS, BALANCE_LIMIT);
            let legend = scenarios::keyed::LEGEND;
            measure_each(chosen, "keyed", &args.common, rounds, args.alone, legend)
        }
        Command::Mux(args) => {
            let chosen = cli::select(mux::all(), &args.only, &args.subject);
            let rounds = Rounds::Within(ROUNDS, LIMIT);
            measure_each(chosen, "mux", &args.common, rounds, args.alone, mux::LEGEND)
        }
        Command::Http(args) => {
            let chosen = cli::select(http::all(), &args.only, &args.subject);
            let rounds = Rounds::Within(HTTP_ROUNDS, HTTP_LIMIT);
            let legend = http::legend();
            measure_each(chosen, "http", &args.common, rounds, args.alone, &legend)
        }
        Command::HttpReload(args) => {
            let chosen = cli::select(http::reload(), &args.only, &args.subject);
            // Half a minute each: one is enough.
            let rounds = Rounds::Exactly(1);
            let legend = http::RELOAD_LEGEND;
            measure_each(
                chosen,
                "http-reload",
                &args.common,
                rounds,
                args.alone,
                legend,
            )
        }
        Command::HttpServer => {
            let served = http::server::run();
            served.map_err(|error| error.to_string())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Idle(args) => {
            let chosen = cli::select(scenarios::idle(), &args.only, &args.subject);
            // A minute each: one is enough.
            let rounds = Rounds::Exactly(1);
            measure_each(chosen, "idle", &args.common, rounds, args.alone, "")
        }
        Command::Postgres(args) => {
            let json = open_json(&args.common)?;
            let server = postgres::Server::start()?;
            let chosen = cli::select(server.scenarios(), &args.only, &args.subject);
            let rounds = args.common.rounds(Rounds::Exactly(ROUNDS));
            measure(chosen, rounds, postgres::LEGEND, json)
        }
        Command::Redis(args) => {
            let json = open_json(&args.common)?;
            let server = redis::Server::start()?;
            let chosen = cli::select(server.scenarios(), &args.only, &args.subject);
            let rounds = args.common.rounds(Rounds::Within(ROUNDS, LIMIT));
            measure(chosen, rounds, redis::LEGEND, json)
        }
    }
}

/// Each case in a process of its own, or in this one if it is that.
fn measure_each(
    scenarios: Vec<Scenario>,
    command: &'static str,
    args: &Common,
    default: Rounds,
    alone: bool,
    legend: &str,
) -> Result<ExitCode, String> {
    if alone {
        return isolated::report(&scenarios).map(|()| ExitCode::SUCCESS);
    }
    let json = open_json(args)?;
    let rounds = args.rounds(default);
    measure(isolated::each(scenarios, command), rounds, legend, json)
}

fn open_json(args: &Common) -> Result<Option<JsonFile>, String> {
    let file = args.json.as_deref().map(JsonFile::create);
    file.transpose().map_err(|error| error.to_string())
}

/// Runs the scenarios, prints and writes the results. A case that could not be measured fails the run; a threshold
/// that was missed is a fact like any other.
fn measure(
    scenarios: Vec<Scenario>,
    rounds: Rounds,
    legend: &str,
    json: Option<JsonFile>,
) -> Result<ExitCode, String> {
    if scenarios.is_empty() {
        return Err(
            "none of the scenarios asked for runs any of the subjects asked for".to_owned(),
        );
    }
    let results = rounds::run(&scenarios, rounds, &Progress::on_terminal());
    print!("{}", table::render(&scenarios, &results));
    if !legend.is_empty() {
        println!("{legend}\n");
    }
    let verdicts = thresholds::judge(&results);
    print!("{}", table::render_verdicts(&verdicts, &results));
    print!("{}", table::render_circumstances(&results));
    if let Some(json) = json {
        json.write(&results.rows)
            .map_err(|error| error.to_string())?;
    }
    if results.unmeasured.is_empty() {
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::FAILURE)
    }
}
