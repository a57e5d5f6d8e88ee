//! Those who wait at endpoints, on one thread: against a naive line of all, and what endpoints give up for them.

use std::pin::Pin;
use std::task::Waker;

use fastrand::Rng;

use super::set_tests::{Least, ROOM, number_of};
use super::*;

type Pool = Arc<Core<Least>>;
type BoxedWaiter<'a> = Pin<Box<Waiter<'a, Least>>>;

/// Who waits, for any connection or for one of an endpoint, in the order of arrival.
type Waiting<'a> = Vec<(Option<EndpointNumber>, BoxedWaiter<'a>)>;

/// A set of so many endpoints that serve, with `max_size` connections at most.
fn set_of<const N: usize>(max_size: usize) -> (Pool, [EndpointNumber; N]) {
    let core = Core::new(Least, max_size, Order::Balanced);
    let numbers = [(); N].map(|()| core.add_endpoint().expect("a set has endpoints"));
    for number in numbers {
        core.admit(number, Admission::Drawn);
    }
    (core, numbers)
}

/// Opens a connection of this endpoint, which is idle then.
fn open_at(core: &Pool, number: EndpointNumber) {
    let opening = core.open_at(number, 8, &ROOM).expect("there is room");
    let opened = core.release(opening.fill(()), IdleSince::Now);
    assert!(matches!(opened, Release::Kept));
}

/// One who waits for a connection of this endpoint.
fn queued_at(core: &Pool, number: EndpointNumber) -> BoxedWaiter<'_> {
    let waiter = Box::pin(Waiter::new(core, 0));
    let waker = Waker::noop();
    let joined = waiter.as_ref().join_for(Some(number), waker, u64::MAX, 9);
    assert!(matches!(joined, JoinOutcome::Queued { .. }));
    waiter
}

/// What waiters that are served at endpoints should look like: a line of all, of whom each connection serves the first that
/// may have it.
fn play_waiting(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let (core, numbers) = set_of::<3>(64);
    let mut held: Vec<SlotToken<Least>> = Vec::new();
    let mut waiting: Waiting<'_> = Vec::new();
    // Who comes first of those who may have a connection of this endpoint, and has it by now.
    let take_served = |waiting: &mut Waiting<'_>, number: EndpointNumber| {
        let may_have = |aim: &Option<EndpointNumber>| aim.is_none_or(|aim| aim == number);
        let first = waiting.iter().position(|(aim, _)| may_have(aim))?;
        let (_, waiter) = waiting.remove(first);
        match waiter.as_ref().leave() {
            Some(Ok(token)) => Some(token),
            _ => panic!("seed {seed}: the first was not served"),
        }
    };
    for _ in 0..400 {
        let number = numbers[rng.usize(..3)];
        let aim = rng.bool().then_some(number);
        match rng.u32(..12) {
            0..2 => {
                if let Some(opening) = core.open_at(number, 64, &ROOM) {
                    let token = opening.fill(());
                    assert!(matches!(core.release(token, IdleSince::Now), Release::Kept));
                    held.extend(take_served(&mut waiting, number));
                }
            }
            2..6 => {
                let mut waiter = Box::pin(Waiter::new(&core, 0));
                let claimed = match aim {
                    Some(number) => core.claim_aimed(number),
                    None => core.claim(),
                };
                let joined = claimed.map_or_else(
                    || {
                        waiter
                            .as_mut()
                            .as_ref()
                            .join_for(aim, Waker::noop(), u64::MAX, 99)
                    },
                    JoinOutcome::Granted,
                );
                match joined {
                    JoinOutcome::Granted(token) => {
                        let of = number_of(&core, &token);
                        assert!(aim.is_none_or(|aim| aim == of));
                        let passed = waiting
                            .iter()
                            .find(|(aim, _)| aim.is_none_or(|aim| aim == of));
                        assert!(
                            passed.is_none(),
                            "seed {seed}: a newcomer passed one who waits"
                        );
                        held.push(token);
                    }
                    JoinOutcome::Queued { .. } => waiting.push((aim, waiter)),
                    _ => panic!("seed {seed}: it may wait"),
                }
            }
            6..9 if !held.is_empty() => {
                let token = held.swap_remove(rng.usize(..held.len()));
                let of = number_of(&core, &token);
                if let Err(token) = token.release() {
                    assert!(matches!(core.release(token, IdleSince::Now), Release::Kept));
                    held.extend(take_served(&mut waiting, of));
                }
            }
            9 if !held.is_empty() => {
                drop(held.swap_remove(rng.usize(..held.len())));
            }
            10 if !waiting.is_empty() => {
                let (_, waiter) = waiting.remove(rng.usize(..waiting.len()));
                assert!(waiter.as_ref().leave().is_none());
            }
            11 if rng.bool() => {
                core.pause();
                core.resume();
            }
            11 => {
                // It ceases to serve, and does so again.
                for token in core.admit(number, Admission::Barred) {
                    drop(token);
                }
                waiting.retain(|(aim, waiter)| {
                    let is_sent_away = *aim == Some(number);
                    let left = is_sent_away.then(|| waiter.as_ref().leave());
                    assert!(left.is_none_or(|left| matches!(left, Some(Err(())))));
                    !is_sent_away
                });
                core.admit(number, Admission::Drawn);
            }
            _ => {}
        }
        let endpoints = core.endpoints().expect("a set has endpoints");
        for number in &numbers {
            let record = endpoints.record(*number);
            let at_it = waiting.iter().filter(|(aim, _)| *aim == Some(*number));
            assert_eq!(record.waiting() as usize, at_it.count());
            let may_have = |aim: &Option<EndpointNumber>| aim.is_none_or(|aim| aim == *number);
            let is_waited_for = waiting.iter().any(|(aim, _)| may_have(aim));
            assert!(
                !is_waited_for || !record.has_idle(),
                "seed {seed}: somebody waits beside an idle connection"
            );
        }
        let demand = core.demand();
        assert_eq!(demand.waiters + demand.aimed, waiting.len());
    }
}

