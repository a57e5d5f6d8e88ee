//! The active connections as the roster has them: which may be chosen, and up to how many leases; and what they carry
//! when it is called in.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Active;
use super::entry::ActiveEntry;
use crate::connect::Multiplex;
use crate::kernel::Endpoints;
use crate::policy::balance::Picker;
use crate::policy::sharing::{Choice, Chooser, FEW};
use crate::shared::lease_word::Counted;
use crate::shared::roster::{Candidate, OfSet, Roster};
use crate::shared::set::SharedSet;

/// So many leases at most does a connection carry that is on the roster: they are counted in half of its word.
const MOST: usize = u32::MAX as usize / 2;

impl<C: Multiplex> Active<C> {
    /// The roster of all, whose connections count by themselves from now on. None where each lease is to be chosen under
    /// the lock, or there is room for fewer leases than half as many as there are connections: two draws would fail too often.
    /// Where the pool `may_grow`, none of them is given
    /// so many leases that it is busy, for then growth is to be decided on.
    pub(in crate::shared) fn go_out(
        &mut self,
        may_grow: bool,
        endpoints: Option<&Endpoints>,
    ) -> Option<Roster<C>> {
        let limit = |entry: &ActiveEntry<C>| match may_grow {
            true => entry.busy_at.saturating_sub(1).min(entry.capacity),
            false => entry.capacity,
        };
        let room = |entry: &ActiveEntry<C>| limit(entry).saturating_sub(entry.in_flight);
        let rooms = self.entries.iter().map(room);
        if rooms.fold(0, usize::saturating_add) < self.entries.len().div_ceil(2) {
            return None;
        }
        if self.entries.iter().any(|entry| entry.in_flight > MOST) {
            return None;
        }
        let roster = self.roster(endpoints)?;
        for entry in &self.entries {
            let (in_flight, limit) = (entry.in_flight as u32, limit(entry).min(MOST) as u32);
            entry.conn.leases.go_out(in_flight, limit, entry.capacity);
        }
        Some(roster)
    }

    fn roster(&self, endpoints: Option<&Endpoints>) -> Option<Roster<C>> {
        if self.chooser.choice() != Choice::LeastLoaded {
            return None;
        }
        let Some(set) = &self.set else {
            let conns = self.entries.iter().map(|entry| Arc::clone(&entry.conn));
            return Some(Roster::new(conns.collect(), None));
        };
        self.roster_of_set(set, endpoints?)
    }

    fn roster_of_set(&self, set: &SharedSet, endpoints: &Endpoints) -> Option<Roster<C>> {
        let rule = set.random_rule().filter(|_| !set.owes())?;
        let drawn = endpoints.drawn();
        let mut conns = Vec::with_capacity(self.entries.len());
        let mut candidates = Vec::with_capacity(drawn);
        for record in (0..drawn).filter_map(|place| endpoints.record_at(place)) {
            let (number, first) = (record.number(), conns.len());
            if let Some(known) = set.endpoint(number).filter(|known| known.counts()) {
                if known.connections.len() > FEW {
                    // All are looked at to know what the endpoint carries.
                    return None;
                }
                let listed = known.connections.iter();
                conns.extend(listed.map(|i| Arc::clone(&self.entries[*i].conn)));
            }
            candidates.push(Candidate {
                number,
                weight: record.share.load(Relaxed),
                first: first as u32,
                len: (conns.len() - first) as u32,
            });
        }
        Some(Roster::new(conns, Some(OfSet { rule, candidates })))
    }

    /// Takes in what the connections have counted; how many leases began.
    pub(in crate::shared) fn called_in(&mut self) -> u64 {
        let mut all_begun = 0;
        for i in 0..self.entries.len() {
            let entry = &self.entries[i];
            let Counted { in_flight, begun } = entry.conn.leases.call_in();
            all_begun += begun;
            if begun > 0 || in_flight != entry.in_flight {
                self.change(i, |entry| {
                    entry.in_flight = in_flight;
                    entry.leases += begun;
                    entry.was_used |= begun > 0;
                });
            }
        }
        all_begun
    }

    /// What a thread's view of the roster draws by.
    pub(in crate::shared) fn new_view(&mut self) -> (Chooser, Picker) {
        let picker = self.set.as_mut().map(SharedSet::new_picker);
        (self.chooser.fork(), picker.unwrap_or(Picker::new(0)))
    }
}
