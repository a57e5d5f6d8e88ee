//! Changes to the whole pool: closed, resized, paused, its connections evicted.

use loom::sync::atomic::AtomicBool;

use super::*;

fn close(core: &Pool) {
    core.close(|| ());
    drop(core.reserve_excess());
}

#[test]
fn a_close_and_a_return_leave_nothing_open() {
    explore(|| {
        let core = pool(1);
        let token = core.claim().unwrap();
        let closer = core.clone();
        race([
            party(move || close(&closer)),
            party(move || give_back(token)),
        ]);
        assert_eq!(core.demand().occupied, 0);
        assert!(core.claim().is_none());
    });
}

#[test]
fn a_close_ends_the_waiting() {
    explore(|| {
        let core = pool(1);
        let token = core.claim().unwrap();
        let (caller, closer) = (core.clone(), core.clone());
        race([
            party(move || assert!(get(&caller).is_err())),
            party(move || close(&closer)),
        ]);
        give_back(token);
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
                drop(resizer.reserve_excess());
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
        let token = core.claim().unwrap();
        core.pause();
        let (caller, resumer) = (core.clone(), core.clone());
        race([
            party(move || take_turn(&caller)),
            party(move || resumer.resume()),
            party(move || give_back(token)),
        ]);
        assert_quiet(&core, 1);
    });
}

#[test]
fn a_return_to_a_paused_pool_serves_nobody_until_it_resumes() {
    explore(|| {
        let core = pool(1);
        let token = core.claim().unwrap();
        let waiter = pin!(Waiter::new(&core, 0));
        let mut cx = Context::from_waker(Waker::noop());
        // Queued before the pause: the lease has its mark and comes back through the ledger.
        assert!(join_or_poll(waiter.as_ref(), &mut false, &mut cx).is_pending());
        core.pause();
        give_back(token);
        assert!(waiter.as_ref().poll(&mut cx).is_pending());
        assert_eq!(states(&core), [State::Idle]);
        core.resume();
        let Poll::Ready(Ok(token)) = waiter.as_ref().poll(&mut cx) else {
            panic!("resumed, but not served");
        };
        give_back(token);
    });
}

#[test]
fn a_resume_serves_as_many_as_it_can_and_keeps_a_place_for_the_rest() {
    explore(|| {
        let core = pool(2);
        core.pause();
        assert!(core.claim().is_none());
        let [first, second, third] = std::array::from_fn(|_| Box::pin(Waiter::new(&core, 0)));
        for waiter in [&first, &second, &third] {
            waitlist(waiter.as_ref());
        }
        core.resume();
        let two = [&first, &second].map(|waiter| served(waiter.as_ref()).unwrap().unwrap());
        assert!(served(third.as_ref()).is_none());
        // Each of them is told to report, whichever comes back first.
        let [_kept, back] = two;
        give_back(back);
        give_back(served(third.as_ref()).unwrap().unwrap());
        assert_eq!(core.demand().waiters, 0);
        assert!(core.claim().is_some());
    });
}

#[test]
fn a_resume_with_nobody_waiting_opens_the_pool() {
    explore(|| {
        let core = pool(1);
        core.pause();
        assert!(core.claim().is_none());
        core.resume();
        give_back(core.claim().unwrap());
    });
}

#[test]
fn a_closed_pool_is_neither_paused_nor_resumed() {
    explore(|| {
        let core = pool(1);
        core.close(|| ());
        core.pause();
        core.resume();
        assert_eq!(core.demand().phase, Phase::Closed);
        assert!(core.claim().is_none());
    });
}

/// What the pool has in hand while it is paused, closed or too large does not become a lease unseen.
#[test]
fn what_is_lent_in_a_pool_that_changed_comes_back_through_the_ledger() {
    explore(|| {
        let core = pool(2);
        let (first, second) = (core.claim().unwrap(), core.claim().unwrap());
        first.reserve();
        second.reserve();
        core.pause();
        let Err(first) = core.relet(first) else {
            panic!("paused");
        };
        core.resume();
        core.resize(1);
        let Ok(first) = core.relet(first) else {
            panic!("open");
        };
        // Too many: each of them must be looked at when it comes back.
        give_back(first);
        assert_eq!(core.demand().occupied, 1);
        let Ok(second) = core.relet(second) else {
            panic!("open");
        };
        assert!(second.release().is_ok());
        assert_eq!(states(&core), [State::Vacant, State::Idle]);
    });
}