#[test]
fn those_who_wait_for_any_and_at_endpoints_are_served_in_the_order_they_came() {
    for seed in 0..300 {
        play_waiting(seed);
    }
}

/// Trap T4: one who waits at one endpoint sends nobody else through the lock.
#[test]
fn the_gate_stays_open_for_all_others_while_one_waits_at_an_endpoint() {
    let (core, [a, b]) = set_of(8);
    open_at(&core, a);
    open_at(&core, b);
    let held = core.claim_aimed(a).expect("it is idle");
    let _waiter = queued_at(&core, a);
    assert_eq!(core.gate.load(Ordering::Relaxed), GATE_SET);
    let other = core.claim().expect("the other is idle");
    assert_eq!(number_of(&core, &other), b);
    assert!(other.release().is_ok(), "without the lock");
    assert!(held.release().is_err(), "through the ledger");
}

/// One that was sent away has not come before those who arrive meanwhile: it is none of those who are let in though as many
/// wait as may.
#[test]
fn one_that_is_sent_away_as_it_comes_is_refused_where_as_many_wait_as_may() {
    let core = Core::new(Least, 8, Order::Balanced);
    let number = core.add_endpoint().expect("a set has endpoints");
    let waiter = Box::pin(Waiter::new(&core, 0));
    let join = |aim| {
        let waker = Waker::noop();
        waiter.as_ref().join_for(aim, waker, u64::MAX, 0)
    };
    assert!(matches!(join(Some(number)), JoinOutcome::SentAway));
    assert!(matches!(join(None), JoinOutcome::Full));
}

#[test]
fn an_endpoint_gives_up_a_connection_once_those_are_served_who_came_before() {
    let (core, [a, b]) = set_of(1);
    open_at(&core, a);
    let held = core.claim_aimed(a).expect("it is idle");
    // The second came between two that wait where the connection is.
    let waiters = [a, b, a].map(|number| queued_at(&core, number));
    let idle = core.give_one_up(a, b);
    assert!(idle.is_none(), "it is leased");
    assert!(matches!(core.release(held, IdleSince::Now), Release::Kept));
    let Some(Ok(first)) = waiters[0].as_ref().leave() else {
        panic!("the first is served");
    };
    let given_up = core.release(first, IdleSince::Now);
    assert!(matches!(given_up, Release::Excess(_, Excess::GivenUp)));
    drop(given_up);
    assert!(waiters[2].as_ref().leave().is_none(), "it came later");
}

#[test]
fn an_endpoint_gives_no_connection_up_for_callers_who_have_left() {
    let (core, [a, b]) = set_of(1);
    open_at(&core, a);
    let held = core.claim_aimed(a).expect("it is idle");
    let waiter = queued_at(&core, b);
    assert!(core.give_one_up(a, b).is_none(), "it is leased");
    assert!(waiter.as_ref().leave().is_none());
    assert!(matches!(core.release(held, IdleSince::Now), Release::Kept));
}

/// Else it would be opened anew for them, and given up again, as often as it can be opened.
#[test]
fn an_endpoint_gives_a_connection_up_that_nobody_waits_for_once_those_are_served_who_wait_for_its_own()
 {
    let (core, [a, b]) = set_of(1);
    let opening = core.open_at(a, 8, &ROOM).expect("there is room");
    let waiter = queued_at(&core, a);
    let idle = core.give_one_up(a, b);
    assert!(idle.is_none(), "it is being opened");
    let opened = core.release(opening.fill(()), IdleSince::Now);
    assert!(matches!(opened, Release::Kept));
    let Some(Ok(served)) = waiter.as_ref().leave() else {
        panic!("it is served");
    };
    let given_up = core.release(served, IdleSince::Now);
    assert!(matches!(given_up, Release::Excess(_, Excess::GivenUp)));
}
