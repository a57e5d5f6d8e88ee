//! Where a pool's connections come from, as its builder says it.

use super::follow;
use super::state::LifecycleCore;
use crate::connect::Connect;
use crate::endpoints::{Discovery, DiscoveryStatus, Endpoint, Key};
use crate::error::SettingsError;
use crate::kernel::Arc;

/// One endpoint, or a set of them.
pub(crate) enum Supply<C: Connect> {
    One(C),
    Set(BeginSet<C>),
}

/// Gives what tells how the discovery stands, and what starts the follower once there is a pool.
pub(crate) type BeginSet<C> =
    Box<dyn FnOnce() -> Result<(TellStatus, StartFollower<C>), SettingsError> + Send + Sync>;
pub(crate) type TellStatus = Box<dyn Fn() -> DiscoveryStatus + Send + Sync>;
pub(crate) type StartFollower<C> = Box<dyn FnOnce(&Arc<LifecycleCore<C>>)>;

impl<C: Connect> Supply<C> {
    /// The endpoints that `discovery` tells of, each with the connector that `make` makes for it.
    pub(crate) fn set<K: Key>(
        discovery: Result<Discovery<K>, SettingsError>,
        make: impl Fn(&Endpoint<K>) -> C + Send + Sync + 'static,
    ) -> Self {
        Self::Set(Box::new(move || {
            let discovery = discovery?;
            let status = discovery.teller();
            let follow = move |core: &Arc<LifecycleCore<C>>| follow::start(core, discovery, make);
            Ok((Box::new(status), Box::new(follow)))
        }))
    }
}