/// Connections on their way out make room: they are not counted as too many a second time.
#[test]
fn a_resize_closes_no_more_than_are_too_many() {
    explore(|| {
        let core = pool(3);
        core.resize(2);
        let (going, why) = core.reserve_excess().pop().unwrap();
        assert_eq!(why, Excess::OverSize);
        // Retired before, it is not retired again.
        core.mark_closing(&going);
        assert!(core.reserve_excess().is_empty());
        assert_eq!(core.demand().closing, 1);
        drop(going);
        let demand = core.demand();
        assert_eq!((demand.occupied, demand.closing), (2, 0));
    });
}

/// A pool whose connections can all become unwanted.
struct Choosy {
    evicting: AtomicBool,
}

impl Owner for Choosy {
    type Entry = u32;
    type SlotMeta = ();
    type Refusal = ();

    fn abort(token: &mut SlotToken<Self>) {
        token.take();
    }

    fn is_wanted(core: &Core<Self>, (): &()) -> bool {
        !core.owner.evicting.load(Ordering::Relaxed)
    }

    fn vacated(_: &Arc<Core<Self>>) {}

    fn returned(token: SlotToken<Self>, _: Option<&Core<Self>>) {
        give_back(token);
    }

    fn sent_away() {}
    fn return_unclaimed(token: SlotToken<Self>) {
        give_back(token);
    }
}

impl Choosy {
    fn pool(connections: usize) -> Arc<Core<Self>> {
        let evicting = AtomicBool::new(false);
        let core = Core::new(Self { evicting }, connections, Order::Local);
        (0..connections).for_each(|_| connect(&core));
        core
    }
}

fn evict(core: &Core<Choosy>) {
    core.owner.evicting.store(true, Ordering::Relaxed);
    core.recall().into_iter().for_each(release);
}

#[test]
fn an_eviction_misses_no_connection_that_is_used_meanwhile() {
    explore(|| {
        let core = Choosy::pool(1);
        let (user, evictor) = (core.clone(), core.clone());
        race([
            party(move || {
                if let Some(token) = user.claim() {
                    give_back(token);
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
        let core = Choosy::pool(1);
        let token = core.claim().unwrap();
        token.reserve();
        let (checker, evictor) = (core.clone(), core.clone());
        race([
            party(move || match checker.relet(token) {
                Ok(token) => give_back(token),
                Err(token) => release(token),
            }),
            party(move || evict(&evictor)),
        ]);
        assert_eq!(core.demand().occupied, 0);
    });
}

#[test]
fn an_eviction_misses_no_connection_on_the_shelf_or_off_it() {
    explore(|| {
        let core = Choosy::pool(2);
        let [shelved, leased] = [(); 2].map(|()| core.claim().unwrap());
        {
            let waiter = pin!(Waiter::new(&core, 0));
            let joined = waiter.as_ref().join(Waker::noop(), u64::MAX, 1);
            assert!(matches!(joined, JoinOutcome::Queued { .. }));
        }
        give_back(shelved);
        let (user, evictor) = (core.clone(), core.clone());
        race([
            // Clears the shelf.
            party(move || give_back(leased)),
            party(move || {
                if let Some(token) = user.claim() {
                    give_back(token);
                }
            }),
            party(move || evict(&evictor)),
        ]);
        assert_eq!(core.demand().occupied, 0);
    });
}

#[test]
fn an_eviction_leaves_nothing_in_the_order_of_the_idle() {
    explore(|| {
        let evicting = AtomicBool::new(false);
        let order = Order::Listed {
            newest_first: true,
            max_idle: usize::MAX,
        };
        let core = Core::new(Choosy { evicting }, 2, order);
        (0..2).for_each(|_| connect(&core));
        let leased = core.claim().unwrap();
        evict(&core);
        give_back(leased);
        assert_eq!(core.demand().occupied, 0);
        assert!(core.claim().is_none());
    });
}

/// What is recalled is the pool's own, no lease; and only the ledger takes it back.
#[test]
fn what_is_recalled_counts_as_no_lease() {
    explore(|| {
        let core = pool(1);
        let mut recalled = core.recall();
        assert_eq!(states(&core), [State::Reserved]);
        let Err(token) = recalled.pop().unwrap().release() else {
            panic!("released past the ledger");
        };
        release(token);
        let (index, seen, _) = core.slots().next().unwrap();
        let Err(token) = core.reserve(index, seen).unwrap().release() else {
            panic!("released past the ledger");
        };
        release(token);
        assert_quiet(&core, 1);
    });
}
