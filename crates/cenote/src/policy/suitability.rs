//! When an endpoint is dialled again that is up, and not what is wanted: a replica where the primary is asked for.
//!
//! No back-off fits. The server is well, and may be what is wanted at any moment, which a dial alone finds out. What bounds
//! the pace is what the dials cost servers that did nothing wrong:
//!
//! - While another endpoint serves, finding out is worth little: a thousand processes that use two such servers cost
//!   each of them 22 logins a second.
//! - While callers wait and none serves it is all that counts: within half a second, and a dial, of becoming what is wanted
//!   it serves. A process costs each such server three logins a second, as long as it has callers who wait, and no longer.
//!
//! Both by chance, so that processes that found out together do not ask together.

use fastrand::Rng;

const MS: u64 = 1_000_000;

/// While another endpoint serves: from, and up to.
const LATER: (u64, u64) = (30_000 * MS, 60_000 * MS);

/// While callers wait and none serves.
const SOON: (u64, u64) = (250 * MS, 500 * MS);

/// When an endpoint that was found unsuitable at `found_at` is dialled again if others serve.
pub(crate) fn later(found_at: u64, rng: &mut Rng) -> u64 {
    after(found_at, LATER, rng)
}

/// When it is dialled again if none serves, and callers wait.
pub(crate) fn soon(found_at: u64, rng: &mut Rng) -> u64 {
    after(found_at, SOON, rng)
}

/// Whether an endpoint that was found unsuitable at `found_at` and is dialled again at `opens_at` waits for longer than it
/// has to where none serves.
pub(crate) fn is_late(found_at: u64, opens_at: u64) -> bool {
    opens_at > found_at.saturating_add(SOON.1)
}

fn after(found_at: u64, (from, to): (u64, u64), rng: &mut Rng) -> u64 {
    found_at.saturating_add(rng.u64(from..=to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unsuitable_is_looked_at_soon_or_later_by_chance() {
        let mut rng = Rng::with_seed(1);
        let mut soons: Vec<_> = (0..1_000).map(|_| soon(7, &mut rng)).collect();
        soons.sort_unstable();
        assert!(soons[0] >= 7 + 250 * MS && soons[999] <= 7 + 500 * MS);
        assert!(soons[999] - soons[0] > 240 * MS);
        assert!(soons.iter().all(|at| !is_late(7, *at)));
        assert!((0..1_000).all(|_| is_late(7, later(7, &mut rng))));
    }
}
