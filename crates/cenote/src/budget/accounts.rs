//! What each pool holds and what each bound carries: kept here, so that the sums are right by construction.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Weak};

use super::{BudgetMember, BudgetStatus};
use crate::policy::budget::Line;
use crate::sync::{AtomicBool, AtomicU8};

/// Of a pool or of a bound.
pub(super) type Key = u64;

/// Guarded by `Tree::state`.
pub(super) struct State {
    bounds: BTreeMap<Key, Tally>,
    pub(super) members: BTreeMap<Key, Member>,
    /// The pools that hold a permit, in the order of their [`idle_after`](Member::idle_after): so that the connection
    /// that has been idle for longest is found without a look at all of them.
    holders: BTreeSet<(u64, Key)>,
    /// A time that is past: the latest that anybody is known to wait since.
    pub(super) past: u64,
    pub(super) line: Line<Key>,
    /// The bounds that were made smaller and are exceeded still.
    pub(super) exceeded: BTreeSet<Key>,
    pub(super) is_contested: Arc<AtomicBool>,
    last_key: Key,
}

/// A bound, and the sums over the pools below it.
pub(super) struct Tally {
    pub(super) name: Arc<str>,
    pub(super) max: usize,
    /// Idle connections there may be.
    pub(super) max_idle: usize,
    pub(super) sums: Sums,
}

/// What counts against a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Permits reserved, held or not.
    pub(super) reserved: usize,
    pub(super) now: Load,
    /// As it will be once all that is promised is done.
    pub(super) soon: Load,
    /// Idle connections, as the pools counted them last: only where a bound on these is set.
    pub(super) idle: usize,
    /// Of these, what each has beyond what is reserved for it.
    pub(super) spare_idle: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// Permits held.
    pub(super) held: usize,
    /// Permits held or reserved.
    pub(super) committed: usize,
}

/// A pool.
pub(super) struct Member {
    /// The bounds that it is below, the narrowest first.
    pub(super) chain: Arc<[Key]>,
    pub(super) pool: Option<Weak<dyn BudgetMember>>,
    pub(super) account: Account,
    /// Where it stands, to be read by itself without the lock.
    pub(super) standing: Arc<AtomicU8>,
    /// None of its connections is idle since before this, as of the last look at them; 0 until there was one.
    idle_after: u64,
    /// Since when it wants a permit that is reserved for it, though nobody waits.
    pub(super) refills_since: Option<u64>,
    /// In line, with nothing promised: the bound at which it waits, once all below that have been asked for idle
    /// connections.
    pub(super) waits_at: Option<Key>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Account {
    pub(super) reserved: usize,
    /// Permits it has: a slot's, or granted.
    pub(super) held: usize,
    /// Granted, and no slot has it yet.
    pub(super) granted: usize,
    /// Connections that are being closed for the budget.
    pub(super) leaving: usize,
    /// One that is being closed is closed for it.
    pub(super) is_promised: bool,
    /// Idle connections, as it counted them last.
    pub(super) idle: usize,
}

impl Account {
    fn held_soon(&self) -> usize {
        self.held + usize::from(self.is_promised) - self.leaving
    }

    /// Whether the next permit is one that is reserved for it.
    pub(super) fn is_entitled(&self) -> bool {
        self.held < self.reserved
    }

    /// Whether it has more than what is reserved for it.
    pub(super) fn is_spare(&self) -> bool {
        self.held - self.leaving > self.reserved
    }

    fn sums(&self) -> Sums {
        let load = |held: usize| Load {
            held,
            committed: held.max(self.reserved),
        };
        Sums {
            reserved: self.reserved,
            now: load(self.held),
            soon: load(self.held_soon()),
            idle: self.idle,
            spare_idle: self.idle.saturating_sub(self.reserved),
        }
    }
}

impl Sums {
    /// These with what one account adds `now` instead of what it added `before`.
    fn replace(&mut self, before: Sums, now: Sums) {
        let change = |sum: &mut usize, before: usize, now: usize| *sum = *sum + now - before;
        change(&mut self.reserved, before.reserved, now.reserved);
        change(&mut self.idle, before.idle, now.idle);
        change(&mut self.spare_idle, before.spare_idle, now.spare_idle);
        for (sum, before, now) in [
            (&mut self.now, before.now, now.now),
            (&mut self.soon, before.soon, now.soon),
        ] {
            change(&mut sum.held, before.held, now.held);
            change(&mut sum.committed, before.committed, now.committed);
        }
    }
}

impl Tally {
    pub(super) fn is_exceeded(&self) -> bool {
        self.sums.soon.held > self.max
    }

    /// Whether more is promised than there will be.
    pub(super) fn is_overbooked(&self) -> bool {
        self.sums.soon.held > self.max || self.sums.soon.committed > self.max
    }

    /// Whether there are more idle connections than may be, and some that pools can do without.
    pub(super) fn has_too_many_idle(&self) -> bool {
        self.sums.idle > self.max_idle && self.sums.spare_idle > 0
    }

