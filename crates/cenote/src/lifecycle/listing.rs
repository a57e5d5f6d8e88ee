//! The endpoints of a set by their keys, for those who name one by its key or look for one by a key of their own. What type
//! keys have only the set's source and its users know.

use std::any::Any;
use std::sync::Arc;

use crate::endpoints::{EndpointId, EndpointSet, Key};
use crate::policy::balance::key_hash::hash_of;

/// A set, and what names each endpoint in it.
pub(super) struct Listing<K> {
    pub(super) set: EndpointSet<K>,
    /// In the order of the set.
    pub(super) ids: Vec<EndpointId>,
}

/// A listing whose keys are of any type. All of it but [`is_empty`](Self::is_empty) runs user code, as keys are: under no
/// lock.
pub(super) trait Listed: Send + Sync {
    fn is_empty(&self) -> bool;

    /// What names each endpoint, the hash of its key, and its weight as the source tells it.
    fn hashed(&self) -> Vec<(EndpointId, u64, u32)>;

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

impl<K: Key> Listed for Listing<K> {
    fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    fn hashed(&self) -> Vec<(EndpointId, u64, u32)> {
        let endpoints = self.ids.iter().zip(self.set.endpoints());
        endpoints
            .map(|(id, endpoint)| (*id, hash_of(&endpoint.key), endpoint.weight))
            .collect()
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

/// The endpoint with this key; none where keys are of another type.
pub(super) fn id_of<K: Key>(listing: Arc<dyn Listed>, key: &K) -> Option<EndpointId> {
    let listing = listing.into_any().downcast::<Listing<K>>().ok()?;
    let endpoints = listing.set.endpoints();
    let place = endpoints.binary_search_by(|endpoint| endpoint.key.cmp(key));
    listing.ids.get(place.ok()?).copied()
}
