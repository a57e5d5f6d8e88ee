//! When connecting works again: a dial that succeeds says so, unless new connections have proved dead of late; then only a
//! lease on one does.

use std::sync::atomic::Ordering::Relaxed;

use super::dialer::{Dialer, Outage};
use super::state::{ConnectionToken, Lifecycle, LifecycleCore, Origin, PROVEN, SlotMeta};
use super::target::Target;
use crate::connect::Connect;
use crate::rt;

/// A face takes a connection for many users: what that proves is noted.
pub(crate) fn taken_by_face<C: Connect>(token: &ConnectionToken<C>, now: u64) {
    let core = token.core();
    token.meta().taken(now);
    prove(core, &*token.entry().target, token.meta());
}

/// A connection to `target` was leased: what that proves of new ones is noted.
pub(crate) fn prove<C: Connect>(core: &LifecycleCore<C>, target: &Target<C>, meta: &SlotMeta) {
    if proves(target.unproven_since.load(Relaxed), meta) {
        set_proven(core, target);
    }
}

/// Whether a connection proves that new ones can be trusted: opened since they were suspect, and leased.
#[inline]
fn proves(unproven_since: u64, meta: &SlotMeta) -> bool {
    meta.opened_at.load(Relaxed) > unproven_since
        && meta.origin() == Origin::Dialled
        && meta.uses_of_connection() > 0
}

/// A new connection was leased after all.
#[cold]
fn set_proven<C: Connect>(core: &LifecycleCore<C>, target: &Target<C>) {
    let _ended = {
        let mut dialer = core.owner.dialer();
        target.unproven_since.store(PROVEN, Relaxed);
        succeeded(&core.owner, &mut dialer, target)
    };
}

/// Looks for connections that were leased by the fast way.
pub(super) fn look_for_proof<C: Connect>(core: &LifecycleCore<C>) {
    let is_suspect = |target: &Target<C>| target.unproven_since.load(Relaxed) != PROVEN;
    let look = |target: &Target<C>| {
        for (index, _, meta) in core.slots() {
            if core.endpoint_of(index) == target.number() {
                prove(core, target, meta);
            }
        }
    };
    let targets = &core.owner.targets;
    targets
        .one()
        .into_iter()
        .filter(|target| is_suspect(target))
        .for_each(look);
    if let Some(set) = targets.set() {
        let all = set.all_targets();
        let suspect = all.iter().filter(|target| is_suspect(target));
        suspect.for_each(|target| look(target));
        // Perhaps the last references: a connector's drop is user code.
        let _ = rt::calling(|| drop(all));
    }
}

/// Connecting to `target` works. What failed before is to be dropped when the dialer's lock is let go.
pub(super) fn succeeded<C: Connect>(
    life: &Lifecycle<C>,
    dialer: &mut Dialer,
    target: &Target<C>,
) -> Option<Box<Outage>> {
    let (Some(set), Some(number)) = (life.targets.set(), target.number()) else {
        return dialer.succeeded();
    };
    let ended = match set.is_current(target) {
        true => set.dials().succeeded(number),
        false => None,
    };
    if ended.is_some() {
        set.changed.notify_one();
    }
    ended
}
