//! The shelf: set up by the first that finds nothing idle, cleared when nobody has waited for a while.

use super::*;

/// A pool of `connections`, all leased, of which the next that comes back is shelved: somebody has waited.
fn shelving<const N: usize>() -> (Pool, [SlotToken<Model>; N]) {
    let core = pool(N);
    let all = [(); N].map(|()| core.claim().unwrap());
    {
        let waiter = pin!(Waiter::new(&core, 0));
        waitlist(waiter.as_ref());
    }
    (core, all)
}

/// Of two connections, one on the shelf and one leased. The next return clears the shelf.
fn half_shelved() -> (Pool, SlotToken<Model>) {
    let (core, [shelved, leased]) = shelving();
    give_back(shelved);
    assert!(is_shelved(&core, 0));
    (core, leased)
}

fn is_shelved(core: &Pool, slot: usize) -> bool {
    let word = core.slots().nth(slot).unwrap().1;
    word.state() == State::Idle && word.is_marked()
}

/// Whether all is idle, and a lease comes back with one compare-and-swap.
#[track_caller]
fn assert_cleared(core: &Pool, connections: usize) {
    assert_quiet(core, connections);
    assert!((0..connections).all(|slot| !is_shelved(core, slot)));
    assert!(core.claim().unwrap().release().is_ok());
}

fn use_if_idle(core: &Pool) {
    if let Some(mut token) = core.claim() {
        touch(&mut token);
        give_back(token);
    }
}

#[test]
fn the_shelf_is_up_until_as_many_leases_came_back_as_there_are_slots() {
    explore(|| {
        let (core, [first, second]) = shelving();
        give_back(first);
        assert!(is_shelved(&core, 0));
        let first = core.claim().unwrap();
        let Err(first) = first.release() else {
            panic!("released past the ledger");
        };
        release(first);
        give_back(second);
        assert_cleared(&core, 2);
    });
}

/// Somebody waits again: what came back before counts no more.
#[test]
fn returns_before_the_last_wait_do_not_clear_the_shelf() {
    explore(|| {
        let (core, leased) = half_shelved();
        let shelved = core.claim().unwrap();
        {
            let waiter = pin!(Waiter::new(&core, 0));
            waitlist(waiter.as_ref());
        }
        give_back(shelved);
        assert!(is_shelved(&core, 0));
        give_back(leased);
        assert_cleared(&core, 2);
    });
}

/// What upkeep had for a moment tells nothing of how long nobody waited.
#[test]
fn what_upkeep_puts_back_does_not_clear_the_shelf() {
    explore(|| {
        let (core, leased) = half_shelved();
        for _ in 0..3 {
            let (index, seen, _) = core.slots().next().unwrap();
            let token = core.reserve(index, seen).unwrap();
            assert!(matches!(
                core.release(token, IdleSince::Before),
                Release::Kept
            ));
            assert!(is_shelved(&core, 0));
        }
        give_back(leased);
        assert_cleared(&core, 2);
    });
}

#[test]
fn the_shelf_is_set_up_and_cleared_against_users() {
    explore_within(2, || {
        let (core, [first, second]) = shelving();
        let (one, other) = (core.clone(), core.clone());
        race([
            party(move || {
                give_back(first);
                give_back(second);
            }),
            party(move || use_if_idle(&one)),
            party(move || take_turn(&other)),
        ]);
        assert_quiet(&core, 2);
    });
}

#[test]
fn a_shelf_that_is_cleared_hides_nothing_from_a_waiter_that_arrives() {
    explore(|| {
        let (core, leased) = half_shelved();
        let (first, second) = (core.clone(), core.clone());
        race([
            party(move || give_back(leased)),
            party(move || take_turn(&first)),
            party(move || take_turn(&second)),
        ]);
        assert_quiet(&core, 2);
    });
}

/// While the shelf is cleared, a caller that read the gate before goes for the free slots.
#[test]
fn a_connection_off_the_shelf_is_found_without_waiting() {
    explore(|| {
        let (core, leased) = half_shelved();
        let user = core.clone();
        race([
            party(move || give_back(leased)),
            party(move || {
                let mut token = user.claim().expect("one is idle all the time");
                touch(&mut token);
                give_back(token);
            }),
        ]);
        assert_quiet(&core, 2);
    });
}

/// Two who find nothing idle: the first sets the shelf up, the second waits behind it.
#[test]
fn a_shelf_that_is_set_up_keeps_nobody_waiting_beside_it() {
    explore_within(2, || {
        let core = pool(1);
        let token = core.claim().unwrap();
        let (first, second) = (core.clone(), core.clone());
        race([
            party(move || give_back(token)),
            party(move || take_turn(&first)),
            party(move || take_turn(&second)),
        ]);
        assert_cleared(&core, 1);
    });
}

