//! Shared pools under one budget against each other: what nobody uses is given up, and who waits elsewhere is served.

use super::toy::Server;
use super::{SharedPool, Toy, builder, leaver, served, user};
use crate::budget::Budget;
use crate::pool::models::{below, explore, race};
use shuttle::future::block_on;

fn two_pools(server: &Server, budget: &Budget) -> [SharedPool<Toy>; 2] {
    [(); 2].map(|()| {
        let builder = builder(server, 2).max_connecting(2);
        builder.budget(budget).build().unwrap()
    })
}

/// Whichever had the connections last, each can have one; and no permit was lost.
fn end_whole(pools: [SharedPool<Toy>; 2], budget: &Budget, server: &Server) {
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
fn users_of_two_shared_pools_under_a_budget_of_one_are_all_served() {
    explore(|| {
        let (server, budget) = (Server::new(1 + below(2)), Budget::new(1));
        let pools = two_pools(&server, &budget);
        race([user(&pools[0], 2), user(&pools[1], 1), user(&pools[1], 1)]);
        end_whole(pools, &budget, &server);
    });
}

#[test]
fn a_get_of_a_shared_pool_that_is_dropped_under_a_budget_keeps_nobody_waiting() {
    explore(|| {
        let (server, budget) = (Server::new(1), Budget::new(1));
        let pools = two_pools(&server, &budget);
        race([user(&pools[0], 1), user(&pools[1], 1), leaver(&pools[1])]);
        end_whole(pools, &budget, &server);
    });
}

#[test]
fn users_of_two_shared_pools_under_a_budget_of_two_are_all_served() {
    explore(|| {
        let (server, budget) = (Server::new(1), Budget::new(2));
        let pools = two_pools(&server, &budget);
        race([user(&pools[0], 1), user(&pools[0], 1), user(&pools[1], 2)]);
        end_whole(pools, &budget, &server);
    });
}
