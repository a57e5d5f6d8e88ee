//! What happens to the server and to the pool, by a seed.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cenote::Pool;
use cenote_postgres::PostgresConnector;
use cenote_testkit::PostgresServer;
use fastrand::Rng;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

use crate::{Failure, MIN_IDLE, SIZE};

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Killed, and started again after so many milliseconds.
    Kill(u64),
    /// Frozen for so many milliseconds.
    Freeze(u64),
    Resize(usize),
    /// Paused for so many milliseconds.
    Pause(u64),
    Evict,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(millis) => write!(f, "server killed for {millis} ms"),
            Self::Freeze(millis) => write!(f, "server frozen for {millis} ms"),
            Self::Resize(size) => write!(f, "resized to {size}"),
            Self::Pause(millis) => write!(f, "pool paused for {millis} ms"),
            Self::Evict => f.write_str("all connections evicted"),
        }
    }
}

impl Fault {
    fn any(rng: &mut Rng) -> Self {
        match rng.u8(..8) {
            0 => Self::Kill(rng.u64(..2_000)),
            1 => Self::Freeze(rng.u64(200..4_000)),
            2..=4 => Self::Resize(rng.usize(MIN_IDLE..=SIZE)),
            5 => Self::Pause(rng.u64(..1_500)),
            _ => Self::Evict,
        }
    }

    async fn strike(
        self,
        pool: &Pool<PostgresConnector>,
        server: &Arc<PostgresServer>,
    ) -> Result<(), Failure> {
        match self {
            Self::Kill(millis) => {
                on(server, PostgresServer::kill).await?;
                sleep(Duration::from_millis(millis)).await;
                on(server, PostgresServer::restart).await?;
            }
            Self::Freeze(millis) => {
                on(server, PostgresServer::stop).await?;
                sleep(Duration::from_millis(millis)).await;
                on(server, PostgresServer::cont).await?;
            }
            Self::Resize(size) => pool.resize(size)?,
            Self::Pause(millis) => {
                pool.pause();
                sleep(Duration::from_millis(millis)).await;
                pool.resume();
            }
            Self::Evict => pool.evict(),
        }
        Ok(())
    }
}

/// The server's methods block.
async fn on<E: Into<Failure> + Send + 'static>(
    server: &Arc<PostgresServer>,
    act: impl FnOnce(&PostgresServer) -> Result<(), E> + Send + 'static,
) -> Result<(), Failure> {
    let server = server.clone();
    spawn_blocking(move || act(&server))
        .await?
        .map_err(Into::into)
}

pub struct Disturber {
    task: JoinHandle<Result<(), Failure>>,
    end: watch::Sender<bool>,
    /// How many so far, and the last.
    log: Arc<Mutex<(u64, String)>>,
}

impl Disturber {
    pub fn start(seed: u64, pool: &Pool<PostgresConnector>, server: &Arc<PostgresServer>) -> Self {
        let (end, mut ended) = watch::channel(false);
        let log = Arc::new(Mutex::new((0, "calm".to_owned())));
        let (pool, server, telling) = (pool.clone(), server.clone(), log.clone());
        let task = tokio::spawn(async move {
            let mut rng = Rng::with_seed(seed);
            loop {
                let calm = Duration::from_millis(rng.u64(500..5_000));
                let fault = Fault::any(&mut rng);
                tokio::select! {
                    () = sleep(calm) => {}
                    _ = ended.changed() => break,
                }
                {
                    let mut log = telling.lock().unwrap_or_else(PoisonError::into_inner);
                    *log = (log.0 + 1, fault.to_string());
                }
                fault.strike(&pool, &server).await?;
            }
            pool.resume();
            pool.resize(SIZE)?;
            Ok(())
        });
        Self { task, end, log }
    }

    pub fn count(&self) -> u64 {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    pub fn now(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.1.clone()
    }

    /// After the fault that is under way, all is as at first. How many there were.
    pub async fn end(self) -> Result<u64, Failure> {
        self.end.send_replace(true);
        self.task.await??;
        Ok(self.log.lock().unwrap_or_else(PoisonError::into_inner).0)
    }
}
