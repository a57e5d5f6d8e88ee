//! How a connection becomes the pool's: its slot filled, its notes written, its lifetime drawn, and told of.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::state::{ConnectionToken, Entry, Lifecycle, Origin};
use crate::connect::Connect;
use crate::kernel::{Arc, Opening};
use crate::report::{EventKind, count};

/// Makes the connection the pool's, to be settled.
pub(crate) fn admit<C: Connect>(
    opening: Opening<Lifecycle<C>>,
    entry: Entry<C>,
    id: u64,
    took: Duration,
    origin: Origin,
) -> ConnectionToken<C> {
    let core = Arc::clone(opening.core());
    let life = &core.owner;
    let now = life.clock.now();
    let token = opening.fill(entry);
    let meta = token.meta();
    let expires_at = life.dialer().draw_expiry(now, &life.settings);
    meta.id.store(id, Relaxed);
    meta.opened_at.store(now, Relaxed);
    meta.idle_since.store(now, Relaxed);
    meta.checked_at.store(now, Relaxed);
    meta.expires_at.store(expires_at, Relaxed);
    meta.begin_uses(origin, token.entry().target.version());
    count(&life.metrics.opened);
    let target = &*token.entry().target;
    life.tell_of(Some(target), || EventKind::Opened {
        info: meta.info(now, now),
        took,
    });
    token
}
