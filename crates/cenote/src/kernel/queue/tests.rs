//! The ring as a data structure: order, numbers, and what is left of those who leave.

use std::pin::pin;

use super::*;
use crate::kernel::{Arc, Core};

struct Least;

impl Owner for Least {
    type Entry = ();
    type Notes = ();
    type Refusal = u32;

    fn abort(held: &mut Held<Self>) {
        held.take();
    }
    fn is_wanted(_: &Core<Self>, (): &()) -> bool {
        true
    }
    fn vacated(_: &Arc<Core<Self>>) {}
    fn returned(_: Held<Self>, _: Option<&Core<Self>>) {}
    fn unclaimed(_: Held<Self>) {}
}

type Waiters = Vec<Pin<Box<Waiter<Least>>>>;

fn waiters(count: usize) -> Waiters {
    (0..count).map(|_| Box::pin(Waiter::new())).collect()
}

/// A queue with all of `waiters` in it, the deadline of each its index.
fn queue_of(waiters: &Waiters) -> Queue<Least> {
    let mut queue = Queue::new();
    for (index, waiter) in waiters.iter().enumerate() {
        queue.join(
            waiter.as_ref(),
            End::Back,
            Waker::noop().clone(),
            index as u64,
        );
    }
    queue
}

/// What each was told, of those who were.
fn told(waiters: &Waiters) -> Vec<Option<u32>> {
    let refusal = |waiter: &Pin<Box<Waiter<Least>>>| waiter.as_ref().outcome()?.err();
    waiters.iter().map(refusal).collect()
}

fn refuse_rest(queue: &mut Queue<Least>) {
    let mut turn = 0;
    let count = |turn: &mut u32| {
        *turn += 1;
        *turn
    };
    drop(queue.refuse_all(|| count(&mut turn)));
    assert_eq!((queue.len(), queue.places.len()), (0, 0));
}

#[test]
fn turns_come_in_the_order_of_arrival() {
    let waiters = waiters(3);
    let mut queue = queue_of(&waiters);
    refuse_rest(&mut queue);
    assert_eq!(told(&waiters), [Some(1), Some(2), Some(3)]);
}

#[test]
fn who_leaves_is_passed_over() {
    let waiters = waiters(5);
    let mut queue = queue_of(&waiters);
    for leaver in [0, 2, 4] {
        assert!(queue.leave(waiters[leaver].as_ref()).is_ok());
    }
    assert_eq!(queue.len(), 2);
    refuse_rest(&mut queue);
    assert_eq!(told(&waiters), [None, Some(1), None, Some(2), None]);
}

#[test]
fn who_joins_in_front_goes_first_and_is_found_again() {
    let (waiters, again) = (waiters(2), waiters(2));
    let mut queue = queue_of(&waiters);
    for waiter in &again {
        queue.join(waiter.as_ref(), End::Front, Waker::noop().clone(), 9);
    }
    assert!(queue.leave(again[0].as_ref()).is_ok());
    refuse_rest(&mut queue);
    assert_eq!(told(&again), [None, Some(1)]);
    assert_eq!(told(&waiters), [Some(2), Some(3)]);
}

/// A place given at the front has a number that was another's: that one does not take it for its own.
#[test]
fn a_place_is_not_taken_for_one_of_the_same_number() {
    let mut queue = Queue::new();
    let (served, other) = (pin!(Waiter::<Least>::new()), pin!(Waiter::new()));
    queue.join(served.as_ref(), End::Back, Waker::noop().clone(), 0);
    let turn = queue.pop().unwrap();
    queue.join(other.as_ref(), End::Front, Waker::noop().clone(), 0);
    assert!(queue.leave(served.as_ref()).is_err());
    drop(turn.refuse(7));
    assert_eq!(served.as_ref().outcome().unwrap().err(), Some(7));
    assert!(queue.leave(other.as_ref()).is_ok());
}

#[test]
fn what_is_due_ends_and_what_has_no_deadline_here_stays() {
    let (patient, waiters) = (waiters(1), waiters(4));
    let mut queue = Queue::new();
    queue.join(
        patient[0].as_ref(),
        End::Back,
        Waker::noop().clone(),
        u64::MAX,
    );
    for (deadline, waiter) in (10..).zip(&waiters) {
        queue.join(waiter.as_ref(), End::Back, Waker::noop().clone(), deadline);
    }
    let (wakers, next) = queue.refuse_due(11, || 0);
    assert_eq!((wakers.len(), next), (2, Some(12)));
    assert_eq!(told(&waiters), [Some(0), Some(0), None, None]);
    assert_eq!(queue.refuse_due(99, || 0).1, None);
    assert_eq!(queue.len(), 1);
    refuse_rest(&mut queue);
    assert_eq!(told(&patient), [Some(1)]);
}

/// One who waits for long does not keep the places of all who came and went behind it.
#[test]
fn the_ring_is_no_longer_than_those_who_wait_call_for() {
    let patient = waiters(1);
    let mut queue = queue_of(&patient);
    let mut before = waiters(1);
    queue.join(before[0].as_ref(), End::Back, Waker::noop().clone(), 0);
    for _ in 0..10_000 {
        let next = waiters(1);
        queue.join(next[0].as_ref(), End::Back, Waker::noop().clone(), 0);
        assert!(queue.leave(before[0].as_ref()).is_ok());
        before = next;
    }
    assert!(queue.places.len() <= 2 * queue.len() + SLACK);
    refuse_rest(&mut queue);
    assert_eq!(
        (told(&patient), told(&before)),
        (vec![Some(1)], vec![Some(2)])
    );
}

#[test]
fn a_crowd_that_is_gone_leaves_no_memory_behind() {
    let crowd = waiters(10_000);
    let mut queue = queue_of(&crowd);
    refuse_rest(&mut queue);
    assert!(queue.places.capacity() <= 16 * SLACK);
}
