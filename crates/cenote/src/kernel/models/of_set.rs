//! Pools over a set of endpoints: leases are counted where their slots are, and an endpoint that may not serve has none.

use super::*;

/// A set of endpoints with so many idle connections each; all are drawn.
fn set_of(connections: &[usize]) -> (Pool, Vec<EndpointNumber>) {
    let core = Core::new(Model, 8, Order::Balanced);
    let numbers = connections.iter().map(|connections| {
        let number = core.add_endpoint().expect("a set has endpoints");
        assert!(core.admit(number, Admission::Drawn).is_empty());
        (0..*connections).for_each(|_| connect_to(&core, number));
        number
    });
    let numbers = numbers.collect();
    (core, numbers)
}

const ROOM: Room = Room {
    max_size: u32::MAX,
    max_opening: u32::MAX,
};

fn connect_to(core: &Pool, number: EndpointNumber) {
    if let Some(opening) = core.open_at(number, usize::MAX, &ROOM) {
        release(opening.fill(0));
    }
}

/// No leases are out, nobody waits, and each endpoint has so many connections, by all counts.
#[track_caller]
fn assert_counts(core: &Pool, expected: &[(EndpointNumber, u32)]) {
    let endpoints = core.endpoints().expect("a set has endpoints");
    for (number, connections) in expected {
        let record = endpoints.record(*number);
        assert_eq!((record.in_flight(), record.open()), (0, *connections));
    }
    let all: u32 = expected.iter().map(|(_, connections)| connections).sum();
    let demand = core.demand();
    let waiters = demand.waiters + demand.aimed;
    assert_eq!((demand.occupied, waiters), (all as usize, 0));
}

/// As [`take_turn`], if a connection is idle.
fn take_turn_at_once(core: &Pool) {
    if let Some(mut token) = core.claim() {
        touch(&mut token);
        give_back(token);
    }
}

/// Takes a connection of this endpoint, and of no other: at once, or in the queue; none if it ceases to serve.
fn take_turn_at(core: &Pool, number: EndpointNumber) {
    let claimed = core.claim_aimed(number);
    let taken = claimed.map_or_else(|| wait_at(core, number), Ok);
    let Ok(mut token) = taken else {
        return;
    };
    touch(&mut token);
    assert_eq!(core.endpoint_of(token.index() as usize), Some(number));
    give_back(token);
}

fn wait_at(core: &Pool, number: EndpointNumber) -> Result<SlotToken<Model>, ()> {
    block_on(async {
        let waiter = pin!(Waiter::new(core, 0));
        let mut queued = false;
        poll_fn(|cx| {
            if queued {
                return waiter.as_ref().poll(cx);
            }
            queued = true;
            let waiter = waiter.as_ref();
            match waiter.join_for(Some(number), cx.waker(), u64::MAX, usize::MAX) {
                JoinOutcome::Granted(token) => Poll::Ready(Ok(token)),
                JoinOutcome::Queued { .. } => Poll::Pending,
                _ => Poll::Ready(Err(())),
            }
        })
        .await
    })
}

fn close_all(excess: Vec<SlotToken<Model>>) {
    excess.into_iter().for_each(drop);
}

#[test]
fn leases_of_two_endpoints_are_counted_exactly_beside_a_waiter() {
    explore_within(1, || {
        let (core, numbers) = set_of(&[1, 1]);
        let held = core.claim().unwrap();
        let (caller, other) = (core.clone(), core.clone());
        race([
            party(move || take_turn(&caller)),
            party(move || take_turn(&other)),
            party(move || give_back(held)),
        ]);
        assert_counts(&core, &[(numbers[0], 1), (numbers[1], 1)]);
    });
}

