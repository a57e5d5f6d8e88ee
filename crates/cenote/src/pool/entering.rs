//! How a connection becomes the pool's: its slot filled, its notes written, its lifetime drawn, and told of.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::shared::{Entry, PoolHeld, Shared, count};
use crate::connect::Connect;
use crate::event::Event;
use crate::kernel::{Arc, Opening};

/// Where a connection comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The pool opened it.
    Dialled,
    /// It was opened elsewhere: what becomes of it says nothing of connecting.
    Added,
}

/// Makes `conn` the pool's, to be settled.
pub(crate) fn enter<C: Connect>(
    opening: Opening<Shared<C>>,
    conn: C::Connection,
    id: u64,
    took: Duration,
    origin: Origin,
) -> PoolHeld<C> {
    let core = Arc::clone(opening.core());
    let shared = &core.owner;
    let now = shared.clock.now();
    let held = opening.fill(Entry { conn });
    let notes = held.notes();
    let expires_at = shared.dialer().draw_expiry(now, &shared.settings);
    notes.id.store(id, Relaxed);
    notes.opened_at.store(now, Relaxed);
    notes.idle_since.store(now, Relaxed);
    notes.checked_at.store(now, Relaxed);
    notes.expires_at.store(expires_at, Relaxed);
    notes.uses_before.store(notes.uses.load(Relaxed), Relaxed);
    notes.is_dialled.store(origin == Origin::Dialled, Relaxed);
    count(&shared.tally.opened);
    shared.hooks.tell(&Event::Opened {
        info: notes.info(now, now),
        took,
    });
    held
}
