//! Callers that wait, and those who serve them.

use super::*;

#[test]
fn two_threads_take_turns_on_one_connection() {
    explore(|| {
        let core = pool(1);
        race([0, 1].map(|_| {
            let core = core.clone();
            party(move || {
                if let Some(mut token) = core.claim() {
                    touch(&mut token);
                    give_back(token);
                }
            })
        }));
        assert_quiet(&core, 1);
    });
}

/// bb8 #122, vitess #17662: a caller asleep beside an idle connection.
#[test]
fn a_getter_is_never_left_beside_an_idle_connection() {
    explore(|| {
        let core = pool(1);
        race([0, 1].map(|_| {
            let core = core.clone();
            party(move || take_turn(&core))
        }));
        assert_quiet(&core, 1);
    });
}

#[test]
fn two_returns_serve_two_waiters() {
    explore(|| {
        let core = pool(2);
        let (first, second) = (core.claim().unwrap(), core.claim().unwrap());
        let caller = core.clone();
        race([
            party(move || take_turn(&caller)),
            party(move || give_back(first)),
            party(move || give_back(second)),
        ]);
        assert_quiet(&core, 2);
    });
}

/// The word changes under the eyes of a caller that is about to queue: claimed, given back, and claimed.
#[test]
fn a_getter_that_queues_while_others_come_and_go_is_served() {
    explore(|| {
        let core = pool(1);
        let (user, caller) = (core.clone(), core.clone());
        race([
            party(move || {
                for _ in 0..2 {
                    if let Some(mut token) = user.claim() {
                        touch(&mut token);
                        give_back(token);
                    }
                }
            }),
            party(move || {
                let mut token = wait(&caller).unwrap();
                touch(&mut token);
                give_back(token);
            }),
        ]);
        assert_quiet(&core, 1);
    });
}

/// A future that moves between tasks, and every blocking get: queued with one waker, it waits with another.
#[test]
fn a_waiter_is_woken_through_its_newest_waker() {
    explore(|| {
        let core = pool(1);
        let token = core.claim().unwrap();
        let caller = core.clone();
        race([
            party(move || {
                let waiter = pin!(Waiter::new(&caller, 0));
                let mut stale = Context::from_waker(Waker::noop());
                let mut queued = false;
                let token = match join_or_poll(waiter.as_ref(), &mut queued, &mut stale) {
                    Poll::Ready(outcome) => outcome,
                    Poll::Pending => block_on(poll_fn(|cx| waiter.as_ref().poll(cx))),
                };
                give_back(token.unwrap());
            }),
            party(move || give_back(token)),
        ]);
        assert_quiet(&core, 1);
    });
}

/// sqlx #4349, rama's MultiplexPool: a connection that ends must wake who should act next.
#[test]
fn a_connection_that_ends_is_replaced_for_the_waiter() {
    explore(|| {
        let core = pool(1);
        let token = core.claim().unwrap();
        let caller = core.clone();
        race([
            party(move || give_back(get_or_connect(&caller))),
            party(move || drop(token)),
        ]);
        assert_eq!(core.demand().occupied, 1);
    });
}

#[test]
fn a_dial_that_fails_counts_no_more() {
    explore(|| {
        let core = Core::new(Model, 1, Order::Local);
        drop(core.open(1).unwrap());
        let demand = core.demand();
        assert_eq!((demand.occupied, demand.opening), (0, 0));
        assert!(core.open(1).is_some());
    });
}

/// Handed on while others wait, a lease comes back through the ledger; and it is a lease of its own.
#[test]
fn a_lease_handed_on_is_handed_on_again() {
    explore(|| {
        let core = pool(1);
        let token = core.claim().unwrap();
        let (first, second) = (pin!(Waiter::new(&core, 0)), pin!(Waiter::new(&core, 0)));
        waitlist(first.as_ref());
        waitlist(second.as_ref());
        let word = |core: &Pool| core.slots().next().unwrap().1;
        let before = word(&core).generation();
        give_back(token);
        assert_eq!(word(&core).generation(), before + 1);
        give_back(served(first.as_ref()).unwrap().unwrap());
        assert_eq!(word(&core).state(), State::Leased);
        // The last in line is the last to be told to report.
        give_back(served(second.as_ref()).unwrap().unwrap());
        assert_quiet(&core, 1);
    });
}

/// From a dial or a check a connection goes to a waiter as a lease, not as the pool's own.
#[test]
fn what_the_pool_had_in_hand_is_handed_on_as_a_lease() {
    explore(|| {
        let core = pool(1);
        let token = core.claim().unwrap();
        token.reserve();
        let waiter = pin!(Waiter::new(&core, 0));
        waitlist(waiter.as_ref());
        release(token);
        assert_eq!(states(&core), [State::Leased]);
        // Somebody has waited: it comes back through the ledger, and the next lease with one compare-and-swap.
        let Err(token) = served(waiter.as_ref()).unwrap().unwrap().release() else {
            panic!("released past the ledger");
        };
        release(token);
        assert!(core.claim().unwrap().release().is_ok());
        assert_quiet(&core, 1);
    });
}

