//! Lets users and faults loose on a pool in front of a real PostgreSQL, and says what was lost: nothing,
//! or the program fails.

#![forbid(unsafe_code)]

mod faults;
mod samples;
mod users;
mod verdict;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cenote::Pool;
use cenote::settings::Backoff;
use cenote_postgres::PostgresConnector;
use cenote_testkit::PostgresServer;
use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{Instant, sleep};

use faults::Disturber;
use samples::Samples;
use users::Crowd;
use verdict::Verdict;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A thousand users on a real PostgreSQL, while the server is killed, frozen and restarted and the pool is
/// resized, paused and emptied. At the end no place may be lost, no reply wrong, no memory or file
/// descriptor gone.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask soak")]
struct Args {
    /// How long, in minutes; fractions too.
    #[arg(long, default_value = "30", value_parser = minutes)]
    minutes: f64,
    /// How many users.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    users: u32,
    /// Which faults come, and when: the same seed, the same faults. Default: chosen and printed.
    #[arg(long)]
    seed: Option<u64>,
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(minutes) if (0.1..=100_000.0).contains(&minutes) => Ok(minutes),
        _ => Err("a number of minutes from 0.1 to 100000".into()),
    }
}

/// The size of the pool where nothing else was asked for.
const SIZE: usize = 20;
/// And the smallest that a resize may ask for.
const MIN_IDLE: usize = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(verdict) => {
            println!("{verdict}");
            if verdict.passes() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(failure) => {
            eprintln!("soak: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<Verdict, Failure> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    println!(
        "{} users for {} min, seed {seed}: starting PostgreSQL",
        args.users, args.minutes
    );
    let server = Arc::new(tokio::task::spawn_blocking(PostgresServer::start).await??);
    let connector = PostgresConnector::new(&server.url())?;
    let descriptors_before = samples::descriptors()?;
    let pool = Pool::builder(connector)
        .name("soak")
        .max_size(SIZE)
        .min_idle(MIN_IDLE)
        .idle_timeout(Duration::from_secs(20))
        .max_lifetime(Duration::from_secs(60))
        .keepalive(Duration::from_secs(5))
        .acquire_timeout(Duration::from_secs(5))
        .connect_timeout(Duration::from_secs(2))
        .check_timeout(Duration::from_secs(1))
        .reset_timeout(Duration::from_secs(1))
        .close_timeout(Duration::from_secs(1))
        .backoff(Backoff::new(
            Duration::from_millis(50),
            Duration::from_secs(1),
        ))
        .build()?;

    let crowd = Crowd::start(args.users, &pool);
    let disturber = Disturber::start(seed, &pool, &server);
    let samples = watch(args, &crowd, &disturber).await?;

    let faults = disturber.end().await?;
    // With the faults over, everyone must be served once more.
    let served = crowd.everyone_served(Duration::from_secs(60)).await;
    let tally = crowd.end().await;
    let places = whole_places(&pool).await;
    let status = pool.status();
    let counters = pool.counters();
    pool.close().await;
    drop(pool);
    // The last sockets are closed by tasks of their own.
    let descriptors_after = samples::settled_descriptors(descriptors_before).await?;
    Ok(Verdict {
        seed,
        users: args.users,
        faults,
        tally,
        everyone_served: served,
        places,
        status,
        counters,
        samples,
        descriptors: (descriptors_before, descriptors_after),
    })
}

/// Until the time is up, or Ctrl-C ends it early.
async fn watch(args: &Args, crowd: &Crowd, disturber: &Disturber) -> Result<Samples, Failure> {
    let length = Duration::from_secs_f64(args.minutes * 60.0);
    let bar = ProgressBar::with_draw_target(Some(length.as_secs()), ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template("{bar:30} {msg}")?);
    let began = Instant::now();
    let mut samples = Samples::default();
    let every = (length / 100).clamp(Duration::from_millis(500), Duration::from_secs(10));
    loop {
        tokio::select! {
            () = sleep(every) => {}
            _ = tokio::signal::ctrl_c() => break,
        }
        let at = began.elapsed();
        samples.take(at)?;
        let tally = crowd.tally();
        bar.set_position(at.as_secs());
        bar.set_message(format!(
            "{} served, {} failed, {} cut short, {} faults, now: {}",
            tally.served,
            tally.failed,
            tally.cut_short,
            disturber.count(),
            disturber.now()
        ));
        if at >= length {
            break;
        }
    }
    bar.finish_and_clear();
    Ok(samples)
}

/// How many places of the pool work: all of them, leased at once.
async fn whole_places(pool: &Pool<PostgresConnector>) -> usize {
    let mut leases = Vec::new();
    for _ in 0..SIZE {
        if let Ok(lease) = pool.get().await {
            leases.push(lease);
        }
    }
    leases.len()
}
