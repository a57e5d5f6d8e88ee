//! Users that ask for their own number and look whether they got it; some leave in the middle.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cenote::{GetError, Pool};
use cenote_postgres::PostgresConnector;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// What became of the queries so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub served: u64,
    /// Replies to somebody else's question.
    pub wrong: u64,
    pub failed: u64,
    /// By users that left in the middle.
    pub cut_short: u64,
    /// Failed gets, by kind.
    pub refused: BTreeMap<&'static str, u64>,
    /// Users whose task panicked.
    pub panicked: u64,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    served: AtomicU64,
    wrong: AtomicU64,
    failed: AtomicU64,
    cut_short: AtomicU64,
    refused: Mutex<BTreeMap<&'static str, u64>>,
    /// How often each was served.
    each: Vec<AtomicU64>,
}

impl Shared {
    fn refuse(&self, kind: &'static str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(kind).or_default() += 1;
    }
}

pub struct Crowd {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl Crowd {
    pub fn start(users: u32, pool: &Pool<PostgresConnector>) -> Self {
        let shared = Arc::new(Shared {
            each: (0..users).map(|_| AtomicU64::new(0)).collect(),
            ..Shared::default()
        });
        let mut tasks = JoinSet::new();
        for user in 0..users {
            tasks.spawn(live(user, pool.clone(), shared.clone()));
        }
        Self { shared, tasks }
    }

    pub fn tally(&self) -> Tally {
        let shared = &self.shared;
        let refused = shared
            .refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Tally {
            served: shared.served.load(Relaxed),
            wrong: shared.wrong.load(Relaxed),
            failed: shared.failed.load(Relaxed),
            cut_short: shared.cut_short.load(Relaxed),
            refused: refused.clone(),
            panicked: 0,
        }
    }

    /// How long until every user is served from now on; `None` if that takes longer than `limit`.
    pub async fn everyone_served(&self, limit: Duration) -> Option<Duration> {
        let began = Instant::now();
        let count = |user: &AtomicU64| user.load(Relaxed);
        let before: Vec<_> = self.shared.each.iter().map(count).collect();
        loop {
            let now = self.shared.each.iter().map(count);
            if now.zip(&before).all(|(now, before)| now > *before) {
                return Some(began.elapsed());
            }
            if began.elapsed() > limit {
                return None;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sees everyone out.
    pub async fn end(mut self) -> Tally {
        self.shared.over.store(true, Relaxed);
        let mut panicked = 0;
        while let Some(ended) = self.tasks.join_next().await {
            panicked += u64::from(ended.is_err());
        }
        Tally {
            panicked,
            ..self.tally()
        }
    }
}

async fn live(user: u32, pool: Pool<PostgresConnector>, shared: Arc<Shared>) {
    let mut tag = i64::from(user) << 32;
    while !shared.over.load(Relaxed) {
        tag += 1;
        // One in twenty loses patience at any point: waiting, or in the middle of the query.
        let patience = match fastrand::u8(..20) {
            0 => Duration::from_micros(fastrand::u64(..30_000)),
            _ => Duration::from_secs(10),
        };
        match timeout(patience, ask(&pool, tag)).await {
            Ok(Ok(answer)) if answer == tag => {
                shared.served.fetch_add(1, Relaxed);
                shared.each[user as usize].fetch_add(1, Relaxed);
            }
            Ok(Ok(_)) => {
                shared.wrong.fetch_add(1, Relaxed);
            }
            Ok(Err(Unanswered::Refused(kind))) => {
                shared.refuse(kind);
                sleep(Duration::from_millis(20)).await;
            }
            Ok(Err(Unanswered::Failed)) => {
                shared.failed.fetch_add(1, Relaxed);
            }
            Err(_) => {
                shared.cut_short.fetch_add(1, Relaxed);
            }
        }
    }
}

enum Unanswered {
    Refused(&'static str),
    Failed,
}

async fn ask(pool: &Pool<PostgresConnector>, tag: i64) -> Result<i64, Unanswered> {
    let conn = pool.get().await.map_err(|error| {
        Unanswered::Refused(match error {
            GetError::TimedOut(_) => "timed out",
            GetError::Connect { .. } => "connecting failed",
            GetError::QueueFull { .. } => "queue full",
            _ => "other",
        })
    })?;
    let row = conn
        .query_one_cached("SELECT $1::int8", &[&tag])
        .await
        .map_err(|_| Unanswered::Failed)?;
    row.try_get(0).map_err(|_| Unanswered::Failed)
}
