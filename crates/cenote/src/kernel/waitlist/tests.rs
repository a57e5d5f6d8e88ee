//! The ring as a data structure: order, numbers, and what is left of those who leave.

use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Wake};

use super::*;
use crate::kernel::tests::Least;
use crate::kernel::token::GrantedToken;
use crate::kernel::{Arc, BoxedWaiter, Core, JoinOutcome, Order, Waiter};

type TokenCell = WaiterCell<GrantedToken<Least>, u32>;
type TokenList = Waitlist<GrantedToken<Least>, u32>;
type Waiters = Vec<Pin<Box<TokenCell>>>;

fn waiters(count: usize) -> Waiters {
    (0..count).map(|_| Box::pin(WaiterCell::new(0))).collect()
}

fn join(waitlist: &mut TokenList, waiter: &Pin<Box<TokenCell>>, deadline: u64) {
    waitlist.arrive(waiter);
    waitlist.join(waiter.as_ref(), Waker::noop().clone(), deadline);
}

/// A queue with all of `waiters` in it, the deadline of each its index.
fn queue_of(waiters: &Waiters) -> TokenList {
    let mut waitlist = Waitlist::new();
    for (index, waiter) in waiters.iter().enumerate() {
        join(&mut waitlist, waiter, index as u64);
    }
    waitlist
}

/// What each was told, of those who were.
fn told(waiters: &Waiters) -> Vec<Option<u32>> {
    let refusal = |waiter: &Pin<Box<TokenCell>>| waiter.as_ref().outcome()?.err();
    waiters.iter().map(refusal).collect()
}

fn refuse_rest(waitlist: &mut TokenList) {
    let mut popped = 0;
    let count = |popped: &mut u32| {
        *popped += 1;
        *popped
    };
    drop(waitlist.refuse_all(|| count(&mut popped)));
    assert_eq!((waitlist.len(), waitlist.entries.len()), (0, 0));
}

#[test]
fn turns_come_in_the_order_of_arrival() {
    let waiters = waiters(3);
    let mut waitlist = queue_of(&waiters);
    refuse_rest(&mut waitlist);
    assert_eq!(told(&waiters), [Some(1), Some(2), Some(3)]);
}

#[test]
fn who_leaves_is_passed_over() {
    let waiters = waiters(5);
    let mut waitlist = queue_of(&waiters);
    for leaver in [0, 2, 4] {
        assert!(waitlist.leave(waiters[leaver].as_ref()).is_ok());
    }
    assert_eq!(waitlist.len(), 2);
    refuse_rest(&mut waitlist);
    assert_eq!(told(&waiters), [None, Some(1), None, Some(2), None]);
}

/// Given connections that proved dead, they queue again: in the order in which they came at first,
/// whichever finds out first.
#[test]
fn who_queues_again_has_its_old_place() {
    let waiters = waiters(5);
    let mut waitlist = queue_of(&waiters);
    for served in &waiters[..3] {
        drop(waitlist.pop().unwrap().refuse(9));
        assert!(served.as_ref().outcome().is_some());
    }
    for again in [1, 2, 0] {
        join(&mut waitlist, &waiters[again], 0);
    }
    assert!(waitlist.leave(waiters[1].as_ref()).is_ok());
    refuse_rest(&mut waitlist);
    assert_eq!(told(&waiters), [Some(1), None, Some(2), Some(3), Some(4)]);
}

/// It found a connection at once, and that one proved dead: others have queued since.
#[test]
fn who_arrived_without_queueing_comes_before_who_queued_later() {
    let (early, late) = (waiters(1), waiters(1));
    let mut waitlist = Waitlist::new();
    waitlist.arrive(&early[0]);
    join(&mut waitlist, &late[0], 0);
    assert!(waitlist.is_first(&early[0]));
    join(&mut waitlist, &early[0], 0);
    refuse_rest(&mut waitlist);
    assert_eq!((told(&early), told(&late)), (vec![Some(1)], vec![Some(2)]));
}

#[test]
fn a_turn_taken_is_no_place_any_more() {
    let waiters = waiters(2);
    let mut waitlist = queue_of(&waiters);
    let popped = waitlist.pop().unwrap();
    assert!(waitlist.leave(waiters[0].as_ref()).is_err());
    drop(popped.refuse(7));
    assert_eq!(told(&waiters), [Some(7), None]);
    refuse_rest(&mut waitlist);
}