fn join(waiter: Pin<&Waiter<'_, Model>>, deadline: u64) -> JoinOutcome<Model> {
    waiter.join(Waker::noop(), deadline, 1)
}

#[test]
fn the_bound_on_waiters_spares_whose_turn_it_was() {
    explore(|| {
        let core = pool(1);
        let token = core.claim().unwrap();
        let (early, first) = (pin!(Waiter::new(&core, 0)), pin!(Waiter::new(&core, 0)));
        let late = pin!(Waiter::new(&core, 0));
        // It was given a connection that will prove dead.
        early.arrive();
        let queued = |joined| matches!(joined, JoinOutcome::Queued { .. });
        assert!(queued(join(first.as_ref(), 0)));
        assert!(matches!(join(late.as_ref(), 0), JoinOutcome::Full));
        assert!(queued(join(early.as_ref(), 0)));
        give_back(token);
        assert!(served(first.as_ref()).is_none());
        give_back(served(early.as_ref()).unwrap().unwrap());
    });
}

/// The owner is asked to watch a deadline earlier than those it watches, and no other.
#[test]
fn a_deadline_is_watched_once_it_is_the_earliest() {
    explore(|| {
        let core = pool(1);
        let token = core.claim().unwrap();
        let waiters: [_; 5] = std::array::from_fn(|_| Box::pin(Waiter::new(&core, 0)));
        let arms = |waiter: usize, deadline: u64| {
            let waiter = waiters[waiter].as_ref();
            match waiter.join(Waker::noop(), deadline, usize::MAX) {
                JoinOutcome::Queued { arm, .. } => arm,
                _ => panic!("nothing is idle"),
            }
        };
        assert!(!arms(0, u64::MAX));
        assert!(arms(1, 10));
        assert!(!arms(2, 20));
        assert_eq!(core.refuse_due(10, || ()), Some(20));
        assert!(served(waiters[1].as_ref()).unwrap().is_err());
        // Between the one that is over and the next.
        assert!(arms(3, 15));
        core.refuse_all(|| ());
        assert!(arms(4, 99));
        assert_eq!(core.refuse_due(99, || ()), None);
        give_back(token);
        give_back(core.claim().expect("idle, and nobody waits"));
    });
}

/// A caller out of time against a connection that comes back.
#[test]
fn a_deadline_and_a_return_do_not_miss_each_other() {
    explore(|| {
        let core = pool(1);
        let token = core.claim().unwrap();
        let (caller, upkeep) = (core.clone(), core.clone());
        race([
            party(move || {
                let waiter = pin!(Waiter::new(&caller, 0));
                let mut queued = false;
                let outcome = block_on(poll_fn(|cx| {
                    if queued {
                        return waiter.as_ref().poll(cx);
                    }
                    queued = true;
                    match waiter.as_ref().join(cx.waker(), 1, usize::MAX) {
                        JoinOutcome::Granted(token) => Poll::Ready(Ok(token)),
                        JoinOutcome::Queued { .. } => Poll::Pending,
                        _ => unreachable!("open, and no bound"),
                    }
                }));
                if let Ok(mut token) = outcome {
                    touch(&mut token);
                    give_back(token);
                }
            }),
            party(move || {
                upkeep.refuse_due(1, || ());
            }),
            party(move || give_back(token)),
        ]);
        assert_quiet(&core, 1);
        assert!(core.claim().is_some());
    });
}

/// Roused while it is being served or refused, a waiter is woken for one or the other.
#[test]
fn who_is_roused_is_still_served() {
    explore(|| {
        let core = pool(1);
        let token = core.claim().unwrap();
        let (caller, upkeep) = (core.clone(), core.clone());
        race([
            party(move || take_turn(&caller)),
            party(move || upkeep.wake_waiters()),
            party(move || give_back(token)),
        ]);
        assert_quiet(&core, 1);
    });
}

/// As many dials as waiters and places, and no more.
#[test]
fn a_getter_is_told_to_dial_where_that_helps() {
    explore(|| {
        let core = Core::new(Model, 2, Order::Local);
        let waiters: [_; 3] = std::array::from_fn(|_| Box::pin(Waiter::new(&core, 0)));
        let grows = |waiter: usize| match waiters[waiter].as_ref().join(Waker::noop(), 0, 9) {
            JoinOutcome::Queued { may_grow, .. } => may_grow,
            _ => panic!("nothing is idle"),
        };
        let first = core.open(1).unwrap();
        assert!(core.open(1).is_none());
        // The dial under way is for this one.
        assert!(!grows(0));
        assert!(grows(1));
        let second = core.open(2).unwrap();
        assert!(core.open(9).is_none());
        assert!(!grows(2));
        drop((first, second));
    });
}

#[test]
fn a_connection_that_ends_before_anyone_had_it_counts_no_more() {
    explore(|| {
        let core = Core::new(Model, 1, Order::Local);
        let token = core.open(1).unwrap().fill(0);
        assert_eq!(states(&core), [State::Reserved]);
        assert_eq!(core.demand().opening, 0);
        drop(token);
        let demand = core.demand();
        assert_eq!((demand.occupied, demand.opening), (0, 0));
    });
}
