//! Pools over what real sentinels say, while the master is replaced under load.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod sentinels;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use cenote::{Lease, Pool, SharedLease, SharedPool};
use cenote_redis::{Cmd, PipelinedConnector, RedisConnector, RedisError, SentinelSource};
use sentinels::{Group, until, until_says};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const USERS: usize = 50;
/// A user's, with a server that does not answer; a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(5);
/// By this the pool's connections are told from others.
const CLIENT: &str = "cenote-user";

fn connector() -> RedisConnector {
    let connector = RedisConnector::new("redis://orders").unwrap();
    connector.client_name(CLIENT).unwrap()
}

fn pool(source: SentinelSource) -> Pool<RedisConnector> {
    let connector = connector();
    Pool::balanced(source, move |at| connector.for_node(&at.key))
        .max_per_endpoint(8)
        .build()
        .unwrap()
}

fn pipelined(source: SentinelSource) -> SharedPool<PipelinedConnector> {
    let connector = connector();
    let connect = move |node: &_| PipelinedConnector::from(connector.for_node(node));
    SharedPool::balanced(source, move |at| connect(&at.key))
        .max_per_endpoint(2)
        .build()
        .unwrap()
}

#[derive(Clone, Copy)]
enum Calls {
    /// Each user increments a number of its own.
    Writes,
    Reads,
}

/// Why a call failed.
#[derive(Debug)]
#[allow(dead_code, reason = "shown by tests that fail")]
struct Failure {
    /// The number of the connection; `None`: there was none.
    on: Option<u64>,
    error: String,
}

/// What one user's calls came to.
#[derive(Default)]
struct Tally {
    /// The port of the server that answered the last call, and since when it does; `None`: it failed.
    last: Option<(u16, Instant)>,
    answers: Vec<i64>,
    failures: Vec<Failure>,
}

/// Users who call again and again, whatever becomes of their calls.
struct Users {
    tallies: Arc<Vec<Mutex<Tally>>>,
    has_ended: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Users {
    fn start(pool: &(impl Serve + 'static), calls: Calls) -> Self {
        let mut users = Self {
            tallies: Arc::new((0..USERS).map(|_| Mutex::default()).collect()),
            has_ended: Arc::default(),
            tasks: JoinSet::new(),
        };
        for user in 0..USERS {
            let (pool, tallies) = (pool.clone(), users.tallies.clone());
            let has_ended = users.has_ended.clone();
            users.tasks.spawn(async move {
                while !has_ended.load(SeqCst) {
                    let outcome = call(&pool, calls, user).await;
                    tallies[user].lock().unwrap().note(outcome);
                    sleep(Duration::from_millis(2)).await;
                }
            });
        }
        users
    }

    fn tallies(&self) -> impl Iterator<Item = MutexGuard<'_, Tally>> {
        self.tallies.iter().map(|tally| tally.lock().unwrap())
    }

    /// Waits until the last call of each was answered by this server.
    async fn are_at(&self, port: u16) {
        until("all are at the master", async || {
            self.tallies().all(|tally| tally.port() == Some(port))
        })
        .await;
    }

    /// Since when the first of them is answered by this server, and the last; all are.
    fn since(&self) -> (Instant, Instant) {
        let since = self.tallies().filter_map(|tally| Some(tally.last?.1));
        let since: BTreeSet<_> = since.collect();
        (*since.first().unwrap(), *since.last().unwrap())
    }

    /// No connection has failed two calls so far.
    fn lost_one_call_a_connection(&self) {
        let mut seen = BTreeSet::new();
        for tally in self.tallies() {
            for failure in &tally.failures {
                let is_first = failure.on.is_none_or(|on| seen.insert(on));
                assert!(is_first, "not the first on it: {failure:?}");
            }
        }
    }

    /// What was before counts no more.
    fn begin_anew(&self) {
        self.tallies()
            .for_each(|mut tally| *tally = Tally::default());
    }

    /// Waits until each has had so many more answers.
    async fn have_answers(&self, count: usize) {
        let before: Vec<_> = self.tallies().map(|tally| tally.answers.len()).collect();
        until("all are answered", async || {
            let mut both = self.tallies().zip(&before);
            both.all(|(tally, before)| tally.answers.len() >= before + count)
        })
        .await;
    }

    async fn end(self) -> Vec<Tally> {
        self.has_ended.store(true, SeqCst);
        self.tasks.join_all().await;
        let tallies = Arc::into_inner(self.tallies).unwrap().into_iter();
        tallies.map(|tally| tally.into_inner().unwrap()).collect()
    }
}

impl Tally {
    fn note(&mut self, outcome: Result<(u16, i64), Failure>) {
        match outcome {
            Ok((port, answer)) => {
                if self.port() != Some(port) {
                    self.last = Some((port, Instant::now()));
                }
                self.answers.push(answer);
            }
            Err(failure) => {
                self.last = None;
                self.failures.push(failure);
            }
        }
    }

