//! The account of checks under way, for growth: what is checked was idle a moment ago, and will be again.

use super::dial;
use super::state::LifecycleCore;
use crate::connect::Connect;
use crate::kernel::Arc;

/// A check under way for no caller in particular: the connection will be idle again, so growth waits for it a while
/// before it dials. Dropped when the connection is idle, handed on or closed.
pub(crate) struct Checking<C: Connect> {
    core: Arc<LifecycleCore<C>>,
}

impl<C: Connect> Checking<C> {
    pub(crate) fn begin(core: &Arc<LifecycleCore<C>>) -> Self {
        let now = core.owner.clock.now();
        core.owner.dialer().check_began(now);
        Self {
            core: Arc::clone(core),
        }
    }
}

impl<C: Connect> Drop for Checking<C> {
    fn drop(&mut self) {
        self.core.owner.dialer().check_ended();
        dial::dial_if_needed(&self.core);
    }
}
