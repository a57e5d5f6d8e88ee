//! The life of the connections to one endpoint, or to a set of them: opened, checked, handed back and made clean, closed.
//! It knows no user: what a lease is, who waits for one and for how long is for the faces on it, the pools.
//!
//! `dial` opens connections, `admit` takes them in, `check` asks them for a sign of life, `recycle` leads from a lease
//! to the next, `retire` closes them, `look` looks after those in between; `state` is what they share, and `owner` what
//! the kernel is told.
//!
//! Locks, in the order they may be taken: the dialer's (`state`), that of a set's dials (`set_dials`), the budget's, the
//! kernel's ledger, the runtime's leaf; a set's targets, its drains, its recent leases and an endpoint's account are
//! leaves too. User code runs under none
//! of them.

pub(crate) mod add;
mod admit;
pub(crate) mod aim;
pub(crate) mod blueprint;
pub(crate) mod budget_member;
mod by_key;
pub(crate) mod candidates;
pub(crate) mod change;
mod check;
mod checking;
pub(crate) mod close;
pub(crate) mod dial;
mod dial_for_aim;
mod dial_of_set;
mod dialer;
mod drains;
pub(crate) mod ended_get;
pub(crate) mod failed_dial;
mod follow;
pub(crate) mod health;
mod heed;
mod inspect;
mod listing;
mod look;
mod owner;
pub(crate) mod pre_lease_check;
pub(crate) mod proving;
mod recent_leases;
pub(crate) mod recycle;
mod report;
pub(crate) mod retire;
mod seen_lease;
pub(crate) mod set;
mod set_dials;
mod set_status;
pub(crate) mod signals;
pub(crate) mod spent;
pub(crate) mod state;
pub(crate) mod supply;
pub(crate) mod take;
pub(crate) mod target;
pub(crate) mod upkeep;
pub(crate) mod warm;
