//! The drawn endpoints of a set as a user's own rule of choosing sees them.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::state::LifecycleCore;
use crate::connect::Connect;
use crate::endpoints::EndpointId;
use crate::policy::balance::MAX_WEIGHT;

/// The endpoints of a pool over a set that may be chosen now, for a rule of one's own: it looks at as many as it likes, and
/// [`Get::prefer`](crate::pool::Get::prefer) takes what it chose. From [`Pool::candidates`](crate::Pool::candidates).
///
/// Those that are down, ejected or of a priority that is not needed are not among them. The list changes under the reader:
/// at a place that is gone is `None`, and what was seen there before may be elsewhere. Each look takes a lock for a moment
/// that no lease takes.
///
/// ```
/// # use cenote::{Connect, GetError, Lease, Pool};
/// # async fn f<C: Connect>(pool: Pool<C>, zone: impl Fn(cenote::endpoints::EndpointId) -> bool) -> Result<(), GetError> {
/// // Of those nearby, the one with the fewest leases for its weight.
/// let near = pool.candidates().iter().filter(|one| zone(one.id));
/// let load = |one: &cenote::endpoints::Candidate| f64::from(one.in_flight + 1) / one.weight;
/// let chosen = near.min_by(|one, other| load(one).total_cmp(&load(other)));
/// let conn = match chosen {
///     Some(chosen) => pool.get().prefer(chosen.id).await?,
///     None => pool.get().await?,
/// };
/// # drop(conn); Ok(()) }
/// ```
pub struct Candidates<'a, C: Connect> {
    core: &'a LifecycleCore<C>,
}

/// An endpoint that may be chosen, as it was at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Candidate {
    /// What names it.
    pub id: EndpointId,
    /// Leases out, and callers that wait for it and no other.
    pub in_flight: u32,
    /// Connections that are open, idle or leased.
    pub connections: u32,
    /// How many more leases it is to get than another that carries as little: the greatest of all is 1.0, slow start
    /// included. 0.0: none, unless all have that.
    pub weight: f64,
    /// How long its calls take, as [`Balance::PeakEwma`](crate::endpoints::Balance::PeakEwma) reckons; `None` while nothing
    /// is known, and where another rule is set.
    pub latency: Option<Duration>,
}

impl<'a, C: Connect> Candidates<'a, C> {
    pub(crate) fn new(core: &'a LifecycleCore<C>) -> Self {
        Self { core }
    }

    /// How many there are now; none in a pool of one endpoint.
    pub fn len(&self) -> usize {
        let endpoints = self.core.endpoints();
        endpoints.map_or(0, |endpoints| endpoints.drawn())
    }

    /// Whether there is none now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one at this place, below [`len`](Self::len).
    pub fn get(&self, place: usize) -> Option<Candidate> {
        let (set, endpoints) = (self.core.owner.targets.set()?, self.core.endpoints()?);
        if place >= endpoints.drawn() {
            return None;
        }
        let record = endpoints.record_at(place)?;
        let cost = f32::from_bits(record.cost.load(Relaxed));
        Some(Candidate {
            id: set.id(record.number())?,
            in_flight: record.carried(),
            connections: record.open(),
            weight: f64::from(record.share.load(Relaxed)) / f64::from(MAX_WEIGHT),
            latency: (cost > 0.0).then(|| Duration::try_from_secs_f32(cost).unwrap_or_default()),
        })
    }

    /// All of them, one after the other.
    pub fn iter(&self) -> impl Iterator<Item = Candidate> + use<'a, C> {
        let own = Self::new(self.core);
        (0..own.len()).filter_map(move |place| own.get(place))
    }
}

impl<C: Connect> fmt::Debug for Candidates<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
