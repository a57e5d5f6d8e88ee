//! Users who ask for their own tags, are impatient now and then, and report every reply that is not theirs.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use cenote::error::BoxError;
use cenote::{Connect, Pool};
use fastrand::Rng;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const USERS: usize = 200;
/// A user's pause between two calls, at most.
const PAUSE_MS: u64 = 120;
/// A patient user's time-out; an impatient one's is shorter than most replies take.
const PATIENCE_MS: u64 = 250;
const IMPATIENCE_MICROS: u64 = 3_000;

/// A server that can be asked for what it was just told.
pub trait Echo: Connect {
    fn echo(
        conn: &mut Self::Connection,
        tag: &str,
    ) -> impl Future<Output = Result<String, BoxError>> + Send;
}

pub struct Load {
    tally: Arc<Tally>,
    users: JoinSet<()>,
}

#[derive(Default)]
struct Tally {
    answers: Vec<AtomicU64>,
    /// Calls that failed or were cut short, with a connection in hand.
    spoiled: AtomicU64,
    wrong: Mutex<Vec<String>>,
    over: AtomicBool,
}

impl Load {
    pub fn start<C: Echo>(pool: &Pool<C>) -> Self {
        let tally = Arc::new(Tally {
            answers: (0..USERS).map(|_| AtomicU64::new(0)).collect(),
            ..Tally::default()
        });
        let mut users = JoinSet::new();
        for user in 0..USERS {
            let (pool, tally) = (pool.clone(), tally.clone());
            users.spawn(async move {
                let mut rng = Rng::with_seed(user as u64);
                let mut turn = 0;
                while !tally.over.load(Relaxed) {
                    sleep(Duration::from_millis(rng.u64(..=PAUSE_MS))).await;
                    let patience = match rng.u8(..8) {
                        0 => impatience(&mut rng),
                        _ => Duration::MAX,
                    };
                    let Ok(Ok(mut lease)) = timeout(patience, pool.get()).await else {
                        continue;
                    };
                    // Who was cut short often asks again on the same connection.
                    for _ in 0..2 {
                        turn += 1;
                        let padding = "x".repeat(rng.usize(..200));
                        let tag = format!("{user}/{turn}/{padding}");
                        if tally.ask::<C>(user, &mut lease, &tag, &mut rng).await || rng.bool() {
                            break;
                        }
                    }
                }
            });
        }
        Self { tally, users }
    }

    pub fn spoiled(&self) -> u64 {
        self.tally.spoiled.load(Relaxed)
    }

    pub fn answered(&self) -> u64 {
        self.answers().iter().sum()
    }

    /// By user.
    pub fn answers(&self) -> Vec<u64> {
        let answers = self.tally.answers.iter();
        answers.map(|count| count.load(Relaxed)).collect()
    }

    /// Lets every user end the call it is in; the replies that were another's.
    pub async fn end(&mut self) -> Vec<String> {
        self.tally.over.store(true, Relaxed);
        while let Some(user) = self.users.join_next().await {
            user.expect("no user panics");
        }
        std::mem::take(&mut self.tally.wrong.lock().expect("no user panicked"))
    }
}

fn impatience(rng: &mut Rng) -> Duration {
    Duration::from_micros(rng.u64(..=IMPATIENCE_MICROS))
}

impl Tally {
    /// Whether the reply came in time, and was no error.
    async fn ask<C: Echo>(
        &self,
        user: usize,
        conn: &mut C::Connection,
        tag: &str,
        rng: &mut Rng,
    ) -> bool {
        let patience = match rng.u8(..4) {
            0 => impatience(rng),
            _ => Duration::from_millis(PATIENCE_MS),
        };
        match timeout(patience, C::echo(conn, tag)).await {
            Ok(Ok(reply)) => {
                self.answers[user].fetch_add(1, Relaxed);
                if reply != tag {
                    let what = format!("asked for {tag:.20}, read {reply:.20}");
                    self.wrong.lock().expect("no user panicked").push(what);
                }
                true
            }
            Ok(Err(_)) | Err(_) => {
                self.spoiled.fetch_add(1, Relaxed);
                false
            }
        }
    }
}
