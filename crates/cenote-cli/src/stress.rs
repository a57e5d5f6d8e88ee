//! `cenote stress`: makes sure that everything can be used, runs the modes one after the other, and
//! tells what came of it.

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use cenote::endpoints::{Discovery, EndpointSet, channel, fixed};
use cenote::error::SettingsError;
use tokio::sync::watch;
use tokio_rustls::rustls::ClientConfig;

use crate::args::{Plan, Setup};
use crate::attempt::{attempt, settle};
use crate::chaos::{Chaos, felt};
use crate::measure::{Measured, Stop, measure};
use crate::output::{Output, OutputError, Screen};
use crate::progress::Progress;
use crate::results::{Results, Run, SetResult};
use crate::roots::RootsError;
use crate::secrets::PasswordError;
use crate::shown::Shown;
use crate::target::{
    Address, EchoService, EmbeddedServers, Fleet, Place, PostgresService, RedisService, Service,
    Url,
};
use crate::verdict::{Verdict, notes};
use crate::way::{Exclusive, NoPool, Patience, Shared};
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
    let wrapped = |line: &str| wrapped(line, width);
    let mut text = format!(
        "{}\n\n{}\n\n",
        wrapped(&results.load_line()),
        table::comparison(results).draw(width)
    );
    if results.is_sweep() {
        text += &format!("{}\n\n", table::sweep(results).draw(width));
    }
    if let Some(seed) = results.seed {
        let table = table::chaos(results).draw(width);
        text += &format!("Chaos (--seed {seed})\n{table}\n\n");
    }
    for run in results.compared() {
        text += &servers(run, width);
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

/// The servers of one run, where there are several.
fn servers(run: &Run, width: Option<usize>) -> String {
    let Some(set) = &run.endpoints else {
        return String::new();
    };
    let table = table::endpoints(set).draw(width);
    let mut text = format!("{}\n{table}\n\n", wrapped(&table::heading(run, set), width));
    for paragraph in [table::last_errors(set), set.notes.clone()] {
        for line in &paragraph {
            text += &format!("{}\n", wrapped(line, width));
        }
        if !paragraph.is_empty() {
            text.push('\n');
        }
    }
    text
}

fn wrapped(line: &str, width: Option<usize>) -> String {
    match width {
        Some(width) => format::wrapped(line, width),
        None => line.to_owned(),
    }
}

async fn run(plan: &Plan, address: &Address, tls: Tls, stop: Stop) -> Result<Results, StressError> {
    let size = plan.load.request_size;
    let misread =
        |url: &Url, cause: &dyn Error| StressError::Url(url.hidden_in(&cause.to_string()));
    match address {
        Address::Embedded(fleet) => {
            let servers = EmbeddedServers::start(fleet).map_err(StressError::Server)?;
            let servers = Arc::new(servers);
            let (discovery, chaos) = known(plan, fleet, &servers)?;
            let service = EchoService::embedded(&servers, fleet, discovery);
            compare(plan, service, Shown::default(), chaos, stop).await
        }
        Address::Tcp(places) => {
            let service = EchoService::at(places, size)?;
            compare(plan, service, Shown::default(), None, stop).await
        }
        Address::Postgres(url) => {
            let service = PostgresService::new(url, tls.as_deref(), size)
                .map_err(|error| misread(url, &error))?;
            let shown = Shown::without(url.password());
            compare(plan, service, shown, None, stop).await
        }
        Address::Redis(url) => {
            let service =
                RedisService::new(url, tls, size).map_err(|error| misread(url, &error))?;
            let shown = Shown::without(url.password());
            compare(plan, service, shown, None, stop).await
        }
    }
}

/// Which of the embedded servers there are, where they are several, and what is to befall them.
fn known(
    plan: &Plan,
    fleet: &Fleet,
    servers: &Arc<EmbeddedServers>,
) -> Result<(Option<Discovery<Place>>, Option<Chaos>), SettingsError> {
    if let Some(schedule) = &plan.chaos {
        let (sender, source) = channel();
        let chaos = Chaos::new(servers.clone(), fleet.servers, sender, schedule.clone());
        return Ok((Some(Discovery::start(source)?), Some(chaos)));
    }
    if !plan.address.is_set() {
        return Ok((None, None));
    }
    let places = (0..fleet.servers).map(|number| servers.place(number).clone());
    Ok((
        Some(Discovery::start(fixed(EndpointSet::of(places)))?),
        None,
    ))
}

/// Trusted certificates other than the system's.
type Tls = Option<Arc<ClientConfig>>;

/// Runs every mode on the target, which is tried before each: it is served when the target is done with
/// what the run before left behind, so that each run starts on a quiet one.
async fn compare<S: Service + Clone>(
    plan: &Plan,
    service: S,
    shown: Shown,
    chaos: Option<Chaos>,
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
        let playing = async {
            match &chaos {
                Some(chaos) => chaos.play().await,
                None => std::future::pending().await,
            }
        };
        let mut measured = tokio::select! {
            measured = one_run(plan, *setup, service.clone(), stop.clone(), progress) => measured?,
            never = playing => match never {},
        };
        let endpoints = measured.endpoints.take();
        let mut run = Run::new(*setup, measured, &shown);
        let balance = (*setup != Setup::NoPool).then_some(plan.balance);
        run.endpoints = endpoints.map(|endpoints| SetResult::new(endpoints, balance, &shown));
        if let Some(chaos) = &chaos {
            run.chaos = felt(&chaos.restore(), &run.samples);
        }
        let notes = notes(&run);
        if let Some(set) = &mut run.endpoints {
            set.notes = notes;
        }
        results.runs.push(run);
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
    let patience = Patience {
        acquire: plan.acquire_timeout,
        connect: plan.connect_timeout,
        request: plan.request_timeout,
    };
    Ok(match setup {
        Setup::NoPool => {
            let way = NoPool::new(service, patience);
            measure(Arc::new(way), plan.load, stop, progress).await
        }
        Setup::Exclusive { pool_size } => {
            let way = Exclusive::new(service, pool_size, plan.balance.into(), patience)?;
            measure(Arc::new(way), plan.load, stop, progress).await
        }
        Setup::Shared { connections } => {
            let users = plan.load.users;
            let way = Shared::new(service, connections, users, plan.balance.into(), patience)?;
            measure(Arc::new(way), plan.load, stop, progress).await
        }
    })
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
    let servers = plan.address.servers();
    let (ends, ports) = match plan.address {
        // A server keeps its port, and listens.
        Address::Embedded(_) => (2, 2 * (servers - 1)),
        _ => (1, 0),
    };
    let of = |setup: &Setup| match setup.pool_size() {
        Some(size) => size * servers,
        None => plan.load.users,
    };
    let most = plan.runs.iter().map(of).max();
    let needed = (most.unwrap_or(0) * ends + ports) as u64 + SPARE;
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
