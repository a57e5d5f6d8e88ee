//! The pools under test, each behind one of two small traits so that every scenario runs the same loop on all.
//!
//! A subject adds nothing around its pool: `get` returns the pool's own future and lease. Every pool is set up as
//! its users do by default; checks of a connection at `get` or return are off where they can be turned off.

mod bb8;
mod cenote;
mod cenote_aimed;
mod cenote_blocking;
mod cenote_pool;
mod cenote_shared;
mod deadpool;
mod keyed;
mod mobc;
mod r2d2;
mod sem_queue;
mod turn;
mod two_rmw;
mod vec_of_pools;

pub use self::bb8::Bb8;
pub use self::cenote::{Cenote, CenoteOwned, Dialler};
pub use self::cenote_aimed::{CenoteAt, CenoteByKey};
pub use self::cenote_blocking::CenoteBlocking;
pub use self::cenote_pool::{CenotePool, CenoteRoundRobin};
pub use self::cenote_shared::{CenoteShared, CenoteSharedOfOne, CenoteSharedOfSet};
pub use self::deadpool::{Deadpool, DeadpoolTimeout};
pub use self::keyed::{BarePools, CenoteKeyed, MutexMap};
pub use self::mobc::Mobc;
pub use self::r2d2::R2d2;
pub use self::sem_queue::SemQueue;
pub use self::two_rmw::TwoRmw;
pub use self::vec_of_pools::VecOfPools;

use std::fmt::Debug;

use crate::connector::Setup;
use crate::measure::{Failure, Outcome};

/// A pool whose `get` is a future.
pub trait Subject: Clone + Send + Sync + 'static {
    const NAME: &'static str;

    fn open(setup: &Setup) -> impl Future<Output = Self> + Send;

    fn get(&self) -> impl Future<Output = Result<impl Send, impl Debug + Send>> + Send;

    /// Leases `count` connections at once and gives them back, so that as many are open and idle.
    fn fill(&self, count: usize) -> impl Future<Output = Outcome<()>> + Send {
        async move {
            let mut leases = Vec::with_capacity(count);
            for _ in 0..count {
                leases.push(self.get().await.map_err(refused)?);
            }
            Ok(())
        }
    }
}

/// A pool whose `get` blocks the thread.
pub trait BlockingSubject: Clone + Send + Sync + 'static {
    const NAME: &'static str;

    fn open(setup: &Setup) -> Self;

    fn get(&self) -> Result<impl Sized, impl Debug>;

    /// Leases `count` connections at once and gives them back, so that as many are open and idle.
    fn fill(&self, count: usize) -> Outcome<()> {
        let mut leases = Vec::with_capacity(count);
        for _ in 0..count {
            leases.push(self.get().map_err(refused)?);
        }
        Ok(())
    }
}

/// The failure of a `get` that a scenario relies on.
pub fn refused(error: impl Debug) -> Failure {
    Failure::new(format!("get failed: {error:?}"))
}
