//! `cenote stress`: makes sure that everything can be used, runs the modes one after the other, and
//! tells what came of it.

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cenote::error::SettingsError;
use cenote::{Connect, ConnectionInfo, Dial};
use tokio::sync::watch;
use tokio_rustls::rustls::ClientConfig;

use crate::args::{Plan, Setup};
use crate::failure;
use crate::measure::{Measured, Stop, measure};
use crate::output::{Output, OutputError, Screen};
use crate::progress::Progress;
use crate::results::{Results, Run};
use crate::roots::RootsError;
use crate::secrets::PasswordError;
use crate::shown::Shown;
use crate::target::{
    Address, EchoService, EmbeddedServer, PostgresService, RedisService, Service, Url,
};
use crate::verdict::Verdict;
use crate::way::{Exclusive, NoPool, Shared};
use crate::{format, report, roots, secrets, table};

/// Ctrl-C's exit status by custom.
const INTERRUPTED: u8 = 130;

/// Why nothing could be measured, or shown.
#[derive(Debug, thiserror::Error)]
pub enum StressError {
    /// The target cannot be understood.
    #[error("cannot use the target: {0}")]
    Url(String),
    #[error("{}", unusable(target, cause))]
    Target { target: String, cause: String },
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Roots(#[from] RootsError),
    #[error("cannot start the embedded server: {0}")]
    Server(#[source] io::Error),
    #[error("cannot start threads for the users: {0}")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error("{}", lines(.0))]
    Outputs(Vec<OutputError>),
    #[error("cannot write the results as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("no request succeeded, in any mode")]
    NoSuccess,
}

/// Names the target, unless the cause does.
fn unusable(target: &str, cause: &str) -> String {
    match cause.contains(target) {
        true => format!("cannot use the target: {cause}"),
        false => format!("cannot use the target {target}: {cause}"),
    }
}

fn lines(errors: &[OutputError]) -> String {
    let errors: Vec<String> = errors.iter().map(OutputError::to_string).collect();
    errors.join("\nerror: ")
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
    let to_standard_output =
        |output: &Option<Output>| output.as_ref().is_some_and(Output::is_standard_output);
    let screen = match to_standard_output(&json) || to_standard_output(&page) {
        true => Screen::StandardError,
        false => Screen::StandardOutput,
    };
    let address = secrets::with_password(&plan.address, plan.password_file.as_deref())?;
    let tls = plan
        .root_certificates
        .as_deref()
        .map(roots::trusting)
        .transpose()?;
    raise_file_limit(plan);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("users")
        .enable_all()
        .build()
        .map_err(StressError::Runtime)?;
    let results = runtime.block_on(async {
        let (stop, quit) = interrupts();
        tokio::select! {
            biased;
            results = run(plan, &address, tls, stop) => results.map(Some),
            () = quit => Ok(None),
        }
    });
    runtime.shutdown_background();
    let Some(results) = results?.filter(|results| !results.runs.is_empty()) else {
        return Ok(ExitCode::from(INTERRUPTED));
    };

    // Where one cannot be written, what was measured still goes to the others.
    let mut written = vec![screen.print(&summary(&results, screen.width()))];
    if let Some(output) = json {
        let text = serde_json::to_string_pretty(&results)? + "\n";
        written.push(output.write("--json", &text));
    }
    if let Some(output) = page {
        written.push(output.write("--report", &report::page(&results)));
    }
    let failed: Vec<OutputError> = written.into_iter().filter_map(Result::err).collect();
    if !failed.is_empty() {
        return Err(StressError::Outputs(failed));
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

/// `width` is that of the terminal, if there is one.
fn summary(results: &Results, width: Option<usize>) -> String {
    let wrapped = |line: &str| match width {
        Some(width) => format::wrapped(line, width),
        None => line.to_owned(),
    };
    let mut text = format!(
        "{}\n\n{}\n\n",
        wrapped(&results.load_line()),
        table::comparison(results).draw(width)
    );
    if results.is_sweep() {
        text += &format!("{}\n\n", table::sweep(results).draw(width));
    }
    let examples = table::examples(results);
    for example in &examples {
        text += &format!("{}\n", wrapped(example));
    }
    if !examples.is_empty() {
        text.push('\n');
    }
    text + &format!("{}\n", wrapped(&results.verdict.to_string()))
}

async fn run(plan: &Plan, address: &Address, tls: Tls, stop: Stop) -> Result<Results, StressError> {
    let size = plan.load.request_size;
    let misread =
        |url: &Url, cause: &dyn Error| StressError::Url(url.hidden_in(&cause.to_string()));
    match address {
        Address::Embedded(echo) => {
            let server = EmbeddedServer::start(*echo).map_err(StressError::Server)?;
            compare(
                plan,
                EchoService::embedded(&server, *echo),
                Shown::default(),
                stop,
            )
            .await
        }
        Address::Tcp { host, port } => {
            compare(
                plan,
                EchoService::at(host, *port, size),
                Shown::default(),
                stop,
            )
            .await
        }
        Address::Postgres(url) => {
            let service = PostgresService::new(url, tls.as_deref(), size)
                .map_err(|error| misread(url, &error))?;
            compare(plan, service, Shown::without(url.password()), stop).await
        }
        Address::Redis(url) => {
            let service =
                RedisService::new(url, tls, size).map_err(|error| misread(url, &error))?;
            compare(plan, service, Shown::without(url.password()), stop).await
        }
    }
}

/// Trusted certificates other than the system's.
type Tls = Option<Arc<ClientConfig>>;

/// Runs every mode on the target, which is tried before each: it is served when the target is done with
/// what the run before left behind, so that each run starts on a quiet one.
async fn compare<S: Service + Clone>(
    plan: &Plan,
    service: S,
    shown: Shown,
    mut stop: Stop,
) -> Result<Results, StressError> {
    let mut results = Results::new(plan, shown.of(&service.label()));
    for (index, setup) in plan.runs.iter().enumerate() {
        let outcome = tokio::select! {
            biased;
            Ok(_) = stop.wait_for(|stop| *stop) => break,
            outcome = attempt(&service, plan.connect_timeout), if index == 0 => outcome,
            () = settle(&service, plan.connect_timeout), if index > 0 => Ok(()),
        };
        if let Err(cause) = outcome {
            return Err(StressError::Target {
                target: results.target,
                cause: shown.of(&cause),
            });
        }
        let name = setup.to_string();
        let progress = Progress::new(&name, index + 1, plan.runs.len(), plan.load.duration);
        let measured = one_run(plan, *setup, service.clone(), stop.clone(), progress).await?;
        results.runs.push(Run::new(*setup, measured, &shown));
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
            let way = NoPool::new(service, connect.min(acquire));
            measure(Arc::new(way), plan.load, stop, progress).await
        }
        Setup::Exclusive { pool_size } => {
            let way = Exclusive::new(service, pool_size, acquire, connect)?;
            measure(Arc::new(way), plan.load, stop, progress).await
        }
        Setup::Shared { connections } => {
            let way = Shared::new(service, connections, plan.load.users, acquire, connect)?;
            measure(Arc::new(way), plan.load, stop, progress).await
        }
    })
}

/// Connects once and sends one request, so that what cannot work is known before a thousand users try.
async fn attempt<S: Service>(service: &S, connect_timeout: Duration) -> Result<(), String> {
    let connector = service.connector();
    let dial = Dial::within(connect_timeout);
    let dialled = tokio::time::timeout(connect_timeout, connector.connect(&dial)).await;
    let late = |what: &str| {
        format!(
            "{what} took longer than {}; {}",
            humantime::format_duration(connect_timeout),
            service.doubt()
        )
    };
    let mut connection = dialled
        .map_err(|_| late("connecting"))?
        .map_err(|error| failure::chain(&error))?;
    tokio::time::timeout(connect_timeout, service.request(&mut connection))
        .await
        .map_err(|_| late("one request"))?
        .map_err(|failure| failure.message)?;
    // The runs will show whether closing works.
    let _ = tokio::time::timeout(
        connect_timeout,
        connector.close(connection, &ConnectionInfo::default()),
    )
    .await;
    Ok(())
}

/// Tries until the target answers, or has not for a while: then the run shows what is wrong.
async fn settle<S: Service>(service: &S, patience: Duration) {
    const PAUSE: Duration = Duration::from_millis(100);
    let answered = async {
        while attempt(service, patience).await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    let _ = tokio::time::timeout(patience, answered).await;
}

/// The first interrupt ends the measuring; the future that comes with it ends at the second.
fn interrupts() -> (Stop, impl Future<Output = ()>) {
    let (cancel, stop) = watch::channel(false);
    let quit = async move {
        interrupt().await;
        cancel.send_replace(true);
        interrupt().await;
    };
    (stop, quit)
}

/// Waits for Ctrl-C, or for the system to ask for the end.
async fn interrupt() {
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => signals.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
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
    if limit < needed {
        eprintln!(
            "warning: up to {} open files are needed and {} are permitted: requests may fail for want of \
             them (see ulimit -n)",
            format::count(needed),
            format::count(limit)
        );
    }
}
