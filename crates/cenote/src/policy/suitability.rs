//! When an endpoint is dialled again that is up, and not what is wanted: a replica where the primary is asked for.
//!
//! No back-off fits. The server is well, and may be what is wanted at any moment, which a dial alone finds out. What bounds
//! the pace is what the dials cost servers that did nothing wrong:
//!
//! - While another endpoint serves, finding out is worth little: a thousand processes that use two such servers cost
//!   each of them 22 logins a second.
//! - While callers wait and none serves it is all that counts: it serves within half a second, and a dial, of becoming what
//!   is wanted. A process costs such a server three logins a second, as long as it has callers who wait; a thousand
//!   of them, in a failover, are more than the server may be able to bear that is about to be promoted. So the pause is
//!   at least eight times as long as the dial took, up to two seconds: of a thousand processes that dial a server
//!   which has become slow, a hundred at most are at its door at the same time.
//!
//! All by chance, so that processes that found out together do not ask together.

use std::ops::RangeInclusive;

use fastrand::Rng;

const MS: u64 = 1_000_000;

/// While another endpoint serves.
const LATER: RangeInclusive<u64> = 30_000 * MS..=60_000 * MS;

/// While callers wait and none serves: the shortest pause begins here, and the longest.
const SOON: u64 = 250 * MS;
const SLOWED: u64 = 1_000 * MS;

/// So many times as long as the dial took.
const PAUSE: u64 = 8;

/// An endpoint that was found unsuitable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) at: u64,
    /// How long the dial took.
    pub(crate) took: u64,
}

impl Found {
    /// When it is dialled again if others serve.
    pub(crate) fn later(self, rng: &mut Rng) -> u64 {
        self.at.saturating_add(rng.u64(LATER))
    }

    /// When it is dialled again if none serves, and callers wait.
    pub(crate) fn soon(self, rng: &mut Rng) -> u64 {
        self.at.saturating_add(rng.u64(self.pause()))
    }

    /// Whether a dial at `opens_at` puts it off for longer than where none serves.
    pub(crate) fn is_late(self, opens_at: u64) -> bool {
        opens_at > self.at.saturating_add(*self.pause().end())
    }

    fn pause(self) -> RangeInclusive<u64> {
        let from = self.took.saturating_mul(PAUSE).clamp(SOON, SLOWED);
        from..=2 * from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(found: Found, draw: fn(Found, &mut Rng) -> u64) -> Vec<u64> {
        let mut rng = Rng::with_seed(1);
        let mut draws: Vec<_> = (0..1_000).map(|_| draw(found, &mut rng) / MS).collect();
        draws.sort_unstable();
        draws
    }

    #[test]
    fn what_is_unsuitable_is_looked_at_soon_or_later_by_chance() {
        let found = Found {
            at: 7_000 * MS,
            took: 2 * MS,
        };
        let (soon, later) = (draws(found, Found::soon), draws(found, Found::later));
        for (draws, from, to) in [(&soon, 7_250, 7_500), (&later, 37_000, 67_000)] {
            assert!(draws[0] >= from && draws[999] <= to);
            assert!(draws[999] - draws[0] > (to - from) * 9 / 10);
        }
        assert!(soon.iter().all(|at| !found.is_late(at * MS)));
        assert!(later.iter().all(|at| found.is_late(at * MS)));
    }

    /// A thousand processes that wait for a promotion must not keep the server from it.
    #[test]
    fn a_server_that_answers_slowly_is_asked_less_often_and_every_two_seconds_at_least() {
        let soon = |took| {
            let draws = draws(Found { at: 0, took }, Found::soon);
            (draws[0], draws[999])
        };
        let (from, to) = soon(100 * MS);
        assert!(from >= 800 && to <= 1_600 && to > 1_500);
        let (from, to) = soon(u64::MAX);
        assert!(from >= 1_000 && to <= 2_000 && to > 1_900);
    }
}
