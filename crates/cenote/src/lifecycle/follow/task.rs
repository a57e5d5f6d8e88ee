//! The task in which a set is followed. One whose runtime ends leaves the follower, with all that it knows, with the pool,
//! whose next look has it follow on where that is looked after.

use std::sync::atomic::Ordering::Relaxed;

use super::Follower;
use crate::connect::Connect;
use crate::endpoints::{Endpoint, Key};
use crate::kernel::{Arc, Phase};
use crate::lifecycle::state::LifecycleCore;
use crate::lifecycle::upkeep;
use crate::rt::{self, Runtime};
use crate::sync::lock;

/// A follower that was left: has it follow on there.
pub(in crate::lifecycle) type Left = Box<dyn FnOnce(&Runtime) + Send>;

/// Has a follower that was left follow on, if there is one.
pub(in crate::lifecycle) fn go_on<C: Connect>(core: &Arc<LifecycleCore<C>>) {
    let Some(set) = core.owner.targets.set() else {
        return;
    };
    let left = lock(&set.left).take();
    if let Some(left) = left {
        left(&core.owner.runtime);
    }
}

/// Follows until the pool has ended.
pub(super) async fn run<C, K, F>(mut following: Following<C, K, F>)
where
    C: Connect,
    K: Key,
    F: Fn(&Endpoint<K>) -> C + Send + Sync + 'static,
{
    while let Some(follower) = &mut following.0 {
        if follower.turn().await.is_break() {
            following.0 = None;
        }
    }
}

/// A follower in its task; dropped before the pool has ended, it is left.
pub(super) struct Following<C, K, F>(Option<Follower<C, K, F>>)
where
    C: Connect,
    K: Key,
    F: Fn(&Endpoint<K>) -> C + Send + Sync + 'static;

impl<C, K, F> Following<C, K, F>
where
    C: Connect,
    K: Key,
    F: Fn(&Endpoint<K>) -> C + Send + Sync + 'static,
{
    pub(super) fn begin(follower: Follower<C, K, F>) -> Self {
        Self(Some(follower))
    }
}

impl<C, K, F> Drop for Following<C, K, F>
where
    C: Connect,
    K: Key,
    F: Fn(&Endpoint<K>) -> C + Send + Sync + 'static,
{
    fn drop(&mut self) {
        if let Some(follower) = self.0.take() {
            leave(follower);
        }
    }
}

/// Leaves the follower with its pool: its runtime has ended, or is about to.
fn leave<C, K, F>(mut follower: Follower<C, K, F>)
where
    C: Connect,
    K: Key,
    F: Fn(&Endpoint<K>) -> C + Send + Sync + 'static,
{
    let Some(core) = follower.core.upgrade() else {
        return;
    };
    let Some(set) = core.owner.targets.set() else {
        return;
    };
    if core.demand().phase == Phase::Closed {
        return;
    }
    // Until it follows on, nobody lets an endpoint in again.
    set.may_eject.store(0, Relaxed);
    follower.look_at = Some(rt::now());
    let left: Left = Box::new(|runtime| runtime.spawn(run(Following::begin(follower))));
    *lock(&set.left) = Some(left);
    // By a keeper on another runtime, if there is one; else by the next, which a caller lists the pool with.
    upkeep::schedule(&core, core.owner.clock.now());
}
