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
                if let Some(mut token) = user.claim() {
                    touch(&mut token);
                    give_back(token);
                }
            }),
            party(move || {
                if let Some(mut token) = upkeep.reserve(index, seen) {
                    assert_eq!(*token.entry(), 0, "leased since it was looked at");
                    touch(&mut token);
                    release(token);
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
        let token = core.reserve(index, seen).unwrap();
        let caller = core.clone();
        race([
            party(move || take_turn(&caller)),
            party(move || release(token)),
        ]);
        assert_quiet(&core, 1);
    });
}

#[test]
fn a_connection_lent_comes_back_to_who_queued_meanwhile() {
    explore(|| {
        let core = pool(1);
        let token = core.claim().unwrap();
        token.reserve();
        let (lender, caller) = (core.clone(), core.clone());
        race([
            party(move || {
                if let Ok(token) = lender.relet(token) {
                    give_back(token);
                }
            }),
            party(move || take_turn(&caller)),
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
            party(move || release(get_or_connect(&core)))
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
                if let Some(mut token) = user.claim() {
                    touch(&mut token);
                    give_back(token);
                }
            }),
            party(move || {
                if let Some(mut token) = upkeep.reserve(index, seen) {
                    touch(&mut token);
                    release(token);
                }
            }),
        ]);
        assert!(core.claim().is_some());
    });
}

/// The connections of a pool of three, by what was stored in them, in the order they are leased in.
fn taken(order: Order, idle: impl FnOnce(&Pool, [SlotToken<Model>; 3])) -> Vec<u32> {
    let core = pool_with(3, order);
    let mut token = [(); 3].map(|()| core.claim().unwrap());
    for (name, token) in token.iter_mut().enumerate() {
        *token.entry_mut() = name as u32;
    }
    idle(&core, token);
    let again = [(); 3].map(|()| core.claim().unwrap());
    again.iter().map(|token| *token.entry()).collect()
}

#[test]
fn idle_connections_are_taken_in_the_order_the_pool_keeps() {
    explore(|| {
        let oldest_first = Order::Listed {
            newest_first: false,
            max_idle: 3,
        };
        let all_back =
            |_: &Pool, token: [SlotToken<Model>; 3]| token.into_iter().for_each(give_back);
        assert_eq!(taken(NEWEST_FIRST, all_back), [2, 1, 0]);
        assert_eq!(taken(oldest_first, all_back), [0, 1, 2]);
    });
}

/// Upkeep looks at a connection, and it is as old as it was.
#[test]
fn a_look_at_an_idle_connection_leaves_its_place_in_the_order() {
    explore(|| {
        let all_back = |token: [SlotToken<Model>; 3]| token.into_iter().for_each(give_back);
        let before = taken(NEWEST_FIRST, |_, token| all_back(token));
        for looked_at in 0..3 {
            let after = taken(NEWEST_FIRST, |core, token| {
                all_back(token);
                let (index, seen, _) = core.slots().nth(looked_at).unwrap();
                let token = core.reserve(index, seen).unwrap();
                assert!(matches!(
                    core.release(token, IdleSince::Before),
                    Release::Kept
                ));
            });
            assert_eq!(after, before, "slot {looked_at}");
        }
    });
}

/// A pool that keeps its idle connections in order sees each lease come back.
#[test]
fn a_listed_connection_lent_comes_back_to_the_list() {
    explore(|| {
        let core = pool_with(1, NEWEST_FIRST);
        let (index, seen, _) = core.slots().next().unwrap();
        let token = core.reserve(index, seen).unwrap();
        let Ok(token) = core.relet(token) else {
            panic!("open");
        };
        give_back(token);
        give_back(core.claim().expect("listed"));
        give_back(core.claim().expect("listed"));
    });
}

/// A word of an idle period that is over reserves nothing, though the slot is idle again.
#[test]
fn a_word_that_is_out_of_date_reserves_nothing() {
    explore(|| {
        for order in [Order::Local, NEWEST_FIRST] {
            let core = pool_with(1, order);
            let (index, seen, _) = core.slots().next().unwrap();
            give_back(core.claim().unwrap());
            assert!(core.reserve(index, seen).is_none());
            assert!(core.claim().is_some());
        }
    });
}

/// Slots are looked at as long as they, or any behind them, are occupied.
#[test]
fn a_slot_given_up_hides_no_other() {
    explore(|| {
        let core = pool(3);
        let [first, second, third] = [(); 3].map(|()| core.claim().unwrap());
        drop(first);
        assert_eq!(core.slots().count(), 3);
        // In the place of the first, and the others are there still.
        connect(&core);
        assert_eq!(core.slots().count(), 3);
        drop(third);
        assert_eq!(states(&core), [State::Idle, State::Leased]);
        drop(core.claim());
        assert_eq!(states(&core), [State::Vacant, State::Leased]);
        drop(second);
        assert_eq!(core.slots().count(), 0);
    });
}
