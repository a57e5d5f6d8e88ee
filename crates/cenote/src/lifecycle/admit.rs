//! How a connection becomes the pool's: its slot filled, its notes written, its lifetime drawn, and told of.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::state::{ConnectionToken, Entry, Lifecycle};
use crate::connect::Connect;
use crate::kernel::{Arc, Opening};
use crate::report::{EventKind, count};

/// Where a connection comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The pool opened it.
    Dialled,
    /// It was opened elsewhere: what becomes of it says nothing of connecting.
    Added,
}

/// Makes `conn` the pool's, to be settled.
pub(crate) fn admit<C: Connect>(
    opening: Opening<Lifecycle<C>>,
    conn: C::Connection,
    id: u64,
    took: Duration,
    origin: Origin,
) -> ConnectionToken<C> {
    let core = Arc::clone(opening.core());
    let life = &core.owner;
    let now = life.clock.now();
    let token = opening.fill(Entry { conn });
    let meta = token.meta();
    let expires_at = life.dialer().draw_expiry(now, &life.settings);
    meta.id.store(id, Relaxed);
    meta.opened_at.store(now, Relaxed);
    meta.idle_since.store(now, Relaxed);
    meta.checked_at.store(now, Relaxed);
    meta.expires_at.store(expires_at, Relaxed);
    meta.uses_before.store(meta.uses.load(Relaxed), Relaxed);
    meta.is_dialled.store(origin == Origin::Dialled, Relaxed);
    count(&life.metrics.opened);
    life.tell(|| EventKind::Opened {
        info: meta.info(now, now),
        took,
    });
    token
}