/// Its idle period is the same on the shelf and off it.
#[test]
fn a_connection_seen_on_the_shelf_is_reserved_though_the_shelf_is_cleared_meanwhile() {
    explore(|| {
        let (core, leased) = half_shelved();
        let (index, seen, _) = core.slots().next().unwrap();
        let upkeep = core.clone();
        race([
            party(move || give_back(leased)),
            party(move || {
                let mut token = upkeep.reserve(index, seen).expect("nobody else wants it");
                touch(&mut token);
                release(token);
            }),
        ]);
        assert_quiet(&core, 2);
        assert!([(); 2].map(|()| core.claim()).iter().all(Option::is_some));
    });
}

#[test]
fn a_connection_seen_on_the_shelf_is_not_reserved_once_it_was_leased() {
    explore(|| {
        let (core, _leased) = half_shelved();
        let (index, seen, _) = core.slots().next().unwrap();
        let (user, upkeep) = (core.clone(), core.clone());
        race([
            party(move || use_if_idle(&user)),
            party(move || {
                if let Some(mut token) = upkeep.reserve(index, seen) {
                    assert_eq!(*token.entry(), 0, "leased since it was looked at");
                    touch(&mut token);
                    release(token);
                }
            }),
        ]);
        give_back(core.claim().expect("on the shelf, or off it"));
    });
}

/// Ended by upkeep, it is on no list, and its slot serves another connection.
#[test]
fn a_connection_removed_from_the_shelf_is_replaced_for_who_waits() {
    explore(|| {
        let (core, leased) = half_shelved();
        let (index, seen, _) = core.slots().next().unwrap();
        let (caller, upkeep) = (core.clone(), core.clone());
        race([
            party(move || drop(upkeep.reserve(index, seen))),
            party(move || give_back(get_or_connect(&caller))),
        ]);
        give_back(leased);
        assert_eq!(core.demand().waiters, 0);
        assert!(core.claim().is_some());
    });
}

#[test]
fn a_pause_finds_the_shelf_up_or_cleared_and_a_resume_serves_all() {
    explore_within(2, || {
        let (core, leased) = half_shelved();
        let (caller, pauser) = (core.clone(), core.clone());
        race([
            party(move || give_back(leased)),
            party(move || take_turn(&caller)),
            party(move || {
                pauser.pause();
                pauser.resume();
            }),
        ]);
        assert_quiet(&core, 2);
    });
}

/// Nobody is served from it, and those who wait are served from it first.
#[test]
fn a_paused_pool_keeps_what_is_on_its_shelf() {
    explore(|| {
        let (core, leased) = half_shelved();
        core.pause();
        assert!(core.claim().is_none());
        let waiter = pin!(Waiter::new(&core, 0));
        waitlist(waiter.as_ref());
        give_back(leased);
        assert!(is_shelved(&core, 0) && is_shelved(&core, 1));
        core.resume();
        give_back(served(waiter.as_ref()).unwrap().unwrap());
        give_back(core.claim().unwrap());
        assert_cleared(&core, 2);
    });
}

/// Taken off the list: it is leased to nobody meanwhile, and once afterwards.
#[test]
fn what_is_recalled_from_the_shelf_comes_back_once() {
    explore(|| {
        let (core, leased) = half_shelved();
        let (upkeep, user) = (core.clone(), core.clone());
        race([
            party(move || give_back(leased)),
            party(move || use_if_idle(&user)),
            party(move || {
                for mut token in upkeep.recall() {
                    touch(&mut token);
                    release(token);
                }
            }),
        ]);
        assert_quiet(&core, 2);
        let again = [(); 2].map(|()| core.claim());
        assert!(again.iter().all(Option::is_some));
        assert!(core.claim().is_none());
    });
}

#[test]
fn a_close_leaves_nothing_on_the_shelf_or_off_it() {
    explore(|| {
        let (core, leased) = half_shelved();
        let (closer, user) = (core.clone(), core.clone());
        race([
            party(move || give_back(leased)),
            party(move || use_if_idle(&user)),
            party(move || {
                closer.close(|| ());
                drop(closer.reserve_excess());
            }),
        ]);
        assert_eq!(core.demand().occupied, 0);
    });
}

#[test]
fn a_resize_closes_what_is_too_many_on_the_shelf_or_off_it() {
    explore(|| {
        let (core, leased) = half_shelved();
        let resizer = core.clone();
        race([
            party(move || give_back(leased)),
            party(move || {
                resizer.resize(1);
                drop(resizer.reserve_excess());
            }),
        ]);
        assert_eq!(core.demand().occupied, 1);
        assert!(core.claim().is_some());
    });
}

/// Checked for a user while the shelf is up, it comes back to the shelf; or off it, once that is cleared.
#[test]
fn a_connection_lent_from_the_shelf_comes_back_to_who_waits() {
    explore(|| {
        let (core, leased) = half_shelved();
        let checked = core.claim().unwrap();
        checked.reserve();
        let (lender, caller) = (core.clone(), core.clone());
        race([
            party(move || give_back(lender.relet(checked).ok().unwrap())),
            party(move || give_back(leased)),
            party(move || take_turn(&caller)),
        ]);
        assert_quiet(&core, 2);
    });
}