    fn port(&self) -> Option<u16> {
        self.last.map(|(port, _)| port)
    }

    /// No call failed, and what one acknowledged the next found.
    fn is_whole(&self) -> bool {
        let follows = |pair: &[i64]| pair[1] == pair[0] + 1;
        self.failures.is_empty() && self.answers.windows(2).all(follows)
    }
}

/// A pool that users call.
trait Serve: Clone + Send + Sync {
    /// One call: the port of the server that answered, and what.
    fn call(&self, cmd: Cmd) -> impl Future<Output = Result<(u16, i64), Failure>> + Send;
}

impl Serve for Pool<RedisConnector> {
    async fn call(&self, cmd: Cmd) -> Result<(u16, i64), Failure> {
        let mut lease = self.get().await.map_err(|error| failure(None, error))?;
        let (server, id) = (Lease::connector(&lease).to_string(), Lease::info(&lease).id);
        answered(server, id, lease.query(&cmd)).await
    }
}

impl Serve for SharedPool<PipelinedConnector> {
    async fn call(&self, cmd: Cmd) -> Result<(u16, i64), Failure> {
        let lease = self.get().await.map_err(|error| failure(None, error))?;
        let server = SharedLease::connector(&lease).to_string();
        answered(server, SharedLease::info(&lease).id, lease.query(&cmd)).await
    }
}

async fn answered(
    server: String,
    connection: u64,
    answer: impl Future<Output = Result<i64, RedisError>>,
) -> Result<(u16, i64), Failure> {
    let port = server.rsplit(':').next().unwrap().parse().unwrap();
    match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok((port, answer)),
        Ok(Err(error)) => Err(failure(Some(connection), error)),
        Err(_) => Err(failure(Some(connection), "no answer in time")),
    }
}

fn failure(on: Option<u64>, error: impl ToString) -> Failure {
    let error = error.to_string();
    Failure { on, error }
}

async fn call(pool: &impl Serve, calls: Calls, user: usize) -> Result<(u16, i64), Failure> {
    let cmd = match calls {
        Calls::Writes => Cmd::new("INCR").arg(format!("user:{user}")),
        Calls::Reads => Cmd::new("DBSIZE"),
    };
    pool.call(cmd).await
}

/// Waits until the server has no connection of the pool any more.
async fn is_left(url: &str) {
    until_says(url, "CLIENT LIST", |clients| !clients.contains(CLIENT)).await;
}

/// Waits until the sentinels have made a replica of the server.
async fn is_demoted(url: &str) {
    until_says(url, "INFO replication", |info| info.contains("role:slave")).await;
}

/// Waits until the sentinels have had the replica begin anew with this master: they name a master before that, and end all
/// connections of a replica as they do it.
async fn follows(url: &str, master: u16) {
    let follows = format!("master_port:{master}\r\n");
    until_says(url, "INFO replication", |info| info.contains(&follows)).await;
}

/// redis-rs #1438, deadpool #372: after a failover open connections stayed with the old master. redis-rs #539.
#[tokio::test]
async fn writers_follow_the_master_through_a_failover_by_command() {
    let group = Group::start().await;
    let users = Users::start(&pool(group.sentinels().master()), Calls::Writes);
    let old = group.servers[0].port();
    users.are_at(old).await;
    group.fail_over().await;
    let new = group.master_after(old).await;
    users.are_at(new).await;
    users.lost_one_call_a_connection();
    users.begin_anew();
    users.have_answers(20).await;
    is_left(&group.servers[0].url()).await;
    for tally in users.end().await {
        assert!(tally.is_whole(), "{:?}", tally.failures);
        assert_eq!(tally.port(), Some(new));
    }
}

/// The master is asked for its role as a pipelined connection is opened, too.
#[tokio::test]
async fn callers_on_pipelined_connections_follow_the_master() {
    let group = Group::start().await;
    let pool = pipelined(group.sentinels().master());
    let users = Users::start(&pool, Calls::Writes);
    let old = group.servers[0].port();
    users.are_at(old).await;
    group.fail_over().await;
    let new = group.master_after(old).await;
    users.are_at(new).await;
    users.begin_anew();
    users.have_answers(20).await;
    is_left(&group.servers[0].url()).await;
    for tally in users.end().await {
        assert!(tally.is_whole(), "{:?}", tally.failures);
        assert_eq!(tally.port(), Some(new));
    }
}

/// fred #56, #232, #358.
#[tokio::test]
async fn writers_follow_the_master_when_it_is_killed() {
    let group = Group::start().await;
    let users = Users::start(&pool(group.sentinels().master()), Calls::Writes);
    let old = group.servers[0].port();
    users.are_at(old).await;
    group.servers[0].kill().unwrap();
    let new = group.replaced(old).await;
    users.are_at(new).await;
    users.lost_one_call_a_connection();
    users.begin_anew();
    // It comes back as what it was.
    group.servers[0].restart().unwrap();
    is_demoted(&group.servers[0].url()).await;
    users.have_answers(20).await;
    for tally in users.end().await {
        assert!(tally.is_whole(), "{:?}", tally.failures);
        assert_eq!(tally.port(), Some(new));
    }
}

