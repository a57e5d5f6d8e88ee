//! Connections opened elsewhere: looked at, then made the pool's own by the `after_connect` hook, as those it opens.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::admit::admit;
use super::checking::Checking;
use super::dial;
use super::recycle::{describe, release, return_to_pool};
use super::retire::retire;
use super::state::{ConnectionToken, Entry, Lifecycle, LifecycleCore, Origin};
use super::target::Targets;
use super::upkeep;
use crate::budget::After;
use crate::connect::Connect;
use crate::error::AddError;
use crate::kernel::{Arc, IdleSince, Opening, Phase};
use crate::report::CloseReason;
use crate::rt;

pub(crate) fn add<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
    conn: C::Connection,
) -> Result<(), AddError<C::Connection>> {
    upkeep::ensure(core);
    let life = &core.owner;
    let needs_runtime = !life.hooks.after_connect.is_empty();
    if needs_runtime && !life.runtime.is_alive() {
        return Err(AddError::NoRuntime(conn));
    }
    let Targets::One(target) = &life.targets else {
        return Err(AddError::Set(conn));
    };
    if !matches!(rt::calling(|| target.connector.is_open(&conn)), Ok(true)) {
        return Err(AddError::Broken(conn));
    }
    let Some(opening) = place(core) else {
        return Err(match core.demand().phase {
            Phase::Closed => AddError::Closed(conn),
            _ => AddError::Full(conn),
        });
    };
    let id = life.next_id.fetch_add(1, Relaxed);
    let target = std::sync::Arc::clone(target);
    let entry = Entry { conn, target };
    let token = admit(opening, entry, id, Duration::ZERO, Origin::Added);
    if needs_runtime {
        let checking = Checking::begin(core);
        life.runtime.spawn(introduce(checking, token));
    } else {
        release(token, IdleSince::Now);
        dial::dial_if_needed(core);
    }
    Ok(())
}

/// A slot, and the budget's permit for it.
fn place<C: Connect>(core: &Arc<LifecycleCore<C>>) -> Option<Opening<Lifecycle<C>>> {
    let budget = core.owner.budget.as_ref();
    if budget.is_some_and(|budget| !budget.take()) {
        return None;
    }
    let opening = core.open(usize::MAX);
    if let (None, Some(budget)) = (&opening, budget) {
        let mut after = After::default();
        budget.give_back(&mut after);
        after.run();
    }
    opening
}

/// Runs the `after_connect` hooks. One that does not end well closes the connection; it says nothing of connecting.
async fn introduce<C: Connect>(checking: Checking<C>, mut token: ConnectionToken<C>) {
    let core = Arc::clone(token.core());
    let life = &core.owner;
    let now = life.clock.now();
    let (_, meta, entry) = token.parts();
    let info = meta.info(now, now);
    let hooks = life.hooks.after_connect.run(&mut entry.conn, &info);
    if let Err(failed) = rt::guarded(life.settings.connect_timeout, hooks).await {
        retire(token, CloseReason::Hook, Some(&describe(failed)));
        return drop(checking);
    }
    return_to_pool(token);
    drop(checking);
}
