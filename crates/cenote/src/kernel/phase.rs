//! Changes to the whole pool: its size, whether it gives leases, and the end of waiting.

use super::ledger::{Ledger, Phase, TokenWaitlist};
use super::{Core, Owner};
use crate::sync::lock;
use crate::wake::wake_all;

impl<O: Owner> Core<O> {
    /// The caller then closes all that [`reserve_excess`](Self::reserve_excess) gives, or dials more.
    pub(crate) fn resize(&self, max_size: usize) {
        lock(&self.ledger).max_size = max_size;
    }

    /// No leases until [`resume`](Self::resume); callers queue.
    pub(crate) fn pause(&self) {
        let mut ledger = lock(&self.ledger);
        if ledger.phase == Phase::Open {
            ledger.phase = Phase::Paused;
            self.set_gate(&ledger);
        }
    }

    /// Serves the waiters that queued meanwhile, in order.
    pub(crate) fn resume(&self) {
        let mut wakers = Vec::new();
        {
            let mut ledger = lock(&self.ledger);
            if ledger.phase == Phase::Paused {
                ledger.phase = Phase::Open;
            }
            let mut slots = 0..self.bound();
            while ledger.phase == Phase::Open && ledger.waitlist.len() > 0 {
                let Some(mut token) = self.take_idle(&mut ledger, &mut slots) else {
                    break;
                };
                let popped = self.pass_to_waiter(&mut ledger, &mut token);
                let popped = popped.expect("somebody waits for any");
                wakers.push(popped.grant(token.into()));
            }
            if ledger.phase == Phase::Open {
                self.resume_aimed(&mut ledger, &mut wakers);
            }
            self.set_gate(&ledger);
        }
        wake_all(wakers.into_iter().flatten());
    }

    /// Refuses everyone, now and later. The caller then closes all that
    /// [`reserve_excess`](Self::reserve_excess) gives; leases come back through the ledger after that.
    pub(crate) fn close(&self, why: impl FnMut() -> O::Refusal) {
        {
            let mut ledger = lock(&self.ledger);
            ledger.phase = Phase::Closed;
            self.set_gate(&ledger);
        }
        self.refuse_all(why);
    }

    /// Refuses all waiters.
    pub(crate) fn refuse_all(&self, mut why: impl FnMut() -> O::Refusal) {
        let wakers = {
            let mut ledger = lock(&self.ledger);
            let mut wakers = ledger.waitlist.refuse_all(&mut why);
            self.each_aimed(&mut ledger, |waitlist| {
                wakers.extend(waitlist.refuse_all(&mut why));
            });
            ledger.armed = u64::MAX;
            self.set_gate(&ledger);
            wakers
        };
        wake_all(wakers.into_iter().flatten());
    }

    /// Refuses those whose deadline has come; the next deadline to watch, if any.
    pub(crate) fn refuse_due(&self, now: u64, mut why: impl FnMut() -> O::Refusal) -> Option<u64> {
        let (wakers, next) = {
            let mut ledger = lock(&self.ledger);
            let (mut wakers, mut next) = ledger.waitlist.refuse_due(now, &mut why);
            self.each_aimed(&mut ledger, |waitlist| {
                let (due, next_here) = waitlist.refuse_due(now, &mut why);
                wakers.extend(due);
                next = [next, next_here].into_iter().flatten().min();
            });
            ledger.armed = next.unwrap_or(u64::MAX);
            self.set_gate(&ledger);
            (wakers, next)
        };
        wake_all(wakers.into_iter().flatten());
        next
    }

    /// Wakes all waiters, which stay in the waitlist, so that each looks after itself.
    pub(crate) fn wake_waiters(&self) {
        let wakers = {
            let mut ledger = lock(&self.ledger);
            let mut wakers = ledger.waitlist.take_wakers();
            self.each_aimed(&mut ledger, |waitlist| {
                wakers.extend(waitlist.take_wakers())
            });
            wakers
        };
        wake_all(wakers.into_iter().flatten());
    }

    /// Under the lock: each waitlist of an endpoint, which loses waiters or none.
    fn each_aimed(&self, ledger: &mut Ledger<O>, each: impl FnMut(&mut TokenWaitlist<O>)) {
        if let (false, Some(endpoints)) = (ledger.aimed.is_empty(), self.endpoints.as_deref()) {
            ledger.aimed_each(endpoints, each);
        }
    }
}