/// A caller has read that the slot is one endpoint's, and claims it when it is another's.
#[test]
fn a_lease_is_counted_at_the_endpoint_that_its_slot_is_of_by_then() {
    explore_within(2, || {
        let (core, numbers) = set_of(&[1, 0]);
        let [first, second] = numbers[..] else {
            unreachable!("two were added");
        };
        let (user, changer) = (core.clone(), core.clone());
        race([
            party(move || take_turn_at_once(&user)),
            party(move || {
                if let Some(token) = changer.claim() {
                    drop(token);
                    connect_to(&changer, second);
                }
            }),
        ]);
        let is_moved = core.endpoints().unwrap().record(second).open();
        assert_counts(&core, &[(first, 1 - is_moved), (second, is_moved)]);
    });
}

#[test]
fn an_endpoint_that_is_barred_keeps_nothing_and_strands_nobody() {
    explore_within(1, || {
        let (core, numbers) = set_of(&[1, 1]);
        let (barred, other) = (numbers[0], numbers[1]);
        let held = core.claim().unwrap();
        let (remover, caller) = (core.clone(), core.clone());
        race([
            party(move || close_all(remover.admit(barred, Admission::Barred))),
            party(move || give_back(held)),
            party(move || take_turn(&caller)),
        ]);
        assert_counts(&core, &[(barred, 0), (other, 1)]);
        assert!(core.forget_endpoint(barred));
    });
}

#[test]
fn a_dial_to_an_endpoint_that_is_barred_meanwhile_leaves_nothing() {
    explore_within(2, || {
        let (core, numbers) = set_of(&[0, 1]);
        let (barred, other) = (numbers[0], numbers[1]);
        let opening = core.open_at(barred, usize::MAX, &ROOM).unwrap();
        let (remover, user) = (core.clone(), core.clone());
        race([
            party(move || release(opening.fill(0))),
            party(move || close_all(remover.admit(barred, Admission::Barred))),
            party(move || take_turn_at_once(&user)),
        ]);
        assert_counts(&core, &[(barred, 0), (other, 1)]);
    });
}

/// A face takes connections of the endpoint that it chose itself, while others come back and others wait.
#[test]
fn a_claim_of_one_endpoint_leaves_those_who_wait_the_others() {
    explore_within(1, || {
        let (core, numbers) = set_of(&[1, 1]);
        let held = core.claim().unwrap();
        let (caller, face, wanted) = (core.clone(), core.clone(), numbers[0]);
        race([
            party(move || take_turn(&caller)),
            party(move || {
                if let Some(mut token) = face.claim_of(wanted) {
                    touch(&mut token);
                    assert_eq!(face.endpoint_of(token.index() as usize), Some(wanted));
                    give_back(token);
                }
            }),
            party(move || give_back(held)),
        ]);
        assert_counts(&core, &[(numbers[0], 1), (numbers[1], 1)]);
    });
}

/// A caller has chosen an endpoint, whose number is another's when it looks there.
#[test]
fn a_late_reader_counts_at_the_endpoint_that_has_the_number_by_then() {
    explore_within(2, || {
        let (core, numbers) = set_of(&[1]);
        let gone = numbers[0];
        let (user, changer) = (core.clone(), core.clone());
        race([
            party(move || take_turn_at_once(&user)),
            party(move || {
                close_all(changer.admit(gone, Admission::Barred));
                if changer.forget_endpoint(gone) {
                    assert_eq!(changer.add_endpoint(), Some(gone));
                }
                changer.admit(gone, Admission::Drawn);
                connect_to(&changer, gone);
            }),
        ]);
        let open = core.endpoints().unwrap().record(gone).open();
        assert_counts(&core, &[(gone, open)]);
    });
}

#[test]
fn an_endpoint_aside_serves_nobody_and_its_return_to_service_serves_who_waits() {
    explore_within(2, || {
        let (core, numbers) = set_of(&[1]);
        let number = numbers[0];
        let (changer, caller) = (core.clone(), core.clone());
        race([
            party(move || {
                changer.admit(number, Admission::Aside);
                changer.admit(number, Admission::Drawn);
            }),
            party(move || take_turn(&caller)),
        ]);
        assert_counts(&core, &[(number, 1)]);
    });
}

