//! Who is served next. Every change of what is held, reserved or permitted ends in [`settle`](State::settle), but for what
//! is closed for a bound on idle connections: that is settled once it is given back.

use std::sync::Arc;

use super::accounts::{Key, State};
use super::member::{GRANTED, IN_LINE, OUT};
use super::{After, BudgetMember, Idle, Want};
use crate::policy::budget::{Returning, changes_hands, least_recently_used};
use crate::sync::Ordering::Relaxed;

type Pool = Arc<dyn BudgetMember>;

/// What came of a search for an idle connection.
struct Search {
    /// The pools that were looked at: no more than it took, or all if nothing is idle.
    pools: Vec<(Key, Pool)>,
    /// The connection that has been idle for longest, and its pool.
    idle: Option<(Key, Pool, Idle)>,
}

/// Where a connection may have become idle since pools in line were last served.
#[derive(Clone, Copy)]
enum Fresh {
    Nowhere,
    At(Key),
    Everywhere,
}

/// For whom a connection is to be closed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Pool(Key),
    /// For nobody: there are more than may be.
    TheBound,
    /// For nobody: more are idle than may be.
    FewerIdle,
}

/// No pool's coarse clock lags by more, in nanoseconds: it is the longest that a pool waits for a look that is due before
/// another keeper takes over.
const COARSE: u64 = 3_000_000_000;

impl State {
    /// Whether the pool may open one more. If not, it is in line, where it wants to be: it is woken when it may.
    pub(super) fn ask(&mut self, key: Key, now: u64, want: &Want, after: &mut After) -> bool {
        if self.account(key).granted > 0 {
            self.change(key, |account| account.granted -= 1);
            if self.account(key).granted == 0 {
                self.member(key).standing.store(OUT, Relaxed);
            }
            return true;
        }
        if self.take(key, after) {
            return true;
        }
        let refills = self.account(key).is_entitled().then_some(now);
        match want.oldest.or(refills) {
            // The next is asked for when the dial under way is over: `vacated` or its success see to it.
            Some(since) if !want.is_opening => {
                self.member_mut(key).refills_since = refills;
                self.line.enter(key, since);
                self.member(key).standing.store(IN_LINE, Relaxed);
                self.is_contested.store(true, Relaxed);
                self.settle(Fresh::Nowhere, after);
            }
            _ => {
                self.leave(key);
                self.settle(Fresh::Nowhere, after);
            }
        }
        false
    }

    /// A permit for the pool, if there is room; it stays out of line.
    pub(super) fn take(&mut self, key: Key, after: &mut After) -> bool {
        let has_room = self.full_at(key, false).is_none();
        if has_room {
            self.leave(key);
            self.change(key, |account| account.held += 1);
            self.grew(key);
            self.settle(Fresh::Nowhere, after);
        }
        has_room
    }

    /// The pool wants no more than it has; what it was granted is for others.
    pub(super) fn withdraw(&mut self, key: Key, after: &mut After) {
        self.leave(key);
        self.change(key, |account| {
            account.held -= account.granted;
            account.granted = 0;
        });
        self.settle(Fresh::Nowhere, after);
    }

    /// A slot of the pool is vacant again.
    pub(super) fn give_back(&mut self, key: Key, after: &mut After) {
        self.change(key, |account| {
            account.held -= 1;
            // If it was another, the one that is leaving counts as staying until it is gone.
            account.leaving = account.leaving.saturating_sub(1);
            // It may have been one that was counted as idle.
            account.idle = account.idle.min(account.held);
        });
        self.settle(Fresh::Nowhere, after);
    }

    /// A connection of the pool may have become idle.
    pub(super) fn idled(&mut self, key: Key, after: &mut After) {
        self.settle(Fresh::At(key), after);
    }

    /// So many of the pool's connections are idle at `now`: those that are too many below a bound are closed, least recently
    /// used first.
    pub(super) fn counted_idle(&mut self, key: Key, idle: usize, now: u64, after: &mut After) {
        self.change(key, |account| account.idle = idle);
        // What becomes idle from now on does so later than this, by whichever pool's coarse clock.
        self.past = self.past.max(now.saturating_sub(COARSE));
        let chain = Arc::clone(&self.member(key).chain);
        for &bound in &*chain {
            while self.bound(bound).has_too_many_idle() {
                let whom = For::FewerIdle;
                let search = self.find_idle(bound, whom, Fresh::Everywhere, after);
                let Some((key, pool, idle)) = search.idle else {
                    break;
                };
                // Else it was leased in that instant: the next look is soon enough for another.
                let Some(close) = pool.reserve(&idle) else {
                    break;
                };
                after.close.push(close);
                self.close_idle_for(whom, key);
            }
        }
    }

    /// The pool is no more.
    pub(super) fn remove_member(&mut self, key: Key, after: &mut After) {
        self.leave(key);
        self.change(key, |account| *account = Default::default());
        self.members.remove(&key);
        self.settle(Fresh::Nowhere, after);
    }