    pub(super) fn is_full_soon(&self) -> bool {
        self.sums.soon.held >= self.max
    }
}

impl State {
    pub(super) fn new(is_contested: Arc<AtomicBool>) -> Self {
        Self {
            bounds: BTreeMap::new(),
            members: BTreeMap::new(),
            holders: BTreeSet::new(),
            past: 0,
            line: Line::new(),
            exceeded: BTreeSet::new(),
            is_contested,
            last_key: 0,
        }
    }

    fn new_key(&mut self) -> Key {
        self.last_key += 1;
        self.last_key
    }

    pub(super) fn add_bound(&mut self, max: usize) -> Key {
        let key = self.new_key();
        let tally = Tally {
            name: "unnamed".into(),
            max,
            max_idle: usize::MAX,
            sums: Sums::default(),
        };
        self.bounds.insert(key, tally);
        key
    }

    /// No pool is below it any more.
    pub(super) fn remove_bound(&mut self, key: Key) {
        self.bounds.remove(&key);
        self.exceeded.remove(&key);
    }

    pub(super) fn bound(&self, key: Key) -> &Tally {
        self.bounds
            .get(&key)
            .expect("pools and narrower bounds keep the bounds they are within")
    }

    pub(super) fn bound_mut(&mut self, key: Key) -> &mut Tally {
        self.bounds
            .get_mut(&key)
            .expect("pools and narrower bounds keep the bounds they are within")
    }

    /// A pool with so many permits reserved; the bound where these are too many, if there is one.
    pub(super) fn add_member(
        &mut self,
        chain: &Arc<[Key]>,
        reserved: usize,
        standing: &Arc<AtomicU8>,
    ) -> Result<Key, Key> {
        let is_too_much = |&&bound: &&Key| {
            let Tally { max, sums, .. } = self.bound(bound);
            reserved > 0 && sums.reserved + reserved > *max
        };
        if let Some(bound) = chain.iter().find(is_too_much) {
            return Err(*bound);
        }
        let key = self.new_key();
        let member = Member {
            chain: Arc::clone(chain),
            pool: None,
            account: Account::default(),
            standing: Arc::clone(standing),
            idle_after: 0,
            refills_since: None,
            waits_at: None,
        };
        self.members.insert(key, member);
        self.change(key, |account| account.reserved = reserved);
        Ok(key)
    }

    pub(super) fn member(&self, key: Key) -> &Member {
        self.members
            .get(&key)
            .expect("a membership keeps its account")
    }

    pub(super) fn member_mut(&mut self, key: Key) -> &mut Member {
        self.members
            .get_mut(&key)
            .expect("a membership keeps its account")
    }

    pub(super) fn account(&self, key: Key) -> &Account {
        &self.member(key).account
    }

    /// Changes an account and with it all sums that it is part of.
    pub(super) fn change(&mut self, key: Key, change: impl FnOnce(&mut Account)) {
        let member = self.member_mut(key);
        let before = member.account.sums();
        change(&mut member.account);
        let (now, held) = (member.account.sums(), member.account.held);
        let place = (member.idle_after, key);
        if held == 0 {
            member.idle_after = 0;
        }
        let chain = Arc::clone(&member.chain);
        for &bound in &*chain {
            self.bound_mut(bound).sums.replace(before, now);
        }
        if held > 0 {
            self.holders.insert(place);
        } else {
            self.holders.remove(&place);
        }
    }

    /// The holder behind `last`, or the first.
    pub(super) fn next_holder(&self, last: Option<(u64, Key)>) -> Option<(u64, Key)> {
        let behind = last.map_or(Unbounded, Excluded);
        self.holders.range((behind, Unbounded)).next().copied()
    }

    /// Notes what a look at a holder's connections showed.
    pub(super) fn note_idle_after(&mut self, key: Key, at: u64) {
        let member = self.member_mut(key);
        let before = std::mem::replace(&mut member.idle_after, at);
        if self.holders.remove(&(before, key)) {
            self.holders.insert((at, key));
        }
    }

    /// The narrowest bound that permits the pool no more than it has; with `soon`, none even once all that is promised
    /// is done.
    pub(super) fn full_at(&self, key: Key, soon: bool) -> Option<Key> {
        let Member { chain, account, .. } = self.member(key);
        let held = if soon {
            account.held_soon()
        } else {
            account.held
        };
        let is_entitled = held < account.reserved;
        chain.iter().copied().find(|&bound| {
            let Tally { max, sums, .. } = self.bound(bound);
            let load = if soon { sums.soon } else { sums.now };
            load.held >= *max || !(is_entitled || load.committed < *max)
        })
    }

    pub(super) fn status(&self, key: Key) -> BudgetStatus {
        let Tally {
            name,
            max,
            max_idle,
            sums,
        } = self.bound(key);
        let below = |(_, waiting): &(u64, Key)| self.member(*waiting).chain.contains(&key);
        BudgetStatus {
            name: Arc::clone(name),
            max_connections: *max,
            max_idle: Some(*max_idle).filter(|max_idle| *max_idle != usize::MAX),
            connections: sums.now.held,
            reserved: sums.now.committed - sums.now.held,
            waiting: self.line.iter().filter(below).count(),
        }
    }
}