#[test]
fn what_is_laid_aside_is_closed_with_its_pool() {
    explore_within(2, || {
        let (core, numbers) = set_of(&[1]);
        let number = numbers[0];
        let held = core.claim().unwrap();
        let (changer, closer) = (core.clone(), core.clone());
        race([
            party(move || drop(changer.admit(number, Admission::Aside))),
            party(move || give_back(held)),
            party(move || {
                closer.close(|| ());
                let excess = closer.reserve_excess();
                excess.into_iter().for_each(|(token, _)| drop(token));
            }),
        ]);
        assert_counts(&core, &[(number, 0)]);
    });
}

#[test]
fn upkeep_has_what_is_laid_aside_and_gives_it_back_there() {
    explore_within(3, || {
        let (core, numbers) = set_of(&[1]);
        let number = numbers[0];
        core.admit(number, Admission::Aside);
        let (keeper, changer) = (core.clone(), core.clone());
        race([
            party(move || {
                let seen = keeper.slot(0).map(|(word, ())| word).unwrap();
                if let Some(token) = keeper.reserve(0, seen) {
                    keeper.release(token, IdleSince::Before);
                }
            }),
            party(move || drop(changer.admit(number, Admission::Drawn))),
        ]);
        assert_counts(&core, &[(number, 1)]);
        assert!(core.claim().is_some_and(|token| {
            give_back(token);
            true
        }));
    });
}

#[test]
fn two_dials_do_not_pass_the_bound_of_an_endpoint() {
    explore_within(3, || {
        let (core, numbers) = set_of(&[0]);
        let number = numbers[0];
        race([0, 1].map(|_| {
            let core = core.clone();
            party(move || {
                let room = Room {
                    max_size: 1,
                    max_opening: u32::MAX,
                };
                if let Some(opening) = core.open_at(number, usize::MAX, &room) {
                    release(opening.fill(0));
                }
            })
        }));
        assert_counts(&core, &[(number, 1)]);
    });
}

/// The shelf of a set is cleared while one of its endpoints is set aside.
#[test]
fn a_shelf_that_is_cleared_leaves_what_is_laid_aside_where_it_is() {
    explore_within(2, || {
        let (core, numbers) = set_of(&[1, 1]);
        let (first, second) = (numbers[0], numbers[1]);
        let held = [core.claim().unwrap(), core.claim().unwrap()];
        // Sets up the shelf.
        {
            let waiter = pin!(Waiter::new(&core, 0));
            waitlist(waiter.as_ref());
        }
        let changer = core.clone();
        let [one, other] = held;
        race([
            party(move || give_back(one)),
            party(move || {
                give_back(other);
            }),
            party(move || drop(changer.admit(first, Admission::Aside))),
        ]);
        let token = core.claim().expect("the other endpoint serves");
        assert!(core.claim().is_none(), "one is aside");
        give_back(token);
        core.admit(first, Admission::Spare);
        assert_counts(&core, &[(first, 1), (second, 1)]);
        let both = [core.claim().unwrap(), core.claim().unwrap()];
        both.into_iter().for_each(give_back);
    });
}

/// Trap T4: who waits at one endpoint is served by what comes back there, while others lease the rest without the lock.
#[test]
fn a_waiter_at_one_endpoint_is_served_beside_users_of_the_other() {
    explore_within(2, || {
        let (core, numbers) = set_of(&[1, 1]);
        let (wanted, other) = (numbers[0], numbers[1]);
        let held = core.claim_aimed(wanted).unwrap();
        let (caller, user) = (core.clone(), core.clone());
        race([
            party(move || take_turn_at(&caller, wanted)),
            party(move || take_turn_at_once(&user)),
            party(move || give_back(held)),
        ]);
        assert_counts(&core, &[(wanted, 1), (other, 1)]);
    });
}

