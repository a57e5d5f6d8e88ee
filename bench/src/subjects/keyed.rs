//! Pools by key: Cenote's, the pools alone as they are found by a number, and what is written by hand.
//!
//! A key is whether the connection is secure, and a host's name. Each get is for another key, all over the place.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use cenote::{Keyed, Pool};

use super::cenote::{Dialler, open};
use super::turn::Turn;
use super::{Subject, refused};
use crate::connector::Setup;
use crate::measure::Outcome;

pub type Origin = (bool, String);

pub fn origin(number: usize) -> Origin {
    (true, format!("{number}.tenants.example.org"))
}

#[derive(Clone)]
pub struct CenoteKeyed {
    pools: Keyed<Origin, Pool<Dialler>>,
    keys: Arc<[Origin]>,
    turn: Turn,
}

/// Without keys: what any look-up is to be held against.
#[derive(Clone)]
pub struct BarePools {
    pools: Arc<[Pool<Dialler>]>,
    turn: Turn,
}

/// A map behind a lock, of which the pool is cloned.
#[derive(Clone)]
pub struct MutexMap {
    pools: Arc<Mutex<HashMap<Origin, Pool<Dialler>>>>,
    keys: Arc<[Origin]>,
    turn: Turn,
}

/// One key's part of it all.
fn of_one(setup: &Setup) -> Setup {
    Setup {
        max_size: setup.per_endpoint(),
        ..setup.clone()
    }
}

fn keys(setup: &Setup) -> Arc<[Origin]> {
    (0..setup.endpoints).map(origin).collect()
}

impl Subject for CenoteKeyed {
    const NAME: &'static str = "cenote_keyed";

    async fn open(setup: &Setup) -> Self {
        let of_one = of_one(setup);
        let pools = Keyed::builder(move |_: &Origin| {
            Pool::builder(Dialler(of_one.connector.clone())).max_size(of_one.max_size)
        });
        Self {
            pools: pools.build().expect("scenarios ask for possible settings"),
            keys: keys(setup),
            turn: Turn::default(),
        }
    }

    fn get(&self) -> impl Future<Output = Result<impl Send, impl Debug + Send>> + Send {
        self.pools
            .get(&self.keys[self.turn.next_of(self.keys.len())])
    }

    async fn fill(&self, count: usize) -> Outcome<()> {
        for key in &*self.keys {
            let mut leases = Vec::new();
            for _ in 0..count / self.keys.len() {
                leases.push(self.pools.get(key).await.map_err(refused)?);
            }
        }
        Ok(())
    }
}

impl Subject for BarePools {
    const NAME: &'static str = "bare_pools";

    async fn open(setup: &Setup) -> Self {
        let of_one = of_one(setup);
        Self {
            pools: (0..setup.endpoints).map(|_| open(&of_one)).collect(),
            turn: Turn::default(),
        }
    }

    fn get(&self) -> impl Future<Output = Result<impl Send, impl Debug + Send>> + Send {
        self.pools[self.turn.next_of(self.pools.len())].get_owned()
    }

    async fn fill(&self, count: usize) -> Outcome<()> {
        fill(self.pools.iter(), count).await
    }
}

impl Subject for MutexMap {
    const NAME: &'static str = "mutex_map";

    async fn open(setup: &Setup) -> Self {
        let (keys, of_one) = (keys(setup), of_one(setup));
        let pools = keys.iter().map(|key| (key.clone(), open(&of_one)));
        Self {
            pools: Arc::new(Mutex::new(pools.collect())),
            keys,
            turn: Turn::default(),
        }
    }

    async fn get(&self) -> Result<impl Send, impl Debug + Send> {
        let key = &self.keys[self.turn.next_of(self.keys.len())];
        let pool = self.pools.lock().expect("no user panics")[key].clone();
        pool.get_owned().await
    }

    async fn fill(&self, count: usize) -> Outcome<()> {
        let pools: Vec<_> = {
            let pools = self.pools.lock().expect("no user panics");
            pools.values().cloned().collect()
        };
        fill(pools.iter(), count).await
    }
}

/// So many connections, evenly over the pools.
async fn fill(
    pools: impl ExactSizeIterator<Item = &Pool<Dialler>> + Send,
    count: usize,
) -> Outcome<()> {
    let each = count / pools.len();
    for pool in pools {
        let mut leases = Vec::new();
        for _ in 0..each {
            leases.push(pool.get().await.map_err(refused)?);
        }
    }
    Ok(())
}
