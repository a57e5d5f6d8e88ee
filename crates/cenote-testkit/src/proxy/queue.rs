//! What is on its way in one direction of a connection: in which order, from when on, and how much at a
//! time it may be written under a fault. Pure: it knows neither sockets nor the clock.

use super::Fault;
use fastrand::Rng;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// How many bytes may be on their way before reading stops.
const ROOM: usize = 256 * 1024;
/// A slow link's steps.
const STEPS_PER_SECOND: usize = 20;
/// Longer than any test, short enough for every clock's arithmetic.
const LONGEST_DELAY: Duration = Duration::from_secs(365 * 24 * 3600);

#[derive(Debug)]
pub(crate) struct Queue {
    pieces: VecDeque<Piece>,
    held: usize,
    /// When a slow link has passed on what it was given.
    free_at: Option<Instant>,
    rng: Rng,
}

#[derive(Debug)]
struct Piece {
    arrived: Instant,
    /// 0.0 to 1.0: its share of the jitter, whatever that will be.
    luck: f64,
    /// None is the end of the stream.
    bytes: Option<Vec<u8>>,
    written: usize,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// Nothing, until something arrives.
    Rest,
    /// Nothing until then.
    Wait(Instant),
    /// These bytes, or the first of them.
    Write(&'a [u8]),
    /// The end of the stream.
    End,
}

impl Queue {
    pub(crate) fn new(rng: Rng) -> Self {
        Self {
            pieces: VecDeque::new(),
            held: 0,
            free_at: None,
            rng,
        }
    }

    pub(crate) fn push(&mut self, now: Instant, bytes: &[u8]) {
        self.held += bytes.len();
        self.push_piece(now, Some(bytes.to_vec()));
    }

    pub(crate) fn push_end(&mut self, now: Instant) {
        self.push_piece(now, None);
    }

    fn push_piece(&mut self, arrived: Instant, bytes: Option<Vec<u8>>) {
        self.pieces.push_back(Piece {
            arrived,
            luck: self.rng.f64(),
            bytes,
            written: 0,
        });
    }

    pub(crate) fn has_room(&self) -> bool {
        self.held < ROOM
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.pieces.clear();
        self.held = 0;
    }

    pub(crate) fn next(&mut self, fault: Fault, now: Instant) -> Next<'_> {
        let Some(piece) = self.pieces.front() else {
            return Next::Rest;
        };
        let due = match fault {
            Fault::Delay { by, jitter } => {
                let late = by.saturating_add(jitter.mul_f64(piece.luck));
                piece.arrived + late.min(LONGEST_DELAY)
            }
            Fault::Bandwidth { .. } => self.free_at.unwrap_or(now),
            _ => now,
        };
        if due > now {
            return Next::Wait(due);
        }
        let Some(bytes) = &piece.bytes else {
            return Next::End;
        };
        let most = match fault {
            Fault::Bandwidth { bytes_per_second } => {
                (bytes_per_second as usize / STEPS_PER_SECOND).max(1)
            }
            Fault::SplitWrites { chunk } => self.rng.usize(1..=chunk),
            _ => usize::MAX,
        };
        let left = &bytes[piece.written..];
        Next::Write(&left[..left.len().min(most)])
    }

