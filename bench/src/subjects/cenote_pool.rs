//! Cenote's pool over a set of endpoints: all by default, with the power of two choices, or round robin.

use std::fmt::Debug;

use cenote::Pool;
use cenote::endpoints::{Balance, EndpointSet, fixed};

use super::cenote::Dialler;
use super::{Subject, refused};
use crate::connector::Setup;
use crate::measure::Outcome;

#[derive(Clone)]
pub struct CenotePool {
    pool: Pool<Dialler>,
}

#[derive(Clone)]
pub struct CenoteRoundRobin {
    pool: Pool<Dialler>,
}

/// Leases as many connections as there are, so that each endpoint has its own.
pub(super) async fn fill(pool: &Pool<Dialler>, count: usize) -> Outcome<()> {
    let mut leases = Vec::with_capacity(count);
    for _ in 0..count {
        leases.push(pool.get().await.map_err(refused)?);
    }
    Ok(())
}

pub(super) fn open(setup: &Setup, balance: Balance) -> Pool<Dialler> {
    let endpoints = EndpointSet::of(0..setup.endpoints as u32);
    let connector = setup.connector.clone();
    let builder = Pool::balanced(fixed(endpoints), move |_| Dialler(connector.clone()))
        .balance(balance)
        .max_per_endpoint(setup.per_endpoint());
    let builder = match setup.unbounded_queue {
        true => builder.max_waiters(None),
        false => builder,
    };
    builder
        .build()
        .expect("scenarios ask for possible settings")
}

impl Subject for CenotePool {
    const NAME: &'static str = "cenote_pool";

    async fn open(setup: &Setup) -> Self {
        Self {
            pool: open(setup, Balance::PowerOfTwo),
        }
    }

    fn get(&self) -> impl Future<Output = Result<impl Send, impl Debug + Send>> + Send {
        self.pool.get()
    }
}

impl Subject for CenoteRoundRobin {
    const NAME: &'static str = "cenote_pool";

    async fn open(setup: &Setup) -> Self {
        Self {
            pool: open(setup, Balance::RoundRobin),
        }
    }

    fn get(&self) -> impl Future<Output = Result<impl Send, impl Debug + Send>> + Send {
        self.pool.get()
    }
}
