//! The state word of a slot: what it is doing, its mark, and which use of the slot this is (its generation).
//!
//! A mark says that the slot's next move goes through the ledger: a leased slot is given back there, an idle one lies
//! on the ledger's shelf and is leased from there.

/// What a slot is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// No connection lives here.
    Vacant = 0,
    /// A dial owns the slot.
    Opening = 1,
    /// A connection that nobody holds: anyone may claim it, unless it is marked.
    Idle = 2,
    /// A user holds the connection.
    Leased = 3,
    /// The pool itself holds the connection: checking or resetting it.
    Reserved = 4,
    /// The pool itself holds the connection, and it will not come back.
    Closing = 5,
}

/// Whether a slot's next move goes through the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mark {
    No = 0,
    Yes = MARK as u8,
}

/// One value of a slot's state word: `generation << 8 | COUNTED | MARK | state`.
///
/// Every claim adds one to the generation, so a compare-and-swap from a word read earlier succeeds
/// only while the slot is in the very same idle period. 56 bits last 200 years at 10 M claims a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StateWord(pub(crate) u64);

const STATE: u64 = 0x07;
const MARK: u64 = 0x08;
/// The slot's leases are counted at its endpoint: in a pool over a set of them, all are, always.
const COUNTED: u64 = 0x10;
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

    /// Whether the slot's next move goes through the ledger.
    #[inline(always)]
    pub(crate) fn is_marked(self) -> bool {
        self.0 & MARK != 0
    }

    /// Whether leases of the slot are counted at its endpoint.
    #[inline(always)]
    pub(super) fn is_counted(self) -> bool {
        self.0 & COUNTED != 0
    }

    /// Whether a lease ends by the word alone: with no mark on it, and counted nowhere.
    #[inline(always)]
    pub(super) fn is_plain_lease(self) -> bool {
        self.0 & (STATE | MARK | COUNTED) == State::Leased as u64
    }

    /// Whether anyone may claim the slot: it is idle, and not on the shelf.
    #[inline(always)]
    pub(crate) fn is_free(self) -> bool {
        self.0 & (STATE | MARK) == State::Idle as u64
    }

    /// The same use of the slot, with this mark as well.
    #[inline(always)]
    pub(crate) fn with(self, mark: Mark) -> StateWord {
        StateWord(self.0 | mark as u64)
    }

    /// As it is where leases are counted at their endpoints.
    pub(super) fn counted(self) -> StateWord {
        StateWord(self.0 | COUNTED)
    }

    /// The same use of the slot in another state; a mark is done with.
    #[inline(always)]
    pub(crate) fn to(self, state: State) -> StateWord {
        StateWord(self.0 & !(STATE | MARK) | state as u64)
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
        let leased = StateWord(0).next(State::Leased).with(Mark::Yes);
        assert!(leased.is_marked());
        assert_eq!(leased.state(), State::Leased);
        assert_eq!(leased.with(Mark::Yes), leased, "marked twice");
        assert!(!leased.to(State::Idle).is_marked());
        assert!(!leased.next(State::Leased).is_marked());
    }

    #[test]
    fn what_is_counted_stays_so_and_is_no_plain_lease() {
        let leased = StateWord(0).counted().next(State::Leased);
        assert!(leased.is_counted() && !leased.is_plain_lease());
        assert!(leased.to(State::Idle).is_free());
        assert!(leased.to(State::Idle).next(State::Leased).is_counted());
        assert!(StateWord(0).next(State::Leased).is_plain_lease());
    }

    #[test]
    fn anyone_may_claim_what_is_idle_and_has_no_mark() {
        let leased = StateWord(0).next(State::Leased);
        assert!(!leased.is_free());
        assert!(leased.to(State::Idle).is_free());
        assert!(!leased.to(State::Idle).with(Mark::Yes).is_free());
    }
}
