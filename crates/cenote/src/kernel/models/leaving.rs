//! Waiters that leave: cancelled against granted.

use super::*;

/// Queues, and leaves at once if it was not served.
fn come_and_leave(core: &Pool) {
    let waiter = pin!(Waiter::new(core, 0));
    let mut cx = Context::from_waker(Waker::noop());
    if let Poll::Ready(Ok(token)) = join_or_poll(waiter.as_ref(), &mut false, &mut cx) {
        give_back(token);
    }
}

/// sqlx #622: a waiter that was granted a connection and leaves passes it on.
#[test]
fn a_waiter_that_leaves_passes_its_grant_on() {
    explore(|| {
        let core = pool(1);
        let token = core.claim().unwrap();
        let (quitter, caller) = (core.clone(), core.clone());
        race([
            party(move || come_and_leave(&quitter)),
            party(move || take_turn(&caller)),
            party(move || give_back(token)),
        ]);
        assert_quiet(&core, 1);
    });
}

/// Its turn may have been taken and not told yet: then it has the connection, not a time-out.
#[test]
fn a_waiter_that_gives_up_learns_what_came_first() {
    explore(|| {
        let core = pool(1);
        let token = core.claim().unwrap();
        let quitter = core.clone();
        race([
            party(move || {
                let waiter = pin!(Waiter::new(&quitter, 0));
                let mut cx = Context::from_waker(Waker::noop());
                let served = match join_or_poll(waiter.as_ref(), &mut false, &mut cx) {
                    Poll::Ready(outcome) => Some(outcome),
                    Poll::Pending => waiter.as_ref().leave(),
                };
                if let Some(Ok(mut token)) = served {
                    touch(&mut token);
                    give_back(token);
                }
            }),
            party(move || give_back(token)),
        ]);
        assert_quiet(&core, 1);
    });
}

/// The age of the oldest waiter is read in its future, which may be about to go.
#[test]
fn the_oldest_waiter_is_looked_at_while_it_leaves_or_is_served() {
    explore(|| {
        let core = pool(1);
        let token = core.claim().unwrap();
        let (quitter, onlooker) = (core.clone(), core.clone());
        race([
            party(move || come_and_leave(&quitter)),
            party(move || assert_ne!(onlooker.demand().oldest, Some(1))),
            party(move || give_back(token)),
        ]);
        assert_quiet(&core, 1);
    });
}

#[test]
fn two_that_leave_disturb_neither_each_other_nor_the_one_behind() {
    explore(|| {
        let core = pool(1);
        let token = core.claim().unwrap();
        let (first, second) = (core.clone(), core.clone());
        race([
            party(move || come_and_leave(&first)),
            party(move || come_and_leave(&second)),
            party(move || give_back(token)),
        ]);
        assert_quiet(&core, 1);
    });
}

#[test]
fn a_waiter_that_leaves_leaves_the_pool_as_open_as_it_was() {
    explore(|| {
        let core = pool(1);
        let token = core.claim().unwrap();
        come_and_leave(&core);
        give_back(token);
        give_back(core.claim().expect("idle, and nobody waits"));
    });
}

#[test]
fn a_refusal_and_a_leave_do_not_miss_each_other() {
    explore(|| {
        let core = pool(1);
        let token = core.claim().unwrap();
        let (quitter, refuser) = (core.clone(), core.clone());
        race([
            party(move || come_and_leave(&quitter)),
            party(move || refuser.refuse_all(|| ())),
        ]);
        give_back(token);
        assert_quiet(&core, 1);
    });
}

#[test]
fn the_refusal_of_all_leaves_the_pool_open() {
    explore(|| {
        let core = pool(1);
        let token = core.claim().unwrap();
        let waiter = pin!(Waiter::new(&core, 0));
        waitlist(waiter.as_ref());
        core.refuse_all(|| ());
        assert!(served(waiter.as_ref()).unwrap().is_err());
        give_back(token);
        give_back(core.claim().expect("idle, and nobody waits"));
    });
}
