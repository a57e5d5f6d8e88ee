//! The roster: the active connections as each thread has them while there is nothing to decide but which of them
//! carries the next lease. While it is out, leases are counted in the connections' own [words](super::lease_word), and
//! begin and end without the pool's lock.
//!
//! It goes out when nobody waits and there is room for one more lease on every other connection; how many leases each is given is
//! bounded so that none of them could make the pool grow. Whatever takes the lock calls it in first, which takes it from
//! each thread and then each connection's count: so under the lock all counts are exact, and whatever ends afterwards
//! takes the lock as well. That looks at every connection, as handing it out does; so it goes out again only after as
//! many leases under the lock, and the looks are a few steps a lease. A lease that waited for the lock while it went out
//! begins or ends by it, and leaves it out: else a thread that waits would call in what another has just handed out.

use std::sync::{Arc, OnceLock};

use super::active_connection::ActiveConnection;
use crate::connect::Multiplex;
use crate::kernel::{EndpointNumber, Endpoints};
use crate::policy::balance::{self, Candidates, Choice, Picker, Rule};
use crate::policy::sharing::{Chooser, Load};
use crate::sync::{AtomicUsize, Mutex, Ordering::Relaxed, lock, own_shard};

/// Handing out and calling in costs, of each view, as much as so many connections.
const VIEW_COST: usize = 4;

/// How often two connections are drawn before the lock is taken, where there is no endpoint to choose.
const DRAWS: usize = 8;

/// Where a connection could be spared, the most leases at once are known up to this part of all that the connections
/// carry: for each lease to add them up it would have to read what all threads write.
const PEAK_PARTS: usize = 64;

/// More leases than ever begin between two looks.
const NEVER: usize = usize::MAX;

pub(super) struct Roster<C: Multiplex> {
    /// Of a set, those of one endpoint side by side.
    conns: Box<[Arc<ActiveConnection<C>>]>,
    endpoints: Option<OfSet>,
    /// Leases there were on its connections when it went out, less those that the views count for.
    origin: usize,
    /// A view adds up how many leases there are with each of so many.
    leases_a_look: usize,
}

/// What of a set the policy draws from, by place, so that a draw looks at one line for each; as it was when the roster
/// went out. That another endpoint may serve, or by another share, is told under the lock, which calls the roster in.
pub(super) struct OfSet {
    pub(super) rule: Rule,
    pub(super) candidates: Vec<Candidate>,
}

/// A drawn endpoint, and which connections it has; none if the state knows of none, or is yet to be told that it may serve.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    pub(super) number: EndpointNumber,
    /// Its share of the load.
    pub(super) weight: u32,
    pub(super) first: u32,
    pub(super) len: u32,
}

/// Why no lease began by the roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unlisted {
    /// It was not out.
    NotOut,
    /// It is for the state to decide: nothing that was drawn has room, or what was drawn had something to tell.
    Undecided,
}

/// The views of all threads.
pub(super) struct Views<C: Multiplex> {
    /// Made when the roster first goes out: many pools have one connection.
    views: OnceLock<Box<[ThreadView<C>]>>,
    width: usize,
}

/// What a thread has of it, or some threads where there are more than views. In cache lines of its own. Its lock is
/// taken under the state's, one at a time; nothing is taken under it.
#[repr(align(128))]
struct ThreadView<C: Multiplex> {
    view: Mutex<View<C>>,
    /// Leases that began by this view, written under its lock; and leases that ended by it.
    begun: AtomicUsize,
    ended: AtomicUsize,
}

struct View<C: Multiplex> {
    /// None: it is called in.
    roster: Option<Arc<Roster<C>>>,
    chooser: Chooser,
    picker: Picker,
    /// The most leases there were at one of its looks; and after so many leases is the next.
    peak: usize,
    until_look: usize,
}

impl<C: Multiplex> Roster<C> {
    pub(super) fn new(conns: Vec<Arc<ActiveConnection<C>>>, endpoints: Option<OfSet>) -> Self {
        Self {
            conns: conns.into(),
            endpoints,
            origin: 0,
            leases_a_look: NEVER,
        }
    }

    /// A connection on which a lease has begun by this.
    #[inline]
    fn begin<'a>(
        &'a self,
        chooser: &mut Chooser,
        picker: &mut Picker,
        endpoints: Option<&'a Endpoints>,
    ) -> Option<&'a Arc<ActiveConnection<C>>> {
        let Some(of_set) = &self.endpoints else {
            return (0..DRAWS).find_map(|_| begin_on(&self.conns, chooser));
        };
        let drawn = Drawn {
            conns: &self.conns,
            of_set,
            endpoints: endpoints?,
        };
        let Choice { first, second } = of_set.rule.choose(&drawn, picker)?;
        // What has no room here lost for that. The state knows whether it has, or lacks a connection.
        let has_room = drawn.load_of(second.endpoint).has_idle();
        has_room.then(|| begin_on(drawn.conns_of(first.endpoint), chooser))?
    }
}

/// The drawn endpoints, as the policy sees them.
struct Drawn<'a, C: Multiplex> {
    conns: &'a [Arc<ActiveConnection<C>>],
    of_set: &'a OfSet,
    endpoints: &'a Endpoints,
}

impl<'a, C: Multiplex> Drawn<'a, C> {
    #[inline]
    fn conns_of(&self, candidate: Candidate) -> &'a [Arc<ActiveConnection<C>>] {
        &self.conns[candidate.first as usize..][..candidate.len as usize]
    }

    #[inline]
    fn load_of(&self, candidate: Candidate) -> balance::Load {
        let mut load = balance::Load {
            in_flight: 0,
            open: 0,
            weight: candidate.weight,
            cost: 0.0,
        };
        for conn in self.conns_of(candidate) {
            let (in_flight, limit) = conn.leases.load();
            load.in_flight = load.in_flight.saturating_add(in_flight);
            load.open = load.open.saturating_add(limit);
        }
        load
    }
}

