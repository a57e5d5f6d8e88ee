//! Whether to open another connection now. One rule for all occasions:
//!
//! - Never past the gate that failures closed, nor more than `max_connecting` dials at once, nor more
//!   dials than connections are missing.
//! - While nothing is open, every missing connection is dialled as far as that allows.
//! - While others are open and serve, dials are staggered: the next starts only when the youngest has been
//!   under way for half the time a dial takes. A burst that the open connections absorb in less than that
//!   costs one new connection, not one for each caller (Go #57248; HikariCP's spike test: 50 threads,
//!   2 ms of work, 150 ms to connect, 5 open).
//! - A connection that is being checked is as good as idle for as long as a dial usually takes: a check is
//!   shorter than a dial unless the peer is gone.

/// What the decision rests on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    pub(crate) now: u64,
    /// Connections missing: callers that wait, or those short of `min_idle`, whichever is more.
    pub(crate) missing: usize,
    /// Connections that are being checked for no caller in particular and will be idle again, and when the youngest
    /// of these checks began.
    pub(crate) checking: usize,
    pub(crate) checking_since: u64,
    /// Connections there are, idle or not, without those being opened.
    pub(crate) open: usize,
    pub(crate) opening: usize,
    pub(crate) max_size: usize,
    pub(crate) max_connecting: usize,
    /// When the gate opens, or has opened.
    pub(crate) gate_opens_at: u64,
    /// Whether the last dial failed: then one at a time, until one succeeds.
    pub(crate) probing: bool,
    /// When the youngest dial began.
    pub(crate) last_dial_at: u64,
    /// How long a dial takes, if any ever succeeded.
    pub(crate) dial_time: Option<u64>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Open one more, then ask again.
    Dial,
    /// Ask again then.
    Wait(u64),
    /// Nothing until something changes.
    Enough,
}

/// Bounds of the stagger: below, it would be noise; above, growth would be slow for no gain.
const MIN_STAGGER: u64 = 1_000_000;
const MAX_STAGGER: u64 = 250_000_000;
/// A check may take this long beside a dial that takes less: on one machine both take a fraction of a millisecond,
/// and which is longer is up to the scheduler.
const MIN_CHECK: u64 = 50_000_000;

pub(crate) fn decide(s: &Situation) -> Decision {
    let at_once = if s.probing { 1 } else { s.max_connecting };
    if s.opening >= s.missing || s.opening >= at_once || s.open + s.opening >= s.max_size {
        return Decision::Enough;
    }
    if s.now < s.gate_opens_at {
        return Decision::Wait(s.gate_opens_at);
    }
    let checked_by = s.checking_since.saturating_add(check_patience(s.dial_time));
    if s.opening + s.checking >= s.missing && s.now < checked_by {
        return Decision::Wait(checked_by);
    }
    if s.open > 0 && s.opening > 0 {
        let stagger = s.dial_time.map_or(MIN_STAGGER, |time| {
            (time / 2).clamp(MIN_STAGGER, MAX_STAGGER)
        });
        let due = s.last_dial_at.saturating_add(stagger);
        if s.now < due {
            return Decision::Wait(due);
        }
    }
    Decision::Dial
}

/// For how long a check under way keeps a dial from being begun.
fn check_patience(dial_time: Option<u64>) -> u64 {
    dial_time
        .unwrap_or(MAX_STAGGER)
        .clamp(MIN_CHECK, MAX_STAGGER)
}

/// The running estimate of a dial's time: a quarter of each new one.
pub(crate) fn observe_dial(estimate: Option<u64>, took: u64) -> u64 {
    estimate.map_or(took, |old| old - old / 4 + took / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn cold() -> Situation {
        Situation {
            now: 0,
            missing: 50,
            checking: 0,
            checking_since: 0,
            open: 0,
            opening: 0,
            max_size: 10,
            max_connecting: 2,
            gate_opens_at: 0,
            probing: false,
            last_dial_at: 0,
            dial_time: None,
        }
    }

    #[test]
    fn an_empty_pool_dials_as_many_at_once_as_it_may() {
        assert_eq!(decide(&cold()), Decision::Dial);
        assert_eq!(
            decide(&Situation {
                opening: 1,
                ..cold()
            }),
            Decision::Dial
        );
        assert_eq!(
            decide(&Situation {
                opening: 2,
                ..cold()
            }),
            Decision::Enough
        );
    }

    #[test]
    fn it_dials_no_more_than_are_missing_and_no_more_than_fit() {
        assert_eq!(
            decide(&Situation {
                missing: 0,
                ..cold()
            }),
            Decision::Enough
        );
        assert_eq!(
            decide(&Situation {
                missing: 1,
                opening: 1,
                ..cold()
            }),
            Decision::Enough
        );
        assert_eq!(
            decide(&Situation {
                open: 9,
                opening: 1,
                ..cold()
            }),
            Decision::Enough
        );
    }

    #[test]
    fn what_is_being_checked_is_not_dialled_beside_for_as_long_as_a_dial_takes() {
        let checking = |now, missing, dial_time| {
            decide(&Situation {
                now,
                missing,
                checking: 1,
                checking_since: 1_000 * MS,
                open: 1,
                dial_time,
                ..cold()
            })
        };
        let at = 1_000 * MS;
        assert_eq!(
            checking(at, 1, Some(80 * MS)),
            Decision::Wait(at + 80 * MS),
            "one is missing, and one comes"
        );
        assert_eq!(checking(at + 80 * MS, 1, Some(80 * MS)), Decision::Dial);
        assert_eq!(checking(at, 2, Some(80 * MS)), Decision::Dial);
        assert_eq!(checking(at, 1, Some(MS)), Decision::Wait(at + MIN_CHECK));
        assert_eq!(
            checking(at, 1, Some(5_000 * MS)),
            Decision::Wait(at + MAX_STAGGER)
        );
        assert_eq!(checking(at, 1, None), Decision::Wait(at + MAX_STAGGER));
    }

    /// HikariCP's spike: the second dial is due only after the burst is over.
    #[test]
    fn beside_open_connections_the_next_dial_waits_for_half_a_dial_time() {
        let spike = Situation {
            open: 5,
            max_size: 50,
            dial_time: Some(150 * MS),
            ..cold()
        };
        assert_eq!(decide(&spike), Decision::Dial);
        let after = Situation {
            opening: 1,
            ..spike
        };
        assert_eq!(decide(&after), Decision::Wait(75 * MS));
        assert_eq!(
            decide(&Situation {
                now: 75 * MS,
                ..after
            }),
            Decision::Dial
        );
    }

    #[test]
    fn after_a_failure_it_waits_for_the_gate_and_then_probes_with_one_dial() {
        let failed = Situation {
            probing: true,
            gate_opens_at: 40 * MS,
            ..cold()
        };
        assert_eq!(decide(&failed), Decision::Wait(40 * MS));
        assert_eq!(
            decide(&Situation {
                now: 40 * MS,
                ..failed
            }),
            Decision::Dial
        );
        assert_eq!(
            decide(&Situation {
                now: 40 * MS,
                opening: 1,
                ..failed
            }),
            Decision::Enough
        );
    }

    #[test]
    fn the_estimate_follows_the_dials() {
        let slow = (0..20).fold(None, |estimate, _| Some(observe_dial(estimate, 100)));
        assert_eq!(slow, Some(100));
        assert_eq!(observe_dial(slow, 200), 125);
    }
}