    /// The first `count` bytes were written.
    pub(crate) fn wrote(&mut self, count: usize, fault: Fault, now: Instant) {
        self.held -= count;
        if let Fault::Bandwidth { bytes_per_second } = fault {
            let takes = Duration::from_secs_f64(count as f64 / f64::from(bytes_per_second));
            self.free_at = Some(self.free_at.unwrap_or(now).max(now) + takes);
        }
        let Some(piece) = self.pieces.front_mut() else {
            return;
        };
        piece.written += count;
        let length = piece.bytes.as_ref().map_or(0, Vec::len);
        if piece.written == length {
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn filled(now: Instant, pieces: &[&[u8]]) -> Queue {
        let mut queue = Queue::new(Rng::with_seed(1));
        for piece in pieces {
            queue.push(now, piece);
        }
        queue
    }

    /// Writes all there is, jumping to when it is due; the pieces and the time it took.
    fn drain(queue: &mut Queue, fault: Fault, start: Instant) -> (Vec<Vec<u8>>, Duration) {
        let (mut written, mut now) = (Vec::new(), start);
        loop {
            let count = match queue.next(fault, now) {
                Next::Rest => return (written, now - start),
                Next::Wait(until) => {
                    now = until;
                    continue;
                }
                Next::Write(bytes) => {
                    written.push(bytes.to_vec());
                    bytes.len()
                }
                Next::End => 0,
            };
            queue.wrote(count, fault, now);
        }
    }

    #[test]
    fn without_a_fault_pieces_pass_at_once_and_as_they_came() {
        let now = Instant::now();
        let (written, took) = drain(&mut filled(now, &[b"one", b"two"]), Fault::None, now);
        assert_eq!(written, [b"one", b"two"]);
        assert_eq!(took, Duration::ZERO);
    }

    #[test]
    fn the_end_comes_after_everything_before_it() {
        let now = Instant::now();
        let mut queue = filled(now, &[b"last"]);
        queue.push_end(now);
        assert_eq!(queue.next(Fault::None, now), Next::Write(b"last"));
        queue.wrote(4, Fault::None, now);
        assert_eq!(queue.next(Fault::None, now), Next::End);
        queue.wrote(0, Fault::None, now);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_delay_lies_between_its_bounds_and_keeps_the_order() {
        let now = Instant::now();
        let fault = Fault::Delay {
            by: 2 * SECOND,
            jitter: SECOND,
        };
        let mut seen = Vec::new();
        for seed in 0..100 {
            let mut queue = Queue::new(Rng::with_seed(seed));
            queue.push(now, b"a");
            queue.push(now, b"b");
            let (written, took) = drain(&mut queue, fault, now);
            assert_eq!(written, [b"a", b"b"]);
            assert!(2 * SECOND <= took && took <= 3 * SECOND, "{took:?}");
            seen.push(took);
        }
        assert!(seen.iter().min() != seen.iter().max(), "no jitter at all");
    }

    #[test]
    fn no_delay_is_too_long_for_the_clock() {
        let now = Instant::now();
        let fault = Fault::Delay {
            by: Duration::MAX,
            jitter: Duration::MAX,
        };
        let (_, took) = drain(&mut filled(now, &[b"never"]), fault, now);
        assert_eq!(took, LONGEST_DELAY);
    }

    #[test]
    fn what_is_late_goes_at_once_when_the_delay_ends() {
        let now = Instant::now();
        let fault = Fault::Delay {
            by: SECOND,
            jitter: Duration::ZERO,
        };
        let mut queue = filled(now, &[b"late"]);
        assert_eq!(queue.next(fault, now), Next::Wait(now + SECOND));
        assert_eq!(queue.next(Fault::None, now), Next::Write(b"late"));
    }

    #[test]
    fn a_slow_link_takes_as_long_as_its_rate_says() {
        let now = Instant::now();
        let fault = Fault::Bandwidth {
            bytes_per_second: 100,
        };
        let (written, took) = drain(&mut filled(now, &[&[7; 300]]), fault, now);
        assert_eq!(written.concat(), [7; 300]);
        assert!(written.iter().all(|step| step.len() <= 5));
        // The link is busy for three seconds; the last step is written when it begins.
        assert!(took >= 2 * SECOND && took <= 3 * SECOND, "{took:?}");
    }

    #[test]
    fn split_writes_are_of_all_lengths_up_to_the_chunk() {
        let now = Instant::now();
        let fault = Fault::SplitWrites { chunk: 3 };
        let (written, _) = drain(&mut filled(now, &[&[7; 300]]), fault, now);
        assert_eq!(written.concat(), [7; 300]);
        for length in 1..=3 {
            assert!(written.iter().any(|write| write.len() == length));
        }
        assert!(written.iter().all(|write| write.len() <= 3));
    }

    #[test]
    fn reading_stops_when_too_much_is_on_its_way() {
        let now = Instant::now();
        let mut queue = filled(now, &[&vec![0; ROOM - 1]]);
        assert!(queue.has_room());
        queue.push(now, b"x");
        assert!(!queue.has_room());
        queue.clear();
        assert!(queue.has_room() && queue.is_empty());
    }
}
