//! Times short chunks of operations on one thread, or on two that must run at the same moment.
//!
//! On a busy machine the system may give two threads one core in turn, and what looks like two threads is one. Each
//! thread therefore publishes how many chunks it has done, and a chunk counts only if the other thread did about as
//! many meanwhile. The result is a median over chunks, so one that was interrupted does no harm.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use crate::measure::{Failure, Outcome, median};

pub const OPS_PER_CHUNK: u32 = 1_000;
/// The first chunks warm caches, branch predictors and the pool's own hints.
const WARM_UP: usize = 20;
const CHUNKS: usize = 150;
/// A slow pool's chunks are fewer, but some.
const LONG_ENOUGH: Duration = Duration::from_millis(150);
const FEWEST: usize = 5;
/// Threads that found no moment together by then are not going to.
const TOO_LONG: Duration = Duration::from_secs(3);
/// How many chunks of the other thread's may fall into one of ours for the two to have run side by side.
const SIDE_BY_SIDE: std::ops::RangeInclusive<usize> = 1..=3;

/// The threads of one measurement.
pub struct Track {
    missing: AtomicUsize,
    done: Vec<CachePadded<AtomicUsize>>,
    /// Threads that have enough, and go on only to keep the others company.
    satisfied: AtomicUsize,
}

impl Track {
    pub fn of(threads: usize) -> Self {
        Self {
            missing: AtomicUsize::new(threads),
            done: (0..threads).map(|_| CachePadded::default()).collect(),
            satisfied: AtomicUsize::new(0),
        }
    }

    /// Waits until all threads are here, by spinning: each is on a thread of its own then.
    pub fn start(&self, lane: usize) -> Stopwatch<'_> {
        self.missing.fetch_sub(1, Ordering::AcqRel);
        while self.missing.load(Ordering::Acquire) > 0 {
            thread::yield_now();
        }
        Stopwatch {
            track: self,
            lane,
            started: Instant::now(),
            chunk: None,
            seen: 0,
            took: Vec::with_capacity(CHUNKS),
            satisfied: false,
        }
    }

    /// Chunks done by the threads of other lanes.
    fn others(&self, lane: usize) -> usize {
        let others = self.done.iter().enumerate();
        others
            .filter(|(other, _)| *other != lane)
            .map(|(_, done)| done.load(Ordering::Relaxed))
            .sum()
    }
}

/// One thread's view: `next_chunk` until it says no, with the operations in between.
pub struct Stopwatch<'a> {
    track: &'a Track,
    lane: usize,
    started: Instant,
    /// When the chunk under way began, and what the others had done by then.
    chunk: Option<(Instant, usize)>,
    seen: usize,
    took: Vec<f64>,
    satisfied: bool,
}

impl Stopwatch<'_> {
    /// Ends the chunk under way, if any, and begins another unless all threads have enough.
    pub fn next_chunk(&mut self) -> bool {
        if let Some((begun, others)) = self.chunk.take() {
            let ns = begun.elapsed().as_nanos() as f64 / f64::from(OPS_PER_CHUNK);
            self.track.done[self.lane].fetch_add(1, Ordering::Relaxed);
            let alone = self.track.done.len() == 1;
            let company = self.track.others(self.lane) - others;
            self.seen += 1;
            if self.seen > WARM_UP && (alone || SIDE_BY_SIDE.contains(&company)) {
                self.took.push(ns);
            }
        }
        if self.has_enough() {
            self.leave();
        }
        if self.track.satisfied.load(Ordering::Relaxed) == self.track.done.len() {
            return false;
        }
        self.chunk = Some((Instant::now(), self.track.others(self.lane)));
        true
    }

    fn has_enough(&self) -> bool {
        let elapsed = self.started.elapsed();
        self.took.len() >= CHUNKS
            || (self.took.len() >= FEWEST && elapsed >= LONG_ENOUGH)
            || elapsed >= TOO_LONG
    }

    /// Nanoseconds an operation, chunk by chunk.
    pub fn finish(mut self) -> Vec<f64> {
        mem::take(&mut self.took)
    }

    fn leave(&mut self) {
        if !mem::replace(&mut self.satisfied, true) {
            self.track.satisfied.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Stopwatch<'_> {
    /// A thread whose operation failed keeps nobody waiting.
    fn drop(&mut self) {
        self.leave();
    }
}

/// The median over all threads' chunks.
pub fn ns(chunks: &[f64]) -> Outcome<f64> {
    if chunks.is_empty() {
        return Err(Failure::new(
            "the threads never ran at the same time: the machine is too busy",
        ));
    }
    Ok(median(chunks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_alone_gathers_all_its_chunks() {
        let track = Track::of(1);
        let mut stopwatch = track.start(0);
        while stopwatch.next_chunk() {}
        assert_eq!(stopwatch.finish().len(), CHUNKS);
    }

    #[test]
    fn chunks_without_company_do_not_count() {
        let track = Track::of(2);
        track.missing.store(1, Ordering::Relaxed);
        let mut stopwatch = track.start(0);
        for _ in 0..WARM_UP + 10 {
            assert!(stopwatch.next_chunk());
        }
        assert!(ns(&stopwatch.finish()).is_err());
    }
}
