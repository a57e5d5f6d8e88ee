//! Two pools over one name: requests, each of which has its reply, and messages that have none.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use cenote::endpoints::{Balance, Discovery, Endpoint};
use cenote::error::SettingsError;
use cenote::mux::{CallError, MuxConnect, OneWayMux};
use cenote::net::Host;
use cenote::one_way::SendError;
use cenote::{GetError, OneWayPool, SharedPool};
use cenote_dns::Target;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::codec::LinesCodec;

/// Lines there and back.
type Lines = MuxConnect<Host, String, String>;
type OneWayLines = OneWayMux<Host, String, String>;

pub struct Clients {
    pub requests: SharedPool<Lines>,
    pub messages: OneWayPool<OneWayLines>,
    tally: Arc<Tally>,
    working: JoinSet<()>,
}

#[derive(Default)]
struct Tally {
    answered: AtomicU64,
    failed: AtomicU64,
    is_over: AtomicBool,
}

/// What became of the work of all clients.
#[derive(Debug, PartialEq, Eq)]
pub struct Done {
    pub answered: u64,
    pub failed: u64,
    /// Messages handed over to connections, and those that came back.
    pub handed_over: u64,
    pub returned: usize,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests answered, {} failed; {} messages handed over, {} given back",
            self.answered, self.failed, self.handed_over, self.returned
        )
    }
}

#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Get(#[from] GetError),
    #[error(transparent)]
    Call(#[from] CallError),
}

/// How a target is connected to: at its first address.
fn lines(target: &Endpoint<Target>) -> Lines {
    let address = target.addresses.first().copied();
    let host = address.map_or_else(|| Host::new(&*target.key.host, target.key.port), Host::from);
    MuxConnect::in_order(host, LinesCodec::new())
}

impl Clients {
    /// So many that ask and as many that tell. The name is asked for once for both pools: they share the discovery.
    pub fn start(workers: &Discovery<Target>, many: u64) -> Result<Self, SettingsError> {
        let requests = SharedPool::balanced(workers.clone(), lines)
            .name("requests")
            .build()?;
        let connections = SharedPool::balanced(workers.clone(), |at| lines(at).one_way())
            .name("messages")
            .balance(Balance::RoundRobin)
            .max_per_endpoint(2)
            .build()?;
        let mut clients = Self {
            requests,
            messages: OneWayPool::new(connections),
            tally: Arc::default(),
            working: JoinSet::new(),
        };
        for id in 0..many {
            let tally = &clients.tally;
            let asks = ask(id, clients.requests.clone(), Arc::clone(tally));
            let tells = tell(id, clients.messages.clone(), Arc::clone(tally));
            clients.working.spawn(asks);
            clients.working.spawn(tells);
        }
        Ok(clients)
    }

    /// Requests answered so far, and those that failed.
    pub fn requests_so_far(&self) -> (u64, u64) {
        (
            self.tally.answered.load(Relaxed),
            self.tally.failed.load(Relaxed),
        )
    }

    /// Has all end their work, and closes both pools.
    pub async fn end(mut self) -> Done {
        self.tally.is_over.store(true, Relaxed);
        while self.working.join_next().await.is_some() {}
        let unsent = self.messages.close().await;
        self.requests.close().await;
        let (answered, failed) = self.requests_so_far();
        Done {
            answered,
            failed,
            handed_over: self.messages.counters().handed_over,
            returned: unsent.len(),
        }
    }
}

/// Asks one question after the other.
async fn ask(id: u64, pool: SharedPool<Lines>, tally: Arc<Tally>) {
    for turn in 0_u64.. {
        if tally.is_over.load(Relaxed) {
            return;
        }
        let question = format!("{id}/{turn}");
        let asked = async {
            let connection = pool.get().await?;
            Ok::<_, AskError>(connection.call(format!("?{question}")).await?)
        };
        match asked.await {
            Ok(answer) => {
                assert_eq!(answer, question, "each has the answer to its own");
                tally.answered.fetch_add(1, Relaxed);
            }
            Err(error) => {
                if tally.failed.fetch_add(1, Relaxed) == 0 {
                    println!("    the first request that fails: {error}");
                }
            }
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// Tells one thing after the other.
async fn tell(id: u64, pool: OneWayPool<OneWayLines>, tally: Arc<Tally>) {
    for turn in 0_u64.. {
        if tally.is_over.load(Relaxed) {
            return;
        }
        match pool.send(format!("{id}/{turn}")).await {
            Ok(()) => sleep(Duration::from_millis(1)).await,
            Err(SendError::Closed(_)) => return,
            Err(error) => {
                unreachable!("{error}: there is a runtime, and a send waits for its place")
            }
        }
    }
}