    pub(super) fn resize(&mut self, key: Key, max: usize, after: &mut After) {
        self.bound_mut(key).max = max;
        // What was promised may be too much by now.
        let promised: Vec<_> = self.line.iter().map(|(_, waiting)| waiting).collect();
        for waiting in promised {
            self.change(waiting, |account| account.is_promised = false);
        }
        if self.bound(key).is_exceeded() {
            self.exceeded.insert(key);
            self.is_contested.store(true, Relaxed);
        }
        self.settle(Fresh::Everywhere, after);
    }

    /// Whether the connection that comes back to the pool is to be closed, for the bound or for another pool.
    /// `own_waiter`: since when the pool's own oldest waiter waits.
    pub(super) fn claims(
        &mut self,
        key: Key,
        returning: impl FnOnce(u64) -> Returning,
        after: &mut After,
    ) -> bool {
        // A pool that is in line by then does wait, and for what comes back.
        self.settle(Fresh::Nowhere, after);
        let chain = Arc::clone(&self.member(key).chain);
        let is_excess = |&bound: &Key| {
            self.exceeded.contains(&bound) && self.can_spare(key, bound, For::TheBound)
        };
        if chain.iter().any(is_excess) {
            self.close_for(For::TheBound, key);
            self.settle(Fresh::Nowhere, after);
            return true;
        }
        let first = self.line.iter().find(|(_, other)| {
            let waits_at = self.member(*other).waits_at;
            waits_at.is_some_and(|bound| self.can_spare(key, bound, For::Pool(*other)))
        });
        let Some((since, other)) = first else {
            return false;
        };
        let changes = changes_hands(&returning(since));
        if changes {
            self.close_for(For::Pool(other), key);
        }
        changes
    }

    /// Serves those in line, as far as there is room, and has idle connections closed for the others.
    fn settle(&mut self, fresh: Fresh, after: &mut After) {
        self.shed(fresh, after);
        let mut last = None;
        while let Some(place @ (since, key)) = self.line.next(last) {
            last = Some(place);
            self.past = self.past.max(since);
            let Some(oldest) = self.oldest_waiter(key, after) else {
                // A promise to it is free for those before it, too.
                if self.account(key).is_promised {
                    last = None;
                }
                self.leave(key);
                continue;
            };
            if oldest > since {
                // The one it came for waits no longer.
                self.line.enter(key, oldest);
                continue;
            }
            if self.full_at(key, false).is_none() {
                if self.grant(key, after) {
                    last = None;
                }
                continue;
            }
            if self.account(key).is_promised {
                continue;
            }
            let Some(bound) = self.full_at(key, true) else {
                // Enough are leaving.
                self.promise(key);
                continue;
            };
            let fresh = match self.member(key).waits_at {
                Some(asked) if asked == bound => fresh,
                _ => Fresh::Everywhere,
            };
            if self.close_idle(bound, For::Pool(key), fresh, after) {
                continue;
            }
            self.member_mut(key).waits_at = Some(bound);
            let is_root = self.member(key).chain.last() == Some(&bound);
            if is_root && self.bound(bound).is_full_soon() {
                // Nor is there anything for those behind it.
                break;
            }
        }
        let is_contested = !(self.line.is_empty() && self.exceeded.is_empty());
        self.is_contested.store(is_contested, Relaxed);
    }

    /// Has idle connections closed until no bound is exceeded, or none is idle.
    fn shed(&mut self, fresh: Fresh, after: &mut After) {
        for bound in self.exceeded.clone() {
            while self.bound(bound).is_exceeded()
                && self.close_idle(bound, For::TheBound, fresh, after)
            {}
            if !self.bound(bound).is_exceeded() {
                self.exceeded.remove(&bound);
            }
        }
    }

    /// Has the least recently used idle connection below `bound` closed. If there is none, every lease of those looked
    /// at comes back to be claimed.
    fn close_idle(&mut self, bound: Key, whom: For, fresh: Fresh, after: &mut After) -> bool {
        let pools = loop {
            let Search { pools, idle } = self.find_idle(bound, whom, fresh, after);
            let Some((key, pool, idle)) = idle else {
                break pools;
            };
            // Else it was leased in that instant.
            if let Some(close) = pool.reserve(&idle) {
                after.close.push(close);
                self.close_idle_for(whom, key);
                return true;
            }
        };
        for (key, pool) in &pools {
            // It came back in that instant.
            if let Some(close) = pool.reserve_or_mark() {
                after.close.push(close);
                self.close_idle_for(whom, *key);
                return true;
            }
        }
        after
            .give_up
            .extend(pools.into_iter().map(|(_, pool)| pool));
        false
    }

