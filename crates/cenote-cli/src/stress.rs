//! `cenote stress`: makes sure that everything can be used, runs the modes one after the other, and
//! tells what came of it.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cenote::{Connect, SettingsError};
use tokio::sync::watch;

use crate::args::{Plan, Setup};
use crate::failure;
use crate::measure::{Measured, Stop, measure};
use crate::output::{Output, OutputError, Screen};
use crate::progress::Progress;
use crate::results::{Results, Run};
use crate::target::{Address, EchoService, EmbeddedServer, PostgresService, RedisService, Service};
use crate::verdict::Verdict;
use crate::way::{Exclusive, Unpooled};
use crate::{report, table};

/// Ctrl-C's exit status by custom.
const INTERRUPTED: u8 = 130;

/// Why nothing could be measured, or shown.
#[derive(Debug, thiserror::Error)]
pub enum StressError {
    #[error("cannot use the target {target}: {cause}")]
    Target { target: String, cause: String },
    #[error("cannot start the embedded server: {0}")]
    Server(#[source] io::Error),
    #[error("cannot start threads for the users: {0}")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error("cannot write the results as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("no request succeeded, in any mode")]
    NoSuccess,
}

/// Carries out `plan`.
pub fn stress(plan: &Plan) -> Result<ExitCode, StressError> {
    let json = plan
        .json
        .as_deref()
        .map(|path| Output::open("--json", path))
        .transpose()?;
    let page = plan
        .report
        .as_deref()
        .map(|path| Output::open("--report", path))
        .transpose()?;
    raise_file_limit(plan);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("users")
        .enable_all()
        .build()
        .map_err(StressError::Runtime)?;
    let results = runtime.block_on(run(plan));
    runtime.shutdown_background();
    let results = results?;

    let screen = match &json {
        Some(output) if output.is_standard_output() => Screen::StandardError,
        _ => Screen::StandardOutput,
    };
    if results.runs.is_empty() {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    screen.print(&summary(&results))?;
    if let Some(output) = json {
        output.write("--json", &(serde_json::to_string_pretty(&results)? + "\n"))?;
    }
    if let Some(output) = page {
        output.write("--report", &report::page(&results))?;
    }
    if results.interrupted {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    match results
        .runs
        .iter()
        .any(|run| !run.latencies.total.is_empty())
    {
        true => Ok(ExitCode::SUCCESS),
        false => Err(StressError::NoSuccess),
    }
}

fn summary(results: &Results) -> String {
    let mut text = format!(
        "{}\n\n{}\n\n",
        results.load_line(),
        table::comparison(results).draw()
    );
    if results.is_sweep() {
        text += &format!("{}\n\n", table::sweep(results).draw());
    }
    let examples = table::examples(results);
    if !examples.is_empty() {
        text += &format!("{examples}\n");
    }
    text + &format!("{}\n", results.verdict)
}

async fn run(plan: &Plan) -> Result<Results, StressError> {
    let stop = stop_on_ctrl_c();
    let size = plan.load.request_size;
    let unusable = |cause: &dyn std::error::Error| StressError::Target {
        target: plan.address.to_string(),
        cause: cause.to_string(),
    };
    match &plan.address {
        Address::Embedded(echo) => {
            let server = EmbeddedServer::start(*echo).map_err(StressError::Server)?;
            let (host, port) = (server.address.ip().to_string(), server.address.port());
            let service = EchoService::new(host, port, server.tls.clone(), size);
            compare(plan, service, stop).await
        }
        Address::Tcp { host, port } => {
            compare(
                plan,
                EchoService::new(host.clone(), *port, None, size),
                stop,
            )
            .await
        }
        Address::Postgres(url) => {
            let service = PostgresService::new(url.expose(), size);
            compare(plan, service.map_err(|error| unusable(&error))?, stop).await
        }
        Address::Redis(url) => {
            let service = RedisService::new(url.expose(), size);
            compare(plan, service.map_err(|error| unusable(&error))?, stop).await
        }
    }
}

/// Runs every mode on the target, which is tried before each.
async fn compare<S: Service + Clone>(
    plan: &Plan,
    service: S,
    mut stop: Stop,
) -> Result<Results, StressError> {
    let mut results = Results::new(plan);
    for (index, setup) in plan.runs.iter().enumerate() {
        // It is served when the target is done with what the run before left behind: each run starts
        // on a quiet one.
        let outcome = tokio::select! {
            biased;
            Ok(_) = stop.wait_for(|stop| *stop) => break,
            outcome = attempt(&service, plan.connect_timeout) => outcome,
        };
        // Later on, the run itself shows what is wrong.
        if let (0, Err(cause)) = (index, outcome) {
            let target = results.target;
            return Err(StressError::Target { target, cause });
        }
        let name = setup.to_string();
        let progress = Progress::new(&name, index + 1, plan.runs.len(), plan.load.duration);
        let measured = one_run(plan, *setup, service.clone(), stop.clone(), progress).await?;
        results.runs.push(Run::new(*setup, measured));
    }
    results.interrupted = *stop.borrow();
    results.verdict = Verdict::of(&results);
    Ok(results)
}

async fn one_run<S: Service>(
    plan: &Plan,
    setup: Setup,
    service: S,
    stop: Stop,
    progress: Progress,
) -> Result<Measured, SettingsError> {
    let (acquire, connect) = (plan.acquire_timeout, plan.connect_timeout);
    Ok(match setup {
        Setup::NoPool => {
            // Who connects waits for a connection too.
            let way = Unpooled::new(service, connect.min(acquire));
            measure(Arc::new(way), plan.load, stop, progress).await
        }
        Setup::Exclusive { pool_size } => {
            let way = Exclusive::new(service, pool_size, acquire, connect)?;
            measure(Arc::new(way), plan.load, stop, progress).await
        }
    })
}

/// Connects once and sends one request, so that what cannot work is known before a thousand users try.
async fn attempt<S: Service>(service: &S, connect_timeout: Duration) -> Result<(), String> {
    let connector = service.connector();
    let dial = tokio::time::timeout(connect_timeout, connector.connect()).await;
    let late = |what: &str| {
        format!(
            "{what} took longer than {}",
            humantime::format_duration(connect_timeout)
        )
    };
    let mut connection = dial
        .map_err(|_| late("connecting"))?
        .map_err(|error| failure::chain(&error))?;
    tokio::time::timeout(connect_timeout, service.request(&mut connection))
        .await
        .map_err(|_| late("one request"))?
        .map_err(|failure| failure.message)?;
    // The runs will show whether closing works.
    let _ = tokio::time::timeout(connect_timeout, connector.close(connection)).await;
    Ok(())
}

/// The first Ctrl-C ends the measuring, the second the program.
fn stop_on_ctrl_c() -> Stop {
    let (cancel, stop) = watch::channel(false);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if cancel.send_replace(true) {
                std::process::exit(INTERRUPTED.into());
            }
        }
        // Without signals there is nothing to wait for, but the runs still watch the channel.
        std::future::pending::<()>().await;
    });
    stop
}

/// A connection takes a file descriptor, two where the server is in this process.
fn raise_file_limit(plan: &Plan) {
    const SPARE: u64 = 100;
    let ends = if matches!(plan.address, Address::Embedded(_)) {
        2
    } else {
        1
    };
    let most = plan
        .runs
        .iter()
        .map(|setup| setup.pool_size().unwrap_or(plan.load.users))
        .max();
    let needed = most.unwrap_or(0) as u64 * ends + SPARE;
    // What cannot be had shows as errors, by their kind; here only a warning.
    let limit = rlimit::increase_nofile_limit(needed).unwrap_or(u64::MAX);
    if limit < needed && io::stderr().is_terminal() {
        eprintln!(
            "warning: up to {needed} open files are needed and {limit} are permitted (see ulimit -n)"
        );
    }
}
