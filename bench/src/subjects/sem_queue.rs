//! Floor: the pool one writes in an afternoon, a tokio semaphore around a lock-free queue of connections.
//!
//! Fair and bounded, with none of a pool's duties: no time-out, no health, no lifetime, no counters.

use std::fmt::Debug;
use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

use super::Subject;
use crate::connector::{Connection, Setup};

#[derive(Clone)]
pub struct SemQueue {
    shared: Arc<Shared>,
}

struct Shared {
    permits: Semaphore,
    idle: ArrayQueue<Connection>,
}

pub struct Guard<'a> {
    connection: Option<Connection>,
    idle: &'a ArrayQueue<Connection>,
    // Dropped after `Guard::drop` has put the connection back, so a permit always finds one.
    _permit: SemaphorePermit<'a>,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = self.idle.push(connection);
        }
    }
}

impl SemQueue {
    async fn acquire(&self) -> Result<Guard<'_>, AcquireError> {
        let permit = self.shared.permits.acquire().await?;
        Ok(Guard {
            connection: self.shared.idle.pop(),
            idle: &self.shared.idle,
            _permit: permit,
        })
    }
}

impl Subject for SemQueue {
    const NAME: &'static str = "sem_queue";

    async fn open(setup: &Setup) -> Self {
        let idle = ArrayQueue::new(setup.max_size);
        for _ in 0..setup.max_size {
            let _ = idle.push(setup.connector.open_now());
        }
        Self {
            shared: Arc::new(Shared {
                permits: Semaphore::new(setup.max_size),
                idle,
            }),
        }
    }

    fn get(&self) -> impl Future<Output = Result<impl Send, impl Debug + Send>> + Send {
        self.acquire()
    }
}