#[test]
fn what_is_due_ends_and_what_has_no_deadline_here_stays() {
    let (patient, waiters) = (waiters(1), waiters(4));
    let mut waitlist = Waitlist::new();
    join(&mut waitlist, &patient[0], u64::MAX);
    for (deadline, waiter) in (10..).zip(&waiters) {
        join(&mut waitlist, waiter, deadline);
    }
    let (wakers, next) = waitlist.refuse_due(11, || 0);
    assert_eq!((wakers.len(), next), (2, Some(12)));
    assert_eq!(told(&waiters), [Some(0), Some(0), None, None]);
    assert_eq!(waitlist.refuse_due(99, || 0).1, None);
    assert_eq!(waitlist.len(), 1);
    refuse_rest(&mut waitlist);
    assert_eq!(told(&patient), [Some(1)]);
}

/// One who waits for long does not keep the places of all who came and went behind it.
#[test]
fn the_ring_is_no_longer_than_those_who_wait_call_for() {
    let patient = waiters(1);
    let mut waitlist = queue_of(&patient);
    let mut before = waiters(1);
    join(&mut waitlist, &before[0], 0);
    for _ in 0..10_000 {
        let next = waiters(1);
        join(&mut waitlist, &next[0], 0);
        assert!(waitlist.leave(before[0].as_ref()).is_ok());
        before = next;
    }
    assert!(waitlist.entries.len() <= 2 * waitlist.len() + SLACK);
    refuse_rest(&mut waitlist);
    assert_eq!(
        (told(&patient), told(&before)),
        (vec![Some(1)], vec![Some(2)])
    );
}

/// One who waits to either side, and those between them are over, all at once.
#[test]
fn places_that_were_left_are_cleared_away_when_they_outnumber_the_taken_ones_and_64() {
    for (over, entries) in [(74, 84), (75, 10)] {
        let (patient, waiters) = (waiters(10), waiters(over));
        let mut waitlist = Waitlist::new();
        join(&mut waitlist, &patient[0], u64::MAX);
        waiters
            .iter()
            .for_each(|waiter| join(&mut waitlist, waiter, 5));
        patient[1..]
            .iter()
            .for_each(|waiter| join(&mut waitlist, waiter, u64::MAX));
        drop(waitlist.refuse_due(5, || 0));
        assert_eq!((waitlist.len(), waitlist.entries.len()), (10, entries));
        refuse_rest(&mut waitlist);
        drop((told(&patient), told(&waiters)));
    }
}

/// Room for 1,024 is kept for those who come next, and more as long as anybody waits.
#[test]
fn the_ring_is_made_small_only_when_it_is_large_and_empty() {
    let waiters = waiters(2);
    for (room, left) in [(1024, 1024), (1025, SLACK)] {
        let mut waitlist = Waitlist::new();
        waitlist.entries.reserve_exact(room);
        let room = waitlist.entries.capacity();
        waiters
            .iter()
            .for_each(|waiter| join(&mut waitlist, waiter, 0));
        assert!(waitlist.leave(waiters[0].as_ref()).is_ok());
        assert_eq!(waitlist.entries.capacity(), room);
        assert!(waitlist.leave(waiters[1].as_ref()).is_ok());
        assert_eq!(waitlist.entries.capacity(), left);
    }
}

#[test]
fn a_crowd_that_is_gone_leaves_no_memory_behind() {
    let crowd = waiters(10_000);
    let mut waitlist = queue_of(&crowd);
    refuse_rest(&mut waitlist);
    assert!(waitlist.entries.capacity() <= 16 * SLACK);
}

/// Its place may be in the ring still, between two who wait: it is nobody's.
#[test]
fn who_is_refused_between_others_has_left() {
    let waiters = waiters(3);
    let mut waitlist = Waitlist::new();
    for (waiter, deadline) in waiters.iter().zip([u64::MAX, 5, 9]) {
        join(&mut waitlist, waiter, deadline);
    }
    drop(waitlist.refuse_due(5, || 7));
    assert_eq!((waitlist.len(), waitlist.entries.len()), (2, 3));
    assert!(waitlist.leave(waiters[1].as_ref()).is_err());
    let renewed = waitlist.renew(waiters[1].as_ref(), Waker::noop().clone());
    assert!(renewed.is_err());
    refuse_rest(&mut waitlist);
    assert_eq!(told(&waiters), [Some(1), Some(7), Some(2)]);
}

/// The roused stay where they are, and are woken again only through the wakers they leave then.
#[test]
fn the_wakers_of_all_are_taken_once() {
    let waiters = waiters(3);
    let mut waitlist = queue_of(&waiters);
    assert!(waitlist.leave(waiters[1].as_ref()).is_ok());
    assert_eq!(waitlist.take_wakers().iter().flatten().count(), 2);
    assert_eq!(waitlist.take_wakers().iter().flatten().count(), 0);
    let waker = Waker::noop().clone();
    assert!(
        waitlist
            .renew(waiters[2].as_ref(), waker)
            .unwrap()
            .is_none()
    );
    let wakers = waitlist.refuse_all(|| 0);
    assert_eq!(wakers.iter().flatten().count(), 1);
    drop(told(&waiters));
}

