//! When a connection is too old: its lifetime less a random part, rolled once when it is opened. Rolling
//! at every check would be no jitter at all (pgx #1437), and none lets all connections opened together
//! end together (sqlx #2854).

use std::time::Duration;

use fastrand::Rng;

/// The moment, in nanoseconds, at which a connection opened at `now` is too old.
pub(crate) fn expires_at(now: u64, lifetime: Option<Duration>, jitter: f64, rng: &mut Rng) -> u64 {
    let Some(lifetime) = lifetime else {
        return u64::MAX;
    };
    let kept = 1.0 - jitter * rng.f64();
    let nanos = (lifetime.as_nanos() as f64 * kept) as u64;
    now.saturating_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_spread_over_the_jitter_and_never_exceed_the_setting() {
        let hour = Duration::from_secs(3600);
        let mut rng = Rng::with_seed(3);
        let ends: Vec<_> = (0..1000)
            .map(|_| expires_at(7, Some(hour), 0.1, &mut rng) - 7)
            .collect();
        let (least, most) = (ends.iter().min().copied(), ends.iter().max().copied());
        let nanos = hour.as_nanos() as u64;
        assert!(most.is_some_and(|most| most <= nanos && most > nanos / 1000 * 995));
        assert!(least.is_some_and(|least| least >= nanos / 10 * 9 && least < nanos / 1000 * 905));
    }

    #[test]
    fn without_a_lifetime_nothing_is_ever_too_old() {
        assert_eq!(expires_at(7, None, 0.1, &mut Rng::with_seed(4)), u64::MAX);
    }
}
