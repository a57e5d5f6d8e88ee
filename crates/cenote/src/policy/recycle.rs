//! What becomes of a connection that comes back: one decision from what is known then. How many connections are too
//! many is not among it: the kernel's ledger counts them, and says so as it takes the connection back.

use crate::connect::Verdict;
use crate::report::CloseReason;

/// A connection that comes back, as the decision sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Returned {
    pub(crate) condition: Condition,
    /// Why it is to be closed by now if nobody has it.
    pub(crate) end_of_life: Option<CloseReason>,
    /// Whether the pool still wants it.
    pub(crate) wanted: Wanted,
    /// Whether an `after_return` hook is to see it.
    pub(crate) has_hook: bool,
}

/// What its holder and its connector have shown or said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Its holder panicked; the connector was not asked.
    HolderPanicked,
    /// The connector says it is not open.
    NotOpen,
    /// The connector panicked when it was asked.
    VerdictPanicked,
    Judged(Verdict),
}

/// Whether a pool wants connections of that age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Yes,
    /// It was open when all were to be replaced.
    Evicted,
    PoolClosed,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The next has it, as it is.
    Idle,
    /// The hook sees it first.
    Hook,
    /// It is reset first, and the hook sees it then.
    Reset,
    Close(CloseReason),
}

/// A connection in doubt is closed for that, whatever else is true of it: its end is abrupt. Sound, it is closed rather
/// than made clean for nobody.
pub(crate) fn decide(returned: &Returned) -> Fate {
    let verdict = match returned.condition {
        Condition::HolderPanicked => return Fate::Close(CloseReason::Panicked),
        Condition::NotOpen => return Fate::Close(CloseReason::Broken),
        Condition::VerdictPanicked | Condition::Judged(Verdict::Close) => {
            return Fate::Close(CloseReason::Verdict);
        }
        Condition::Judged(verdict) => verdict,
    };
    if let Some(reason) = returned.end_of_life {
        return Fate::Close(reason);
    }
    match (returned.wanted, verdict) {
        (Wanted::PoolClosed, _) => Fate::Close(CloseReason::PoolClosed),
        (Wanted::Evicted, _) => Fate::Close(CloseReason::Evicted),
        (Wanted::Yes, Verdict::Reset) => Fate::Reset,
        (Wanted::Yes, _) if returned.has_hook => Fate::Hook,
        (Wanted::Yes, _) => Fate::Idle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn returned(condition: Condition) -> Returned {
        Returned {
            condition,
            end_of_life: None,
            wanted: Wanted::Yes,
            has_hook: false,
        }
    }

    fn judged(verdict: Verdict) -> Returned {
        returned(Condition::Judged(verdict))
    }

    #[test]
    fn a_clean_connection_becomes_idle_and_a_dirty_one_is_reset_first() {
        assert_eq!(decide(&judged(Verdict::Reuse)), Fate::Idle);
        assert_eq!(decide(&judged(Verdict::Reset)), Fate::Reset);
    }

    #[test]
    fn the_hook_sees_a_clean_connection_and_a_dirty_one_only_after_its_reset() {
        let seen = |verdict| Returned {
            has_hook: true,
            ..judged(verdict)
        };
        assert_eq!(decide(&seen(Verdict::Reuse)), Fate::Hook);
        assert_eq!(decide(&seen(Verdict::Reset)), Fate::Reset);
    }

    #[test]
    fn a_connection_in_doubt_is_closed_for_that_whatever_else_is_true_of_it() {
        let in_doubt = [
            (Condition::HolderPanicked, CloseReason::Panicked),
            (Condition::NotOpen, CloseReason::Broken),
            (Condition::VerdictPanicked, CloseReason::Verdict),
            (Condition::Judged(Verdict::Close), CloseReason::Verdict),
        ];
        for (condition, reason) in in_doubt {
            for wanted in [Wanted::Yes, Wanted::Evicted, Wanted::PoolClosed] {
                for end_of_life in [None, Some(CloseReason::MaxLifetime)] {
                    let fate = decide(&Returned {
                        end_of_life,
                        wanted,
                        ..returned(condition)
                    });
                    assert_eq!(fate, Fate::Close(reason), "{condition:?}, {wanted:?}");
                }
            }
        }
    }

    #[test]
    fn a_sound_connection_without_a_future_is_closed_and_not_made_clean_first() {
        let without = [
            (None, Wanted::Evicted, CloseReason::Evicted),
            (None, Wanted::PoolClosed, CloseReason::PoolClosed),
            (
                Some(CloseReason::MaxLifetime),
                Wanted::Yes,
                CloseReason::MaxLifetime,
            ),
            (
                Some(CloseReason::Retired),
                Wanted::Evicted,
                CloseReason::Retired,
            ),
        ];
        for (end_of_life, wanted, reason) in without {
            for verdict in [Verdict::Reuse, Verdict::Reset] {
                let fate = decide(&Returned {
                    end_of_life,
                    wanted,
                    has_hook: true,
                    ..judged(verdict)
                });
                assert_eq!(fate, Fate::Close(reason), "{verdict:?}, {wanted:?}");
            }
        }
    }
}
