//! When callers who wait are told that connecting fails, and when they are left to wait for better.
//!
//! Most pools let everybody wait until the time-out (bb8, r2d2, HikariCP, sqlx), which makes of a wrong password or
//! address half a minute of silence (bb8 #102); a pool that tells all after a few failures fails thousands of callers
//! for a restart of a third of a second. What tells the two apart is known: whether the pool ever had a connection,
//! and what the connector says of the error.

use std::time::Duration;

use crate::connect::FailureKind;
use crate::rt::nanos;

/// When callers who wait learn that connecting fails.
///
/// [`PoolBuilder::connect_failures`](crate::pool::PoolBuilder::connect_failures) sets it for the time when the pool has no
/// connection open, [`PoolBuilder::connect_failures_while_open`](crate::pool::PoolBuilder::connect_failures_while_open) for
/// the time when it has, and all are in use. Whatever is set, the pool dials on at the pace of the
/// [`Backoff`](crate::settings::Backoff) as long as somebody waits.
///
/// ```
/// # use cenote::Connect;
/// # use cenote::pool::PoolBuilder;
/// # use cenote::settings::ConnectFailures;
/// # use std::time::Duration;
/// # fn set<C: Connect>(builder: PoolBuilder<C>) -> PoolBuilder<C> {
/// // Nobody is left waiting once connecting has failed for two seconds.
/// builder.connect_failures(ConnectFailures::FailAfterTime(Duration::from_secs(2)))
/// # }
/// # fn never_retry<C: Connect>(builder: PoolBuilder<C>) -> PoolBuilder<C> {
/// // One failed dial ends the waiting of all, with idle connections elsewhere or without.
/// builder
///     .connect_failures(ConnectFailures::FailAfter(1))
///     .connect_failures_while_open(ConnectFailures::FailAfter(1))
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectFailures {
    /// A restart is ridden out, a mistake is told. Once the pool has had a connection, callers wait until their
    /// time-out, which then carries the last connect error. Before, the third failure in a row, and each one
    /// after it, ends everyone's waiting with the connect error. An error that the connector
    /// [calls](crate::Connect::classify) [`Final`](FailureKind::Final) or
    /// [`Credentials`](FailureKind::Credentials) ends it at once, before and after; one that is
    /// [`Unsuitable`](FailureKind::Unsuitable) never does, for roles are changing hands.
    #[default]
    RideOut,
    /// The failure that makes this many in a row, and each one after it, ends everyone's waiting with the connect
    /// error, whatever its kind. At least 1, which is *never retry*: no second dial for the same callers.
    FailAfter(u32),
    /// Once connecting has failed for this long, everyone's waiting ends with the connect error; after that each
    /// further failure ends the waiting of those who came since. Counted from the start of the first dial that
    /// failed; so a dial that hangs is told at the end of its
    /// [`connect_timeout`](crate::pool::PoolBuilder::connect_timeout), if that comes later. At least 1 ms.
    FailAfterTime(Duration),
    /// They wait until their time-out, which then carries the last connect error.
    KeepWaiting,
}

/// Failures in a row that a pool without any past takes for a mistake, and not for a server that is about to start.
const MISTAKE: u32 = 3;

/// A failed dial and those before it, as the decision sees them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failing {
    pub(crate) now: u64,
    /// When the first of the failed dials began.
    pub(crate) since: u64,
    /// Failures in a row, this one included.
    pub(crate) failures: u32,
    pub(crate) kind: FailureKind,
    /// Whether the pool ever had a connection that was not dead on arrival.
    pub(crate) had_connection: bool,
}

/// What to tell the waiters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    /// The failure, now, whatever other dials there are: they would fail alike.
    AtOnce,
    /// The failure, now, unless nothing is open and another dial may yet succeed; that tells if it does not.
    Now,
    /// The failure, at that time, if connecting has not succeeded by then.
    At(u64),
    /// Nothing.
    Nothing,
}

pub(crate) fn decide(policy: ConnectFailures, failing: &Failing) -> Tell {
    let now_if = |enough| if enough { Tell::Now } else { Tell::Nothing };
    match policy {
        ConnectFailures::RideOut => match failing.kind {
            FailureKind::Final | FailureKind::Credentials => Tell::AtOnce,
            FailureKind::Transient | FailureKind::Full => {
                now_if(!failing.had_connection && failing.failures >= MISTAKE)
            }
            FailureKind::Unsuitable => Tell::Nothing,
        },
        ConnectFailures::FailAfter(enough) => now_if(failing.failures >= enough),
        ConnectFailures::FailAfterTime(limit) => match failing.since.saturating_add(nanos(limit)) {
            due if failing.now >= due => Tell::Now,
            due => Tell::At(due),
        },
        ConnectFailures::KeepWaiting => Tell::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn failing(failures: u32, kind: FailureKind, had_connection: bool) -> Failing {
        Failing {
            now: 700 * MS,
            since: 200 * MS,
            failures,
            kind,
            had_connection,
        }
    }

    #[test]
    fn a_pool_that_had_a_connection_rides_transient_failures_out() {
        for kind in [FailureKind::Transient, FailureKind::Full] {
            for failures in [1, 3, 1_000] {
                let failing = failing(failures, kind, true);
                assert_eq!(decide(ConnectFailures::RideOut, &failing), Tell::Nothing);
            }
        }
    }

    #[test]
    fn a_pool_that_never_had_one_tells_at_the_third_failure() {
        let at = |failures| {
            let failing = failing(failures, FailureKind::Transient, false);
            decide(ConnectFailures::RideOut, &failing)
        };
        assert_eq!(
            [at(1), at(2), at(3), at(4)],
            [Tell::Nothing, Tell::Nothing, Tell::Now, Tell::Now]
        );
    }

    #[test]
    fn what_another_attempt_cannot_mend_is_told_at_once() {
        for kind in [FailureKind::Final, FailureKind::Credentials] {
            for had_connection in [false, true] {
                let failing = failing(1, kind, had_connection);
                assert_eq!(decide(ConnectFailures::RideOut, &failing), Tell::AtOnce);
            }
        }
    }

    #[test]
    fn that_a_server_is_not_what_is_wanted_is_ridden_out_from_the_beginning() {
        for (failures, had_connection) in [(1, true), (1_000, true), (1_000, false)] {
            let failing = failing(failures, FailureKind::Unsuitable, had_connection);
            assert_eq!(decide(ConnectFailures::RideOut, &failing), Tell::Nothing);
        }
    }

    #[test]
    fn a_number_counts_failures_of_any_kind() {
        for kind in [FailureKind::Transient, FailureKind::Final] {
            let at = |failures| {
                decide(
                    ConnectFailures::FailAfter(5),
                    &failing(failures, kind, true),
                )
            };
            assert_eq!((at(4), at(5)), (Tell::Nothing, Tell::Now));
        }
    }

    #[test]
    fn a_time_counts_from_the_first_failed_dial() {
        let after = |ms| {
            let policy = ConnectFailures::FailAfterTime(Duration::from_millis(ms));
            decide(policy, &failing(1, FailureKind::Transient, true))
        };
        assert_eq!((after(500), after(501)), (Tell::Now, Tell::At(701 * MS)));
    }

    #[test]
    fn told_to_keep_waiting_it_tells_nothing() {
        let failing = failing(100, FailureKind::Final, false);
        assert_eq!(
            decide(ConnectFailures::KeepWaiting, &failing),
            Tell::Nothing
        );
    }
}
