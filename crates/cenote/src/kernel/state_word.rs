//! The state word of a slot: what it is doing, whether its holder must report to the ledger when it
//! gives it back, and which use of the slot this is (its generation).

/// What a slot is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// No connection lives here.
    Vacant = 0,
    /// A dial owns the slot.
    Opening = 1,
    /// A connection that anyone may claim.
    Idle = 2,
    /// A user holds the connection.
    Leased = 3,
    /// The pool itself holds the connection: checking or resetting it.
    Reserved = 4,
    /// The pool itself holds the connection, and it will not come back.
    Closing = 5,
}

/// One value of a slot's state word: `generation << 8 | NOTICE | state`.
///
/// Every claim adds one to the generation, so a compare-and-swap from a word read earlier succeeds
/// only while the slot is in the very same idle period. 56 bits last 200 years at 10 M claims a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StateWord(pub(crate) u64);

const STATE: u64 = 0x07;
const REPORT: u64 = 0x08;
const GENERATION: u64 = 1 << 8;

impl StateWord {
    #[inline(always)]
    pub(crate) fn state(self) -> State {
        match self.0 & STATE {
            0 => State::Vacant,
            1 => State::Opening,
            2 => State::Idle,
            3 => State::Leased,
            4 => State::Reserved,
            _ => State::Closing,
        }
    }

    /// Which use of the slot this is.
    #[inline(always)]
    pub(crate) fn generation(self) -> u64 {
        self.0 >> 8
    }

    /// Whether the holder must go through the ledger when it gives the slot back.
    #[inline(always)]
    pub(crate) fn must_report(self) -> bool {
        self.0 & REPORT != 0
    }

    /// The same use of the slot, holder told to report.
    #[inline(always)]
    pub(crate) fn with_report(self) -> StateWord {
        StateWord(self.0 | REPORT)
    }

    /// The same use of the slot in another state; a mark is done with.
    #[inline(always)]
    pub(crate) fn to(self, state: State) -> StateWord {
        StateWord(self.0 & !(STATE | REPORT) | state as u64)
    }

    /// The next use of the slot.
    #[inline(always)]
    pub(crate) fn next(self, state: State) -> StateWord {
        StateWord(self.to(state).0.wrapping_add(GENERATION))
    }
}

#[cfg(all(test, not(cenote_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_generation_changes_with_each_use_and_only_then() {
        let idle = StateWord(0).next(State::Idle);
        assert_eq!(idle.to(State::Leased).generation(), idle.generation());
        assert_eq!(idle.next(State::Leased).generation(), idle.generation() + 1);
    }

    #[test]
    fn a_mark_survives_nothing_but_itself() {
        let leased = StateWord(0).next(State::Leased).with_report();
        assert!(leased.must_report());
        assert_eq!(leased.state(), State::Leased);
        assert_eq!(leased.with_report(), leased, "told twice");
        assert!(!leased.to(State::Idle).must_report());
        assert!(!leased.next(State::Leased).must_report());
    }
}
