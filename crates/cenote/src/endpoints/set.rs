//! An endpoint, a whole set of them, and what differs between two sets.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::Arc;

/// What tells one endpoint from another: an address, a name, a shard's number. Compared whole.
pub trait Key: Clone + Ord + Hash + fmt::Debug + Send + Sync + 'static {}

impl<K: Clone + Ord + Hash + fmt::Debug + Send + Sync + 'static> Key for K {}

/// One of those that give the same service.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoint<K> {
    /// Which it is: an endpoint with an equal key in a later set is the same one.
    pub key: K,
    /// Where it listens, if the source knows: several are of one endpoint, as of a host with IPv4 and IPv6, in the order
    /// in which they are to be tried.
    ///
    /// When one of them is gone from a later set, as when a name in DNS moves, the connections of a pool that were dialled
    /// before are replaced, a tenth of them each second: idle ones end at once, leased ones when they come back
    /// ([`CloseReason::EndpointGone`](crate::report::CloseReason::EndpointGone)), those that are shared once another is
    /// there. None ends before one was opened to the addresses of now, nor while connecting to those fails; only where the
    /// endpoint has all the connections that it may have does one make way first, and in a pool that nobody uses they end
    /// without. So the load has moved ten seconds after that, but for leases that last longer. To which of several addresses
    /// a connection is, a pool does not know, so all are replaced; one that is only added replaces none.
    /// [`Pool::evict`](crate::Pool::evict) does it at once.
    pub addresses: Vec<SocketAddr>,
    /// Its share of the load, as against the others'. 0: it gets no more, and what it carries ends by itself. Default: 1.
    pub weight: u32,
    /// The lowest number comes first; the others are for when those do not suffice. Default: 0.
    pub priority: u16,
}

impl<K> Endpoint<K> {
    /// An endpoint of weight 1 and priority 0, without addresses.
    pub fn new(key: K) -> Self {
        Self {
            key,
            addresses: Vec::new(),
            weight: 1,
            priority: 0,
        }
    }

    /// Sets where it listens.
    #[must_use]
    pub fn addresses(mut self, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.addresses = addresses.into_iter().collect();
        self
    }

    /// Sets its share of the load.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets its priority.
    #[must_use]
    pub fn priority(mut self, priority: u16) -> Self {
        self.priority = priority;
        self
    }
}

/// All endpoints of a service at one time. Cheap to clone.
///
/// In the order of their keys, so that sets are equal whatever order a source lists them in (coredns #4960,
/// otel-collector #49585). An endpoint that is listed more than once is one, with the addresses of all listings in their
/// order as numbers, the greatest weight and the lowest priority (kubernetes #100033, scylla's python-driver #304).
#[derive(Clone)]
pub struct EndpointSet<K> {
    endpoints: Arc<[Endpoint<K>]>,
}

/// What became of an endpoint from one set to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change<'a, K> {
    /// It was not in the set before.
    Added(&'a Endpoint<K>),
    /// It is not in the set any more.
    Removed(&'a Endpoint<K>),
    /// It is in both, with other addresses, another weight or priority.
    Altered {
        /// As it was.
        before: &'a Endpoint<K>,
        /// As it is.
        now: &'a Endpoint<K>,
    },
}

impl<K: Key> EndpointSet<K> {
    /// A set of plain keys: each is an endpoint of weight 1.
    ///
    /// ```
    /// use cenote::endpoints::EndpointSet;
    ///
    /// assert_eq!(EndpointSet::of(["db1:5432", "db2:5432"]).len(), 2);
    /// ```
    pub fn of(keys: impl IntoIterator<Item = K>) -> Self {
        keys.into_iter().map(Endpoint::new).collect()
    }

    /// The endpoints, in the order of their keys.
    pub fn endpoints(&self) -> &[Endpoint<K>] {
        &self.endpoints
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// The endpoint with this key.
    pub fn get(&self, key: &K) -> Option<&Endpoint<K>> {
        let index = self.endpoints.binary_search_by(|other| other.key.cmp(key));
        index.ok().map(|index| &self.endpoints[index])
    }

    /// What has to be done to this set to make it `next`, in the order of keys. Takes one pass over both; endpoints that
    /// are equal in both are not mentioned.
    pub fn changes<'a>(&'a self, next: &'a Self) -> Vec<Change<'a, K>> {
        let mut changes = Vec::new();
        if Arc::ptr_eq(&self.endpoints, &next.endpoints) {
            return changes;
        }
        let (mut old, mut new) = (self.endpoints.iter(), next.endpoints.iter());
        let (mut before, mut now) = (old.next(), new.next());
        loop {
            let order = match (before, now) {
                (Some(before), Some(now)) => before.key.cmp(&now.key),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return changes,
            };
            if order == Ordering::Equal {
                if let (Some(before), Some(now)) = (before, now) {
                    if before != now {
                        changes.push(Change::Altered { before, now });
                    }
                }
            }
            if order != Ordering::Greater {
                let gone = before.filter(|_| order == Ordering::Less);
                changes.extend(gone.map(Change::Removed));
                before = old.next();
            }
            if order != Ordering::Less {
                let come = now.filter(|_| order == Ordering::Greater);
                changes.extend(come.map(Change::Added));
                now = new.next();
            }
        }
    }
}

impl<K: Key> FromIterator<Endpoint<K>> for EndpointSet<K> {
    fn from_iter<I: IntoIterator<Item = Endpoint<K>>>(endpoints: I) -> Self {
        let mut endpoints: Vec<_> = endpoints.into_iter().collect();
        endpoints.sort_by(|one, other| one.key.cmp(&other.key));
        endpoints.dedup_by(|again, first| {
            let is_same = again.key == first.key;
            if is_same {
                first.addresses.append(&mut again.addresses);
                first.addresses.sort();
                first.weight = first.weight.max(again.weight);
                first.priority = first.priority.min(again.priority);
            }
            is_same
        });
        for endpoint in &mut endpoints {
            let mut known = BTreeSet::new();
            endpoint.addresses.retain(|address| known.insert(*address));
        }
        Self {
            endpoints: endpoints.into(),
        }
    }
}

impl<K: Key, const N: usize> From<[Endpoint<K>; N]> for EndpointSet<K> {
    fn from(endpoints: [Endpoint<K>; N]) -> Self {
        endpoints.into_iter().collect()
    }
}

impl<K: Key> Default for EndpointSet<K> {
    fn default() -> Self {
        Self::from([])
    }
}

impl<K: Key> PartialEq for EndpointSet<K> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.endpoints, &other.endpoints) || self.endpoints == other.endpoints
    }
}

impl<K: Key> Eq for EndpointSet<K> {}

impl<K: Key> fmt::Debug for EndpointSet<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.endpoints.iter()).finish()
    }
}
