//! Changes of the state: under its lock, with the roster called in, and with what follows once the lock is let go.

use std::sync::Arc;

use super::deferred::Deferred;
use super::state::{Core, State};
use super::{grow, upkeep};
use crate::connect::Multiplex;
use crate::wake::{release, wake_all};

impl<C: Multiplex> Core<C> {
    /// Changes the state under the lock, and after it does what follows.
    #[inline]
    pub(super) fn locked<T>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut State<C>, &mut Deferred<C>) -> T,
    ) -> T {
        self.locked_unless(|| None, change)
    }

    /// As [`locked`](Self::locked), unless the roster is out and all there is to do is `listed` by it: it went out while
    /// the caller waited for the lock.
    #[inline]
    pub(super) fn locked_unless<T>(
        self: &Arc<Self>,
        listed: impl FnOnce() -> Option<T>,
        change: impl FnOnce(&mut State<C>, &mut Deferred<C>) -> T,
    ) -> T {
        let mut deferred = Deferred {
            waker: None,
            wakers: Vec::new(),
            old_waker: None,
            gone: Vec::new(),
            grow: 0,
            lacking: Vec::new(),
            start_upkeep: false,
            look_at: None,
            growth_is_excess: false,
            roster: None,
        };
        let result = {
            let mut state = self.state();
            if state.has_roster() {
                if let Some(result) = listed() {
                    return result;
                }
            }
            deferred.roster = state.call_in_roster();
            let result = change(&mut state, &mut deferred);
            deferred.growth_is_excess = self.note_demand(&state);
            result
        };
        let Deferred {
            waker,
            wakers,
            old_waker,
            gone,
            grow,
            lacking,
            start_upkeep,
            look_at,
            growth_is_excess,
            roster,
        } = deferred;
        wake_all(waker.into_iter().chain(wakers));
        release(old_waker);
        drop((gone, roster));
        if start_upkeep {
            upkeep::start(self);
        }
        if let Some(at) = look_at {
            upkeep::look_at(self, self.life.owner.clock.instant(at));
        }
        if growth_is_excess {
            self.growth.notify_waiters();
        }
        for _ in 0..grow {
            grow::start(self);
        }
        for number in lacking {
            grow::at(self, number);
        }
        result
    }
}
