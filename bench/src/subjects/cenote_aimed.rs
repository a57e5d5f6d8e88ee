//! Cenote's pool over a set of endpoints, asked for the endpoint of a key, another each time, or for one that is named.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use cenote::Pool;
use cenote::endpoints::{Balance, EndpointId};

use super::Subject;
use super::cenote::Dialler;
use super::cenote_pool::{fill, open};
use crate::connector::Setup;
use crate::measure::Outcome;

/// Each task counts for itself, and begins somewhere else.
struct Turn(AtomicU32);

impl Turn {
    fn next(&self) -> u32 {
        // One task has it.
        let turn = self.0.load(Relaxed).wrapping_add(1);
        self.0.store(turn, Relaxed);
        // Multiples of 2^32 over the golden ratio: far apart, so that no two endpoints in a row are neighbours.
        turn.wrapping_mul(0x9e37_79b9)
    }
}

impl Clone for Turn {
    fn clone(&self) -> Self {
        Self(AtomicU32::new(self.next()))
    }
}

#[derive(Clone)]
pub struct CenoteByKey {
    pool: Pool<Dialler>,
    turn: Turn,
}

#[derive(Clone)]
pub struct CenoteAt {
    pool: Pool<Dialler>,
    endpoints: Arc<[EndpointId]>,
    turn: Turn,
}

impl Subject for CenoteByKey {
    const NAME: &'static str = "cenote_pool";

    async fn open(setup: &Setup) -> Self {
        Self {
            pool: open(setup, Balance::PowerOfTwo),
            turn: Turn(AtomicU32::new(0)),
        }
    }

    fn get(&self) -> impl Future<Output = Result<impl Send, impl Debug + Send>> + Send {
        self.pool.get().by_key(&self.turn.next())
    }

    async fn fill(&self, count: usize) -> Outcome<()> {
        fill(&self.pool, count).await
    }
}

impl Subject for CenoteAt {
    const NAME: &'static str = "cenote_pool";

    async fn open(setup: &Setup) -> Self {
        let pool = open(setup, Balance::PowerOfTwo);
        // The set is known once a lease is there.
        drop(pool.get().await);
        let endpoints = (0..setup.endpoints as u32).filter_map(|key| pool.endpoint_id(&key));
        Self {
            endpoints: endpoints.collect(),
            pool,
            turn: Turn(AtomicU32::new(0)),
        }
    }

    fn get(&self) -> impl Future<Output = Result<impl Send, impl Debug + Send>> + Send {
        let turn = self.turn.next() as usize;
        self.pool
            .get()
            .at(self.endpoints[turn % self.endpoints.len()])
    }

    async fn fill(&self, count: usize) -> Outcome<()> {
        fill(&self.pool, count).await
    }
}
