//! Two pools under one budget against each other.

use super::*;
use crate::budget::Budget;

/// Of connections of one server, which complains of more than the budget.
fn two_pools(server: &Server, budget: &Budget) -> [Pool<Toy>; 2] {
    [(); 2].map(|()| builder(server, 2).budget(budget).build().unwrap())
}

/// Whichever had the connections last, each can have one; and no permit was lost.
fn end_whole(pools: [Pool<Toy>; 2], budget: &Budget, server: &Server) {
    for pool in &pools {
        drop(block_on(served(pool)));
    }
    for pool in &pools {
        assert_eq!(block_on(pool.close()).abandoned, 0);
    }
    assert_eq!(budget.status().connections, 0);
    assert_eq!(server.open(), 0, "open after the close");
    drop(pools);
    server.is_left();
}

#[test]
fn users_of_two_pools_under_a_budget_of_one_are_all_served() {
    explore(|| {
        let (server, budget) = (Server::new(1), Budget::new(1));
        let pools = two_pools(&server, &budget);
        race([user(&pools[0], 2), user(&pools[1], 1), user(&pools[1], 1)]);
        end_whole(pools, &budget, &server);
    });
}

#[test]
fn users_of_two_pools_under_a_budget_of_two_are_all_served() {
    explore(|| {
        let (server, budget) = (Server::new(2), Budget::new(2));
        let pools = two_pools(&server, &budget);
        race([user(&pools[0], 1), user(&pools[0], 1), user(&pools[1], 2)]);
        end_whole(pools, &budget, &server);
    });
}

#[test]
fn a_get_dropped_at_any_poll_under_a_budget_keeps_nobody_waiting() {
    explore(|| {
        let (server, budget) = (Server::new(1), Budget::new(1));
        let pools = two_pools(&server, &budget);
        let leaver = {
            let pool = pools[1].clone();
            party(async move { drop(polled(&pool, below(4))) })
        };
        race([user(&pools[0], 1), user(&pools[1], 1), leaver]);
        end_whole(pools, &budget, &server);
    });
}

#[test]
fn a_budget_that_shrinks_and_grows_under_users_serves_them_all() {
    explore(|| {
        let (server, budget) = (Server::new(2), Budget::new(2));
        let pools = two_pools(&server, &budget);
        let resizer = {
            let budget = budget.clone();
            party(async move {
                budget.resize(0);
                dawdle();
                budget.resize(1);
            })
        };
        race([user(&pools[0], 2), user(&pools[1], 1), resizer]);
        end_whole(pools, &budget, &server);
    });
}

#[test]
fn a_pool_that_closes_under_a_budget_leaves_the_other_served() {
    explore(|| {
        let (server, budget) = (Server::new(1), Budget::new(1));
        let [a, b] = two_pools(&server, &budget);
        race([closer(&a), caller(&a), user(&b, 1)]);
        drop(block_on(served(&b)));
        assert_eq!(block_on(b.close()).abandoned, 0);
        assert_eq!(budget.status().connections, 0);
        drop((a, b));
        server.is_left();
    });
}

/// What is reserved for one pool the other must do without, however often it asks.
#[test]
fn a_reservation_beside_users_of_another_pool_is_filled() {
    explore(|| {
        let (server, budget) = (Server::new(2), Budget::new(2));
        let reserving = builder(&server, 2).min_idle(1).budget(&budget);
        let pools = [
            reserving.build().unwrap(),
            builder(&server, 2).budget(&budget).build().unwrap(),
        ];
        race([user(&pools[0], 1), user(&pools[1], 1), user(&pools[1], 1)]);
        end_whole(pools, &budget, &server);
    });
}
