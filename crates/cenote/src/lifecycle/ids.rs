//! Which endpoint of a set has which key, for callers that name one.

use std::any::Any;
use std::sync::Arc;

use crate::endpoints::{EndpointId, EndpointSet, Key};
use crate::sync::{Mutex, lock};

/// The endpoints of a set by key. What keys are only its source and its users know, so their type is looked up.
#[derive(Default)]
pub(super) struct Ids {
    /// A leaf lock; no user code, as keys are, runs under it.
    listing: Mutex<Option<Arc<dyn Any + Send + Sync>>>,
}

/// A set, and what names each endpoint in it.
pub(super) struct Listing<K> {
    pub(super) set: EndpointSet<K>,
    /// In the order of the set.
    pub(super) ids: Vec<EndpointId>,
}

impl Ids {
    pub(super) fn set<K: Key>(&self, listing: Listing<K>) {
        let before = lock(&self.listing).replace(Arc::new(listing));
        drop(before);
    }

    /// The endpoint with this key; none where keys are of another type.
    pub(super) fn of<K: Key>(&self, key: &K) -> Option<EndpointId> {
        let listing = lock(&self.listing).clone()?;
        let listing = listing.downcast::<Listing<K>>().ok()?;
        let endpoints = listing.set.endpoints();
        let place = endpoints.binary_search_by(|endpoint| endpoint.key.cmp(key));
        listing.ids.get(place.ok()?).copied()
    }
}
