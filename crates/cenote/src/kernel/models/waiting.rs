//! Getters that wait, and those who serve them.

use super::*;

#[test]
fn two_threads_take_turns_on_one_connection() {
    explore(|| {
        let core = pool(1);
        race([0, 1].map(|_| {
            let core = core.clone();
            party(move || {
                if let Some(mut held) = core.claim() {
                    touch(&mut held);
                    give_back(held);
                }
            })
        }));
        assert_quiet(&core, 1);
    });
}

/// bb8 #122, vitess #17662: a getter asleep beside an idle connection.
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
        let getter = core.clone();
        race([
            party(move || take_turn(&getter)),
            party(move || give_back(first)),
            party(move || give_back(second)),
        ]);
        assert_quiet(&core, 2);
    });
}

/// The word changes under the eyes of a getter that is about to queue: claimed, given back, and claimed.
#[test]
fn a_getter_that_queues_while_others_come_and_go_is_served() {
    explore(|| {
        let core = pool(1);
        let (user, getter) = (core.clone(), core.clone());
        race([
            party(move || {
                for _ in 0..2 {
                    if let Some(mut held) = user.claim() {
                        touch(&mut held);
                        give_back(held);
                    }
                }
            }),
            party(move || {
                let mut held = wait(&getter).unwrap();
                touch(&mut held);
                give_back(held);
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
        let held = core.claim().unwrap();
        let getter = core.clone();
        race([
            party(move || {
                let ticket = pin!(Ticket::new(&getter));
                let mut stale = Context::from_waker(Waker::noop());
                let mut queued = false;
                let held = match join_or_poll(ticket.as_ref(), &mut queued, &mut stale) {
                    Poll::Ready(outcome) => outcome,
                    Poll::Pending => block_on(poll_fn(|cx| ticket.as_ref().poll(cx))),
                };
                give_back(held.unwrap());
            }),
            party(move || give_back(held)),
        ]);
        assert_quiet(&core, 1);
    });
}

/// sqlx #4349, rama's MultiplexPool: a connection that ends must wake who should act next.
#[test]
fn a_connection_that_ends_is_replaced_for_the_waiter() {
    explore(|| {
        let core = pool(1);
        let held = core.claim().unwrap();
        let getter = core.clone();
        race([
            party(move || give_back(get_or_connect(&getter))),
            party(move || drop(held)),
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