/// A waker that counts how often it was dropped or woken under the ledger's lock.
struct Watch {
    core: Arc<Core<Least>>,
    locked: Arc<AtomicUsize>,
}

impl Watch {
    fn look(&self) {
        if self.core.ledger.try_lock().is_err() {
            self.locked.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        self.look();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.look();
    }
}

/// What may happen to one who waits.
type Act = fn(&Core<Least>, Pin<&Waiter<'_, Least>>);

#[test]
fn no_waker_is_woken_or_dropped_under_the_lock() {
    let locked = Arc::new(AtomicUsize::new(0));
    // Wakes all, and the waiter of `waiter` has its outcome or not.
    let acts: [Act; 6] = [
        |_, waiter| assert!(waiter.leave().is_none()),
        |_, waiter| {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(waiter.poll(&mut cx).is_pending());
        },
        |core, _| core.refuse_all(|| 0),
        |core, _| assert_eq!(core.refuse_due(5, || 0), None),
        |core, _| core.close(|| 0),
        |core, _| core.wake_waiters(),
    ];
    for act in acts {
        let core = Core::new(Least, 1, Order::Local);
        {
            let waiter = pin!(Waiter::new(&core, 0));
            let waker = Waker::from(Arc::new(Watch {
                core: core.clone(),
                locked: locked.clone(),
            }));
            let joined = waiter.as_ref().join(&waker, 5, 1);
            assert!(matches!(joined, JoinOutcome::Queued { .. }));
            // One in vain, and the last but that in the queue.
            let late = pin!(Waiter::new(&core, 0));
            assert!(matches!(
                late.as_ref().join(&waker, 5, 1),
                JoinOutcome::Full
            ));
            drop(waker);
            act(&core, waiter.as_ref());
        }
        assert_eq!(Arc::strong_count(&core), 1);
    }
    assert_eq!(locked.load(Ordering::Relaxed), 0);
}

/// Their numbers are the same, and each list knows its own.
#[test]
fn a_waiter_of_another_list_is_not_found() {
    let (one, other) = (waiters(1), waiters(1));
    let (mut first, mut second) = (queue_of(&one), queue_of(&other));
    assert!(first.leave(other[0].as_ref()).is_err());
    refuse_rest(&mut first);
    refuse_rest(&mut second);
    assert_eq!((told(&one), told(&other)), (vec![Some(1)], vec![Some(1)]));
}

/// A new boxed waiter, queued.
fn boxed(waitlist: &mut Waitlist<u32, u32>) -> BoxedWaiter<u32, u32> {
    let mut waiter = BoxedWaiter::new(0);
    assert!(waiter.arrive(waitlist));
    waiter.join(waitlist, Waker::noop().clone(), u64::MAX);
    waiter
}

#[test]
fn a_boxed_waiter_waits_wherever_it_is_moved() {
    let mut waitlist = Waitlist::<u32, u32>::new();
    let waiters = [7, 8, 9].map(|_| boxed(&mut waitlist));
    let [mut granted, mut leaves, mut refused] = waiters.map(Box::new).map(|waiter| *waiter);
    drop(waitlist.pop().map(|popped| popped.grant(1)));
    assert!(leaves.leave(&mut waitlist).is_ok());
    drop(waitlist.refuse_all(|| 2));
    assert_eq!(granted.outcome(), Some(Ok(1)));
    assert_eq!((leaves.outcome(), refused.outcome()), (None, Some(Err(2))));
}

/// A bug of its user's costs memory and a grant, nothing worse.
#[test]
fn a_boxed_waiter_that_is_dropped_while_it_queues_may_still_be_served() {
    let mut waitlist = Waitlist::<u32, u32>::new();
    drop(boxed(&mut waitlist));
    assert!(
        waitlist
            .pop()
            .is_some_and(|popped| popped.grant(1).is_some())
    );
}

/// Of a shared pool: the connection that it was granted a permit on proved dead.
#[test]
fn a_boxed_waiter_that_queues_again_comes_before_those_that_came_later() {
    let mut waitlist = Waitlist::<u32, u32>::new();
    let [mut first, mut second] = [1, 2].map(|_| boxed(&mut waitlist));
    drop(waitlist.pop().map(|popped| popped.grant(1)));
    assert_eq!((first.is_idle(), first.outcome()), (false, Some(Ok(1))));
    assert!(first.is_idle() && first.is_first(&waitlist) && !first.arrive(&mut waitlist));
    first.join(&mut waitlist, Waker::noop().clone(), u64::MAX);
    drop(waitlist.pop().map(|popped| popped.grant(2)));
    assert_eq!((first.outcome(), second.outcome()), (Some(Ok(2)), None));
    assert!(second.leave(&mut waitlist).is_ok());
}
