//! Changes to the whole pool: closed, resized, paused, its connections evicted.

use loom::sync::atomic::AtomicBool;

use super::*;

fn close(core: &Pool) {
    core.close(|| ());
    while core.reserve_surplus().is_some() {}
}

#[test]
fn a_close_and_a_return_leave_nothing_open() {
    explore(|| {
        let core = pool(1);
        let held = core.claim().unwrap();
        let closer = core.clone();
        race([
            party(move || close(&closer)),
            party(move || give_back(held)),
        ]);
        assert_eq!(core.demand().occupied, 0);
        assert!(core.claim().is_none());
    });
}

#[test]
fn a_close_ends_the_waiting() {
    explore(|| {
        let core = pool(1);
        let held = core.claim().unwrap();
        let (getter, closer) = (core.clone(), core.clone());
        race([
            party(move || assert!(get(&getter).is_err())),
            party(move || close(&closer)),
        ]);
        give_back(held);
        assert_eq!(core.demand().occupied, 0);
    });
}

/// deadpool: resizing down an underfilled pool left permits behind, and the cap was exceeded.
#[test]
fn a_resize_and_two_returns_leave_as_many_as_fit() {
    explore(|| {
        let core = pool(2);
        let (first, second) = (core.claim().unwrap(), core.claim().unwrap());
        let resizer = core.clone();
        race([
            party(move || give_back(first)),
            party(move || give_back(second)),
            party(move || {
                resizer.resize(1);
                while resizer.reserve_surplus().is_some() {}
            }),
        ]);
        assert_eq!(core.demand().occupied, 1);
        let idle = |state: &&State| **state == State::Idle;
        assert_eq!(states(&core).iter().filter(idle).count(), 1);
    });
}

#[test]
fn a_resume_serves_who_queued_while_a_return_passes_it() {
    explore(|| {
        let core = pool(1);
        let held = core.claim().unwrap();
        core.pause();
        let (getter, resumer) = (core.clone(), core.clone());
        race([
            party(move || take_turn(&getter)),
            party(move || resumer.resume()),
            party(move || give_back(held)),
        ]);
        assert_quiet(&core, 1);
    });
}

#[test]
fn a_return_to_a_paused_pool_serves_nobody_until_it_resumes() {
    explore(|| {
        let core = pool(1);
        let held = core.claim().unwrap();
        let ticket = pin!(Ticket::new(&core));
        let mut cx = Context::from_waker(Waker::noop());
        // Queued before the pause: the lease has its notice and comes back through the ledger.
        assert!(join_or_poll(ticket.as_ref(), &mut false, &mut cx).is_pending());
        core.pause();
        give_back(held);
        assert!(ticket.as_ref().poll(&mut cx).is_pending());
        assert_eq!(states(&core), [State::Idle]);
        core.resume();
        let Poll::Ready(Ok(held)) = ticket.as_ref().poll(&mut cx) else {
            panic!("resumed, but not served");
        };
        give_back(held);
    });
}

/// A pool whose connections can all become unwanted.
struct Choosy {
    evicting: AtomicBool,
}

impl Owner for Choosy {
    type Entry = u32;
    type Notes = ();
    type Refusal = ();

    fn abort(held: &mut Held<Self>) {
        held.take();
    }

    fn is_wanted(core: &Core<Self>, (): &()) -> bool {
        !core.owner.evicting.load(Ordering::Relaxed)
    }

    fn vacated(_: &Arc<Core<Self>>) {}

    fn returned(held: Held<Self>, _: Option<&Core<Self>>) {
        give_back(held);
    }

    fn unclaimed(held: Held<Self>) {
        give_back(held);
    }
}

impl Choosy {
    fn pool() -> Arc<Core<Self>> {
        let evicting = AtomicBool::new(false);
        let core = Core::new(Self { evicting }, 1, Order::Local);
        connect(&core);
        core
    }
}

fn evict(core: &Core<Choosy>) {
    core.owner.evicting.store(true, Ordering::Relaxed);
    core.recall().into_iter().for_each(settle);
}

#[test]
fn an_eviction_misses_no_connection_that_is_used_meanwhile() {
    explore(|| {
        let core = Choosy::pool();
        let (user, evictor) = (core.clone(), core.clone());
        race([
            party(move || {
                if let Some(held) = user.claim() {
                    give_back(held);
                }
            }),
            party(move || evict(&evictor)),
        ]);
        assert_eq!(core.demand().occupied, 0);
    });
}

#[test]
fn an_eviction_misses_no_connection_that_is_being_checked() {
    explore(|| {
        let core = Choosy::pool();
        let held = core.claim().unwrap();
        held.reserve();
        let (checker, evictor) = (core.clone(), core.clone());
        race([
            party(move || match checker.lend(held) {
                Ok(held) => give_back(held),
                Err(held) => settle(held),
            }),
            party(move || evict(&evictor)),
        ]);
        assert_eq!(core.demand().occupied, 0);
    });
}
