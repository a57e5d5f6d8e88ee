//! Idle connections that upkeep looks at, and pools that keep them in order.

use super::*;

const NEWEST_FIRST: Order = Order::Listed {
    newest_first: true,
    max_idle: usize::MAX,
};

/// A word read in one idle period claims nothing in a later one.
#[test]
fn upkeep_reserves_only_the_idle_period_it_looked_at() {
    explore(|| {
        let core = pool(1);
        let (index, seen, _) = core.slots().next().unwrap();
        let (user, upkeep) = (core.clone(), core.clone());
        race([
            party(move || {
                if let Some(mut held) = user.claim() {
                    touch(&mut held);
                    give_back(held);
                }
            }),
            party(move || {
                if let Some(mut held) = upkeep.reserve(index, seen) {
                    assert_eq!(*held.entry(), 0, "leased since it was looked at");
                    touch(&mut held);
                    settle(held);
                }
            }),
        ]);
        assert_quiet(&core, 1);
    });
}

#[test]
fn a_reserved_connection_goes_to_who_queued_meanwhile() {
    explore(|| {
        let core = pool(1);
        let (index, seen, _) = core.slots().next().unwrap();
        let held = core.reserve(index, seen).unwrap();
        let getter = core.clone();
        race([
            party(move || take_turn(&getter)),
            party(move || settle(held)),
        ]);
        assert_quiet(&core, 1);
    });
}

#[test]
fn a_connection_lent_comes_back_to_who_queued_meanwhile() {
    explore(|| {
        let core = pool(1);
        let held = core.claim().unwrap();
        held.reserve();
        let (lender, getter) = (core.clone(), core.clone());
        race([
            party(move || {
                if let Ok(held) = lender.lend(held) {
                    give_back(held);
                }
            }),
            party(move || take_turn(&getter)),
        ]);
        assert_quiet(&core, 1);
    });
}

#[test]
fn a_listed_pool_hands_on_and_keeps_its_bound() {
    explore(|| {
        let core = pool_with(
            1,
            Order::Listed {
                newest_first: true,
                max_idle: 0,
            },
        );
        // With no idle allowed, the connection made at the start is gone already.
        assert_eq!(core.demand().occupied, 0);
        race([0, 1].map(|_| {
            let core = core.clone();
            party(move || settle(get_or_connect(&core)))
        }));
        assert_eq!(core.demand().occupied, 0);
    });
}

#[test]
fn a_listed_connection_given_back_can_be_found_again() {
    explore(|| {
        let core = pool_with(1, NEWEST_FIRST);
        race([0, 1].map(|_| {
            let core = core.clone();
            party(move || take_turn(&core))
        }));
        assert!(core.claim().is_some());
    });
}

#[test]
fn a_listed_connection_that_upkeep_has_is_nobody_else_s() {
    explore(|| {
        let core = pool_with(1, NEWEST_FIRST);
        let (index, seen, _) = core.slots().next().unwrap();
        let (user, upkeep) = (core.clone(), core.clone());
        race([
            party(move || {
                if let Some(mut held) = user.claim() {
                    touch(&mut held);
                    give_back(held);
                }
            }),
            party(move || {
                if let Some(mut held) = upkeep.reserve(index, seen) {
                    touch(&mut held);
                    settle(held);
                }
            }),
        ]);
        assert!(core.claim().is_some());
    });
}
