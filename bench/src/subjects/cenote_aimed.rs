//! Cenote's pool over a set of endpoints, asked for the endpoint of a key, another each time, or for one that is named.

use std::fmt::Debug;
use std::sync::Arc;

use cenote::Pool;
use cenote::endpoints::{Balance, EndpointId};

use super::Subject;
use super::cenote::Dialler;
use super::cenote_pool::{fill, open};
use super::turn::Turn;
use crate::connector::Setup;
use crate::measure::Outcome;

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
            turn: Turn::default(),
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
            turn: Turn::default(),
        }
    }

    fn get(&self) -> impl Future<Output = Result<impl Send, impl Debug + Send>> + Send {
        let endpoint = self.endpoints[self.turn.next_of(self.endpoints.len())];
        self.pool.get().at(endpoint)
    }

    async fn fill(&self, count: usize) -> Outcome<()> {
        fill(&self.pool, count).await
    }
}