impl<C: Multiplex> Candidates for Drawn<'_, C> {
    type Endpoint = Candidate;

    #[inline]
    fn len(&self) -> usize {
        self.of_set.candidates.len()
    }

    #[inline]
    fn at(&self, place: usize) -> Option<(Candidate, balance::Load)> {
        let candidate = *self.of_set.candidates.get(place)?;
        let mut load = self.load_of(candidate);
        if self.of_set.rule == Rule::PeakEwma {
            let record = self.endpoints.record(candidate.number);
            load.cost = f32::from_bits(record.cost.load(Relaxed));
        }
        Some((candidate, load))
    }
}

/// One of these on which a lease has begun by this.
#[inline]
fn begin_on<'a, C: Multiplex>(
    conns: &'a [Arc<ActiveConnection<C>>],
    chooser: &mut Chooser,
) -> Option<&'a Arc<ActiveConnection<C>>> {
    let load = |i: usize| {
        let (in_flight, limit) = conns[i].leases.load();
        Load {
            in_flight: in_flight as usize,
            capacity: limit as usize,
        }
    };
    let conn = &conns[chooser.draw(conns.len(), load)?];
    conn.leases.begin().then_some(conn)
}

impl<C: Multiplex> Views<C> {
    pub(super) fn new(width: usize) -> Self {
        Self {
            views: OnceLock::new(),
            width,
        }
    }

    /// So many leases are given under the lock before a roster of `len` connections goes out again.
    pub(super) fn leases_between(&self, len: usize) -> u64 {
        (len + VIEW_COST * self.width) as u64
    }

    fn all(&self) -> &[ThreadView<C>] {
        self.views.get().map_or(&[], |views| views)
    }

    #[inline]
    fn own(&self) -> Option<&ThreadView<C>> {
        let views = self.views.get()?;
        Some(&views[own_shard(views.len())])
    }

    /// A connection on which a lease has begun by this, if the roster is out and one it draws has room; and the capacity
    /// that it went out with.
    #[inline]
    pub(super) fn begin(
        &self,
        endpoints: Option<&Endpoints>,
    ) -> Result<(Arc<ActiveConnection<C>>, usize), Unlisted> {
        let own = self.own().ok_or(Unlisted::NotOut)?;
        let mut view = lock(&own.view);
        let View {
            roster,
            chooser,
            picker,
            peak,
            until_look,
        } = &mut *view;
        let roster = roster.as_deref().ok_or(Unlisted::NotOut)?;
        let drawn = roster.begin(chooser, picker, endpoints);
        let conn = Arc::clone(drawn.ok_or(Unlisted::Undecided)?);
        // While this roster is out: under the next, the lease may be one too many for its capacity.
        let capacity = conn.leases.capacity();
        let begun = own.begun.load(Relaxed).wrapping_add(1);
        own.begun.store(begun, Relaxed);
        *until_look -= 1;
        if *until_look == 0 {
            *until_look = roster.leases_a_look;
            *peak = (*peak).max(count(self.balance().wrapping_add(roster.origin)));
        }
        Ok((conn, capacity))
    }

    /// A lease that was counted in the connection's word has ended.
    #[inline]
    pub(super) fn ended(&self) {
        if let Some(own) = self.own() {
            own.ended.fetch_add(1, Relaxed);
        }
    }

    /// Leases that began by them, less those that ended, which wraps around: nearly so while leases begin and end.
    pub(super) fn balance(&self) -> usize {
        let of_each = self.all().iter().map(|own| {
            let ended = own.ended.load(Relaxed);
            own.begun.load(Relaxed).wrapping_sub(ended)
        });
        of_each.fold(0, usize::wrapping_add)
    }

    /// The state's lock is held: from now on threads have this roster. Leases there are on its connections, less those that
    /// views count for, are `origin`; where their most is wanted, it is of connections that carry `capacity` in all.
    pub(super) fn hand_out(
        &self,
        mut roster: Roster<C>,
        origin: usize,
        capacity: Option<usize>,
        mut new_view: impl FnMut() -> (Chooser, Picker),
    ) -> Arc<Roster<C>> {
        let views = self.views.get_or_init(|| {
            let view = || {
                let (chooser, picker) = new_view();
                ThreadView {
                    view: Mutex::new(View {
                        roster: None,
                        chooser,
                        picker,
                        peak: 0,
                        until_look: NEVER,
                    }),
                    begun: AtomicUsize::new(0),
                    ended: AtomicUsize::new(0),
                }
            };
            std::iter::repeat_with(view).take(self.width).collect()
        });
        roster.origin = origin;
        if let Some(capacity) = capacity {
            roster.leases_a_look = (capacity / PEAK_PARTS / self.width).max(1);
        }
        let roster = Arc::new(roster);
        for own in views {
            let mut view = lock(&own.view);
            view.roster = Some(Arc::clone(&roster));
            view.peak = 0;
            view.until_look = roster.leases_a_look;
        }
        roster
    }

    /// The state's lock is held: from now on threads have none. The most leases that a view saw at once.
    pub(super) fn call_in(&self) -> usize {
        let called_in = self.all().iter().map(|own| {
            let mut view = lock(&own.view);
            // Another has it still: no connection goes with it.
            view.roster = None;
            view.peak
        });
        called_in.max().unwrap_or(0)
    }
}

/// Of what wraps around: no less than none, however the parts were read.
pub(super) fn count(wrapped: usize) -> usize {
    (wrapped as isize).max(0) as usize
}

#[cfg(all(test, not(cenote_loom), not(cenote_shuttle)))]
mod tests;
