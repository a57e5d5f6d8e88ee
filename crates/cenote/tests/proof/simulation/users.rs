//! What users do with a pool, by their own seeds: get, try, give up, cut queries short, discard, detach.

use std::ops::DerefMut;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote::{Lease, OwnedLease, Pool};
use fastrand::Rng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::backend::{Backend, Connection};

/// A sum over all that happened, in its order and with its times: equal for equal runs.
#[derive(Default)]
pub struct Trace(AtomicU64);

impl Trace {
    pub fn add(&self, began: Instant, who: u64, what: u64) {
        let at = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut sum = self.0.load(Relaxed);
        for word in [at, who, what] {
            // Fowler, Noll and Vo's hash, by words.
            sum = (sum ^ word).wrapping_mul(0x0100_0000_01b3);
        }
        self.0.store(sum, Relaxed);
    }

    pub fn sum(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// All users of a run.
pub struct Crowd {
    tasks: JoinSet<()>,
    /// Counts the times the crowd was told to go on; 0 is the end.
    round: watch::Sender<u64>,
    served: Arc<Mutex<Vec<(u64, Instant)>>>,
    size: usize,
}

struct User {
    id: u64,
    pool: Pool<Backend>,
    rng: Rng,
    trace: Arc<Trace>,
    began: Instant,
    round: watch::Receiver<u64>,
    served: Arc<Mutex<Vec<(u64, Instant)>>>,
}

impl Crowd {
    pub fn start(users: u64, pool: &Pool<Backend>, trace: &Arc<Trace>, rng: &mut Rng) -> Self {
        let (round, _) = watch::channel(1);
        let served = Arc::default();
        let mut tasks = JoinSet::new();
        for id in 1..=users {
            let user = User {
                id,
                pool: pool.clone(),
                rng: rng.fork(),
                trace: trace.clone(),
                began: Instant::now(),
                round: round.subscribe(),
                served: Arc::clone(&served),
            };
            tasks.spawn(user.live());
        }
        Self {
            size: tasks.len(),
            tasks,
            round,
            served,
        }
    }

    /// Until every user has had a connection that worked, from now on; how long that took.
    pub async fn everyone_served(&self) -> Duration {
        let began = Instant::now();
        self.served.lock().unwrap().clear();
        loop {
            let mut users: Vec<u64> = {
                let served = self.served.lock().unwrap();
                served.iter().map(|&(user, _)| user).collect()
            };
            users.sort_unstable();
            users.dedup();
            if users.len() == self.size || began.elapsed() > Duration::from_secs(60) {
                return began.elapsed();
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Tells all to stop, and sees them out: what failed in one fails here.
    pub async fn end(&mut self) {
        self.round.send_replace(0);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

/// What a user tried and what came of it, for the trace.
#[derive(Clone, Copy)]
enum Said {
    Worked = 1,
    Failed,
    CutShort,
    NoLease,
    GaveUp,
}

impl User {
    async fn live(mut self) {
        while *self.round.borrow() > 0 {
            let thought = self.rng.u64(..40);
            sleep(Duration::from_millis(thought)).await;
            let said = self.act().await;
            self.trace.add(self.began, self.id, said as u64);
            if matches!(said, Said::Worked) {
                let entry = (self.id, Instant::now());
                self.served.lock().unwrap().push(entry);
            }
        }
    }

    async fn act(&mut self) -> Said {
        let pool = self.pool.clone();
        match self.rng.u8(..20) {
            0 => match pool.try_get() {
                Ok(lease) => self.use_up(lease).await.0,
                Err(_) => Said::NoLease,
            },
            // Leaves at whatever point of its get it has come to.
            1..=3 => {
                let patience = Duration::from_millis(self.rng.u64(..40));
                match timeout(patience, pool.get()).await {
                    Ok(Ok(lease)) => self.use_up(lease).await.0,
                    Ok(Err(_)) => Said::NoLease,
                    Err(_) => Said::GaveUp,
                }
            }
            4 | 5 => {
                let patience = Duration::from_millis(self.rng.u64(1..60));
                match pool.get().timeout(patience).await {
                    Ok(lease) => self.use_up(lease).await.0,
                    Err(_) => Said::NoLease,
                }
            }
            6 => match pool.get().await {
                Ok(lease) => {
                    let (said, lease) = self.use_up(lease).await;
                    Lease::discard(lease);
                    said
                }
                Err(_) => Said::NoLease,
            },
            7 => match pool.get_owned().await {
                Ok(lease) => {
                    let (said, lease) = self.use_up(lease).await;
                    drop(OwnedLease::detach(lease));
                    said
                }
                Err(_) => Said::NoLease,
            },
            _ => match pool.get().await {
                Ok(lease) => self.use_up(lease).await.0,
                Err(_) => Said::NoLease,
            },
        }
    }

    /// One or two operations; some are cut short in the middle, and no user waits for ever.
    async fn use_up<L: DerefMut<Target = Connection>>(&mut self, mut lease: L) -> (Said, L) {
        lease.take();
        let mut said = Said::Worked;
        for _ in 0..self.rng.u8(1..=2) {
            let patience = match self.rng.u8(..10) {
                0 => self.rng.u64(..25),
                _ => 200,
            };
            match timeout(Duration::from_millis(patience), lease.operate(25)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => said = Said::Failed,
                Err(_) => said = Said::CutShort,
            }
            if !matches!(said, Said::Worked) {
                break;
            }
        }
        lease.leave();
        (said, lease)
    }
}
