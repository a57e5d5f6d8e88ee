//! What is written by hand where there is no pool over a set: a pool of Cenote's for each endpoint, a count of leases
//! beside each, and of two drawn at random the one with fewer.
//!
//! Each pool has a queue of its own: a caller waits for the endpoint that was chosen, whatever comes free elsewhere.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cenote::Pool;
use crossbeam_utils::CachePadded;

use super::cenote::{Dialler, open};
use super::{Subject, refused};
use crate::connector::Setup;
use crate::measure::Outcome;

#[derive(Clone)]
pub struct VecOfPools {
    endpoints: Arc<[Endpoint]>,
}

struct Endpoint {
    in_flight: CachePadded<AtomicUsize>,
    pool: Pool<Dialler>,
}

/// Counted for as long as it lives, as one who waits for a lease and as one who has it.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn at(endpoint: &'a Endpoint) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(&endpoint.in_flight)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl VecOfPools {
    /// The one with fewer leases of two different ones.
    fn choose(&self) -> &Endpoint {
        let all = &self.endpoints;
        let one = fastrand::usize(..all.len());
        let other = (one + fastrand::usize(1..all.len())) % all.len();
        let in_flight = |place: usize| all[place].in_flight.load(Ordering::Relaxed);
        &all[if in_flight(one) > in_flight(other) {
            other
        } else {
            one
        }]
    }
}

impl Subject for VecOfPools {
    const NAME: &'static str = "vec_of_pools";

    async fn open(setup: &Setup) -> Self {
        let of_one = Setup {
            max_size: setup.per_endpoint(),
            ..setup.clone()
        };
        let endpoint = |_| Endpoint {
            in_flight: CachePadded::default(),
            pool: open(&of_one),
        };
        Self {
            endpoints: (0..setup.endpoints).map(endpoint).collect(),
        }
    }

    async fn get(&self) -> Result<impl Send, impl Debug + Send> {
        let endpoint = self.choose();
        let counted = Counted::at(endpoint);
        endpoint.pool.get().await.map(|lease| (lease, counted))
    }

    /// Endpoint by endpoint: one that is chosen may have no more to give while others have.
    async fn fill(&self, count: usize) -> Outcome<()> {
        let each = count.div_ceil(self.endpoints.len());
        for endpoint in &*self.endpoints {
            let mut leases = Vec::with_capacity(each);
            for _ in 0..each {
                leases.push(endpoint.pool.get().await.map_err(refused)?);
            }
        }
        Ok(())
    }
}
