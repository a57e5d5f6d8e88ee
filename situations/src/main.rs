//! Plays every cell of the table and judges the times.

#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cenote_situations::{Applies, Cell, OUTER_LIMIT, Outcome, Servers, Situation, play, report};
use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// What the field does to a pool of connections: plays twelve situations in six states of a connection, for PostgreSQL
/// and Redis, exclusive and shared, and judges how soon service is as before.
///
/// 288 cells, with real servers (installed: PostgreSQL and Redis), a proxy that does what networks do, and the default
/// settings of a pool. Some minutes; each cell takes seconds, most of which are waiting, so that several are played at
/// once. In each cell users ask questions that nobody else asks: an answer to another's question, or a session with
/// another's traces, fails it.
#[derive(Debug, Parser)]
#[command(name = "cenote-situations", max_term_width = 100, after_help = after_help())]
struct Args {
    /// Only cells that have each of these words in their name; several: repeat it. The words are those of the table:
    /// postgres, redis; exclusive, shared; the situations; the states.
    #[arg(long, value_name = "WORDS/..", value_parser = filter)]
    only: Vec<String>,
    /// How many cells are played at once. More than the machine bears shows in the times.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    at_once: u8,
    /// How often each is played; the worst counts.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repeat: u32,
    /// Writes what came of each cell to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Prints the cells, their bounds, and why some do not apply; plays none.
    #[arg(long)]
    list: bool,
}

fn after_help() -> String {
    let mut text = String::from("Situations:\n");
    for situation in Situation::ALL {
        text.push_str(&format!(
            "  {:<16} {}\n",
            situation.name(),
            situation.about()
        ));
    }
    text.push_str(
        "\nStates: idle, leased, in-service, listening, in-transaction, being-dialled\n\n\
         Examples:\n  \
         cargo run --release -p cenote-situations\n  \
         cargo run --release -p cenote-situations -- --only postgres/shared/silent/idle\n  \
         cargo run --release -p cenote-situations -- --only redis/frozen --json frozen.json\n\n\
         Exit status: 0 if all hold, 1 if a bound was missed or a check failed, with a list; 2 if the\n\
         command was not understood.",
    );
    text
}

fn filter(text: &str) -> Result<String, String> {
    match Cell::unknown_part(text) {
        None => Ok(text.to_owned()),
        Some(part) => Err(format!("`{part}` is in no cell's name; see --list")),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let cells: Vec<Cell> = Cell::all()
        .into_iter()
        .filter(|cell| args.only.is_empty() || args.only.iter().any(|words| cell.matches(words)))
        .collect();
    if cells.is_empty() {
        eprintln!("situations: no cell has all of these words in its name; see --list");
        return ExitCode::from(2);
    }
    if args.list {
        for cell in cells {
            match cell.applies() {
                Applies::Within(bound) => println!("{cell}: {bound}"),
                Applies::Not(why) => println!("{cell}: not applicable, as {why}"),
            }
        }
        return ExitCode::SUCCESS;
    }
    let outcomes = play_all(&args, &cells).await;
    print!("{}", report::table(&outcomes));
    let complaints = report::complaints(&outcomes);
    if !complaints.is_empty() {
        print!("\nTo be seen again with --only NAME:\n{complaints}");
    }
    println!("\n{}", report::summary(&outcomes));
    if let Some(file) = &args.json
        && let Err(error) = fs::write(file, format!("{:#}\n", report::json(&outcomes)))
    {
        eprintln!("situations: cannot write {}: {error}", file.display());
        return ExitCode::FAILURE;
    }
    match outcomes.iter().all(Outcome::holds) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Plays them, several at once, and returns what came of each in the order of the table.
async fn play_all(args: &Args, cells: &[Cell]) -> Vec<Outcome> {
    let servers = Arc::new(Servers::default());
    let room = Arc::new(Semaphore::new(args.at_once.into()));
    let total = cells.len() as u64 * u64::from(args.repeat);
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    if let Ok(style) =
        ProgressStyle::with_template("{bar:30} {pos} of {len} cells, {elapsed}  {msg}")
    {
        bar.set_style(style);
    }
    let mut outcomes = Vec::new();
    for repetition in 0..args.repeat {
        let mut playing = JoinSet::new();
        for (number, cell) in cells.iter().copied().enumerate() {
            let (servers, room, bar) = (servers.clone(), room.clone(), bar.clone());
            playing.spawn(async move {
                let _room = room.acquire().await;
                bar.set_message(cell.to_string());
                // Far beyond what a cell takes that goes wrong in every way.
                let played = timeout(4 * OUTER_LIMIT, play(cell, repetition, &servers)).await;
                let outcome = match played {
                    Ok(Ok(outcome)) => outcome,
                    Ok(Err(failure)) => Outcome::unplayed(cell, &failure.to_string()),
                    Err(_) => Outcome::unplayed(cell, "it never ended"),
                };
                if !outcome.holds() {
                    say(
                        &bar,
                        &format!("{cell}: {}", outcome.complaints().join("; ")),
                    );
                }
                bar.inc(1);
                (number, outcome)
            });
        }
        let mut played = Vec::new();
        while let Some(ended) = playing.join_next().await {
            match ended {
                Ok(outcome) => played.push(outcome),
                Err(panicked) => say(&bar, &panicked.to_string()),
            }
        }
        played.sort_by_key(|(number, _)| *number);
        outcomes.extend(played.into_iter().map(|(_, outcome)| outcome));
        // Cells that have just ended close their connections behind them.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bar.finish_and_clear();
    outcomes
}

/// Where nobody looks at a bar, too.
fn say(bar: &ProgressBar, text: &str) {
    match bar.is_hidden() {
        true => eprintln!("{text}"),
        false => bar.println(text),
    }
}
