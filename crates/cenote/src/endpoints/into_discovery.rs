//! What a pool over a set of endpoints can be given to learn of them.

use super::discover::Discover;
use super::discovery::Discovery;
use super::set::Key;
use crate::error::SettingsError;

/// A source of endpoint sets, or a [`Discovery`] that asks one already, and that several pools may share.
pub trait IntoDiscovery {
    /// What tells the endpoints apart.
    type Key: Key;

    /// Has the source asked, if it is not yet, with the default settings.
    ///
    /// # Errors
    /// [`SettingsError`] if there is no tokio runtime to ask on.
    fn into_discovery(self) -> Result<Discovery<Self::Key>, SettingsError>;
}

impl<K: Key> IntoDiscovery for Discovery<K> {
    type Key = K;

    fn into_discovery(self) -> Result<Discovery<K>, SettingsError> {
        Ok(self)
    }
}

impl<D: Discover> IntoDiscovery for D {
    type Key = D::Key;

    fn into_discovery(self) -> Result<Discovery<D::Key>, SettingsError> {
        Discovery::start(self)
    }
}