/// A master that stood still believes for a while that it is one still: what is written to it then is lost.
#[tokio::test]
async fn a_master_that_was_replaced_while_it_stood_still_is_written_to_no_more() {
    let group = Group::start().await;
    let users = Users::start(&pool(group.sentinels().master()), Calls::Writes);
    let old = group.servers[0].port();
    users.are_at(old).await;
    group.servers[0].stop().unwrap();
    let new = group.replaced(old).await;
    users.are_at(new).await;
    users.lost_one_call_a_connection();
    users.begin_anew();
    group.servers[0].cont().unwrap();
    is_demoted(&group.servers[0].url()).await;
    users.have_answers(20).await;
    is_left(&group.servers[0].url()).await;
    for tally in users.end().await {
        assert!(tally.is_whole(), "{:?}", tally.failures);
        assert_eq!(tally.port(), Some(new));
    }
}

#[tokio::test]
async fn a_lease_that_outlasts_a_failover_ends_its_connection_when_it_comes_back() {
    let group = Group::start().await;
    let pool = pool(group.sentinels().master());
    let old = group.servers[0].port();
    let kept = pool.get().await.unwrap();
    group.fail_over().await;
    group.master_after(old).await;
    until("the pool serves at the new master", async || {
        call(&pool, Calls::Writes, 0).await.is_ok()
    })
    .await;
    drop(kept);
    is_left(&group.servers[0].url()).await;
}

#[tokio::test]
async fn reads_from_replicas_go_on_while_the_master_is_replaced() {
    let group = Group::start().await;
    let users = Users::start(&pool(group.sentinels().replicas()), Calls::Reads);
    users.have_answers(1).await;
    let old = group.servers[0].port();
    group.servers[0].kill().unwrap();
    let new = group.replaced(old).await;
    let other = group.servers[1..].iter().find(|at| at.port() != new);
    let other = other.unwrap();
    follows(&other.url(), new).await;
    // Calls of before have ended by now, also those whose connection the sentinels ended.
    users.have_answers(2).await;
    users.are_at(other.port()).await;
    users.begin_anew();
    users.have_answers(20).await;
    for tally in users.end().await {
        assert!(tally.failures.is_empty(), "{:?}", tally.failures);
    }
}

#[tokio::test]
async fn readers_lose_and_regain_a_replica() {
    let group = Group::start().await;
    let users = Users::start(&pool(group.sentinels().replicas()), Calls::Reads);
    let [_, lost, other] = &group.servers[..] else {
        panic!("one master, two replicas");
    };
    users.have_answers(1).await;
    lost.kill().unwrap();
    users.are_at(other.port()).await;
    lost.restart().unwrap();
    until("it is read from again", async || {
        let is_there = |tally: &MutexGuard<'_, Tally>| tally.port() == Some(lost.port());
        users.tallies().any(|tally| is_there(&tally))
    })
    .await;
    users.end().await;
}

/// The median of several, for a machine may be busy with something else. Sentinels ask a replica once a second whether it
/// is promoted by now: until then nobody can say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures time: `cargo xtask verify` runs it"]
async fn service_is_back_within_a_second_of_the_sentinels_word() {
    let failovers = std::env::var("CENOTE_FAILOVERS").ok();
    let failovers = failovers.map_or(5, |text| text.parse().expect("a number of failovers"));
    let group = Group::start().await;
    let users = Users::start(&pool(group.sentinels().master()), Calls::Writes);
    let mut old = group.servers[0].port();
    let mut times = Vec::new();
    for round in 0..failovers {
        users.are_at(old).await;
        group.fail_over().await;
        let promoted_at = group.is_promoted(old).await;
        let new = group.master_after(old).await;
        let named_at = Instant::now();
        users.are_at(new).await;
        let (first, all) = users.since();
        println!(
            "{round}: named {:.0?} after the promotion; first write {:.0?} after that, all writers {:.0?}",
            named_at - promoted_at,
            first.saturating_duration_since(named_at),
            all.saturating_duration_since(named_at)
        );
        times.push(all.saturating_duration_since(named_at));
        is_demoted(&group.server_at(old).url()).await;
        old = new;
    }
    users.lost_one_call_a_connection();
    let failed: usize = users.tallies().map(|tally| tally.failures.len()).sum();
    times.sort_unstable();
    let all = times[failovers / 2];
    println!("median: all writers {all:.0?} after the sentinels' word; {failed} calls failed");
    assert!(
        all < Duration::from_secs(1),
        "all writers are back after {all:?}"
    );
}