/// What comes back is for both, who wait in different queues.
#[test]
fn one_who_waits_for_any_and_one_who_waits_at_the_endpoint_are_both_served() {
    explore_within(1, || {
        let (core, numbers) = set_of(&[1]);
        let held = core.claim().unwrap();
        let (any, aimed, number) = (core.clone(), core.clone(), numbers[0]);
        race([
            party(move || take_turn(&any)),
            party(move || take_turn_at(&aimed, number)),
            party(move || give_back(held)),
        ]);
        assert_counts(&core, &[(number, 1)]);
    });
}

#[test]
fn two_who_wait_at_one_endpoint_are_both_served() {
    explore_within(1, || {
        let (core, numbers) = set_of(&[1]);
        let held = core.claim().unwrap();
        let (one, other, number) = (core.clone(), core.clone(), numbers[0]);
        race([
            party(move || take_turn_at(&one, number)),
            party(move || take_turn_at(&other, number)),
            party(move || give_back(held)),
        ]);
        assert_counts(&core, &[(number, 1)]);
    });
}

#[test]
fn who_waits_at_an_endpoint_that_ceases_to_serve_is_served_or_sent_away() {
    explore_within(2, || {
        let (core, numbers) = set_of(&[1]);
        let number = numbers[0];
        let held = core.claim().unwrap();
        let (caller, remover) = (core.clone(), core.clone());
        race([
            party(move || take_turn_at(&caller, number)),
            party(move || close_all(remover.admit(number, Admission::Barred))),
            party(move || give_back(held)),
        ]);
        assert_counts(&core, &[(number, 0)]);
    });
}

/// A caller has read that the slot is the endpoint's that it wants, and claims it when it is another's.
#[test]
fn a_late_claim_at_one_endpoint_gives_another_s_connection_back() {
    explore_within(2, || {
        let (core, numbers) = set_of(&[1, 0]);
        let (first, second) = (numbers[0], numbers[1]);
        let (user, changer) = (core.clone(), core.clone());
        race([
            party(move || {
                if let Some(token) = user.claim_aimed(first) {
                    assert_eq!(user.endpoint_of(token.index() as usize), Some(first));
                    give_back(token);
                }
            }),
            party(move || {
                if let Some(token) = changer.claim() {
                    drop(token);
                    connect_to(&changer, second);
                }
            }),
        ]);
        let is_moved = core.endpoints().unwrap().record(second).open();
        assert_counts(&core, &[(first, 1 - is_moved), (second, is_moved)]);
    });
}

#[test]
fn one_who_leaves_as_it_is_granted_leaves_the_connection_to_the_next() {
    explore_within(2, || {
        let (core, numbers) = set_of(&[1]);
        let number = numbers[0];
        let held = core.claim().unwrap();
        let (leaver, caller) = (core.clone(), core.clone());
        race([
            party(move || {
                let waiter = pin!(Waiter::new(&leaver, 0));
                let waker = Waker::noop();
                let waiter = waiter.as_ref();
                if let JoinOutcome::Granted(token) =
                    waiter.join_for(Some(number), waker, u64::MAX, usize::MAX)
                {
                    give_back(token);
                }
            }),
            party(move || take_turn_at(&caller, number)),
            party(move || give_back(held)),
        ]);
        assert_counts(&core, &[(number, 1)]);
    });
}

#[test]
fn who_waits_at_an_endpoint_of_a_paused_pool_is_served_when_that_resumes() {
    explore_within(2, || {
        let (core, numbers) = set_of(&[1]);
        let number = numbers[0];
        core.pause();
        let (caller, resumer) = (core.clone(), core.clone());
        race([
            party(move || take_turn_at(&caller, number)),
            party(move || resumer.resume()),
        ]);
        assert_counts(&core, &[(number, 1)]);
    });
}
