//! Floor: the two atomic read-modify-writes no exclusive pool can do without, one to claim and one to give back.
//!
//! Each handle has a word and a cache line of its own, so it never waits and never shares: what is left of a pool
//! when everything but the claim is taken away. A second lease on the same handle is refused, not queued.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crossbeam_utils::CachePadded;

use super::Subject;
use crate::connector::Setup;
use crate::measure::Outcome;

const FREE: u8 = 0;
const USED: u8 = 1;

#[derive(Debug)]
pub struct AlreadyLeased;

pub struct TwoRmw {
    word: Arc<CachePadded<AtomicU8>>,
}

impl Clone for TwoRmw {
    /// A handle with a word of its own.
    fn clone(&self) -> Self {
        Self {
            word: Arc::new(CachePadded::new(AtomicU8::new(FREE))),
        }
    }
}

pub struct Claim<'a> {
    word: &'a AtomicU8,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.word.swap(FREE, Ordering::AcqRel);
    }
}

impl TwoRmw {
    async fn claim(&self) -> Result<Claim<'_>, AlreadyLeased> {
        self.word
            .compare_exchange(FREE, USED, Ordering::Acquire, Ordering::Relaxed)
            .map(|_| Claim { word: &self.word })
            .map_err(|_| AlreadyLeased)
    }
}

impl Subject for TwoRmw {
    const NAME: &'static str = "two_rmw";

    async fn open(_: &Setup) -> Self {
        Self {
            word: Arc::new(CachePadded::new(AtomicU8::new(FREE))),
        }
    }

    fn get(&self) -> impl Future<Output = Result<impl Send, impl Debug + Send>> + Send {
        self.claim()
    }

    /// There is no connection to open.
    async fn fill(&self, _: usize) -> Outcome<()> {
        Ok(())
    }
}