    /// Looks for the connection that has been idle for longest, of the pools below `bound` that can spare one.
    fn find_idle(&mut self, bound: Key, whom: For, fresh: Fresh, after: &mut After) -> Search {
        let (mut pools, mut found, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        let (mut last, mut earliest) = (None, u64::MAX);
        loop {
            let next = match fresh {
                Fresh::Nowhere => None,
                Fresh::At(key) => Some((0, key)).filter(|_| last.is_none()),
                Fresh::Everywhere => self.next_holder(last),
            };
            // Of none behind it has a connection been idle for longer than one that was found.
            let Some((_, key)) = next.filter(|(idle_after, _)| *idle_after < earliest) else {
                break;
            };
            last = next;
            if !self.can_spare(key, bound, whom) {
                continue;
            }
            let Some(pool) = self.pool(key, after) else {
                continue;
            };
            let idle = pool.least_recently_used();
            seen.push((key, idle.as_ref().map_or(self.past, |idle| idle.since)));
            if let Some(idle) = idle {
                earliest = earliest.min(idle.since);
                found.push((idle.since, (key, Arc::clone(&pool), idle)));
            }
            pools.push((key, pool));
        }
        for (key, idle_after) in seen {
            self.note_idle_after(key, idle_after);
        }
        Search {
            pools,
            idle: least_recently_used(found.into_iter()),
        }
    }

    /// Whether a connection of the pool `key` can be closed, for whom and the room it makes at `bound`.
    fn can_spare(&self, key: Key, bound: Key, whom: For) -> bool {
        let member = self.member(key);
        let sums = &self.bound(bound).sums;
        let can_keep_promises = sums.reserved <= self.bound(bound).max;
        let is_spare = match whom {
            For::TheBound if !can_keep_promises => member.account.held > member.account.leaving,
            For::FewerIdle => {
                member.account.is_spare() && member.account.idle > member.account.reserved
            }
            _ => member.account.is_spare(),
        };
        is_spare && whom != For::Pool(key) && member.chain.contains(&bound)
    }

    /// An idle connection of the pool `key` is being closed.
    fn close_idle_for(&mut self, whom: For, key: Key) {
        self.change(key, |account| account.idle = account.idle.saturating_sub(1));
        self.close_for(whom, key);
    }

    /// A connection of the pool `key` is being closed.
    fn close_for(&mut self, whom: For, key: Key) {
        self.change(key, |account| account.leaving += 1);
        if let For::Pool(other) = whom {
            self.promise(other);
        }
    }

    /// One that is leaving is leaving for the pool.
    fn promise(&mut self, key: Key) {
        self.change(key, |account| account.is_promised = true);
        self.member_mut(key).waits_at = None;
    }

    /// Gives the pool in line a permit and wakes it; whether those in line have to look again.
    fn grant(&mut self, key: Key, after: &mut After) -> bool {
        let pool = self.pool(key, after);
        self.leave(key);
        let Some(pool) = pool else {
            return true;
        };
        self.change(key, |account| {
            account.held += 1;
            account.granted += 1;
        });
        self.member(key).standing.store(GRANTED, Relaxed);
        after.wake.push(pool);
        self.grew(key)
    }

    /// A pool has one permit more; whether those in line have to look again.
    fn grew(&mut self, key: Key) -> bool {
        let is_revoked = self.revoke_overbooked(key);
        // If that is more than what is reserved for it, its connections are to be had, of which others were to have
        // none.
        if self.account(key).reserved == 0 {
            return is_revoked;
        }
        let waiting: Vec<_> = self.line.iter().map(|(_, waiting)| waiting).collect();
        for &key in &waiting {
            self.member_mut(key).waits_at = None;
        }
        !waiting.is_empty()
    }

    /// The permit that the pool has now may be the one that was to come free for another: the youngest of those is in
    /// line with nothing promised again. True if there was one.
    fn revoke_overbooked(&mut self, key: Key) -> bool {
        let chain = Arc::clone(&self.member(key).chain);
        let mut is_revoked = false;
        for &bound in &*chain {
            while self.bound(bound).is_overbooked() {
                let promised = self.line.iter().filter(|(_, other)| {
                    let member = self.member(*other);
                    member.account.is_promised && member.chain.contains(&bound)
                });
                let Some((_, youngest)) = promised.last() else {
                    break;
                };
                self.change(youngest, |account| account.is_promised = false);
                is_revoked = true;
            }
        }
        is_revoked
    }

    /// Since when the pool waits for a permit, if it does.
    fn oldest_waiter(&mut self, key: Key, after: &mut After) -> Option<u64> {
        let pool = self.pool(key, after)?;
        let member = self.member(key);
        // In this order: who queues after the look finds the pool out of line, and asks.
        member.standing.store(OUT, Relaxed);
        let refills = member
            .refills_since
            .filter(|_| member.account.is_entitled());
        let oldest = pool.oldest_waiter().into_iter().chain(refills).min()?;
        member.standing.store(IN_LINE, Relaxed);
        Some(oldest)
    }

    fn leave(&mut self, key: Key) {
        self.line.leave(key);
        self.change(key, |account| account.is_promised = false);
        let member = self.member_mut(key);
        member.standing.store(OUT, Relaxed);
        member.refills_since = None;
        member.waits_at = None;
    }

    /// The pool, unless it is gone. `after` keeps the reference: it may be the last.
    fn pool(&self, key: Key, after: &mut After) -> Option<Arc<dyn BudgetMember>> {
        let pool = self.member(key).pool.as_ref()?.upgrade()?;
        after.looked_at.push(Arc::clone(&pool));
        Some(pool)
    }
}
