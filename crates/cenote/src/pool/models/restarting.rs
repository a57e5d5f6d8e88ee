//! The end of the runtime that upkeep, a reset and a dial run on, while users are on another already.

use super::*;
use crate::rt::model::move_on;
use crate::settings::ConnectFailures;

/// A pool of three, its upkeep, a reset and, perhaps, a dial on a runtime of which the second is the end.
fn moved(server: &Server) -> (Pool<Toy>, Party) {
    let pool = builder(server, 3)
        .connect_failures(ConnectFailures::KeepWaiting)
        .build()
        .unwrap();
    let mut first = block_on(served(&pool));
    let second = block_on(served(&pool));
    drop(polled(&pool, below(2)));
    first.soil();
    drop((first, second));
    let old = move_on();
    (pool, party(async move { old.end() }))
}

#[test]
fn a_runtime_that_ends_under_users_keeps_nobody_waiting() {
    explore(|| {
        in_time(|| {
            let server = Server::new(3);
            let (pool, end) = moved(&server);
            race([user(&pool, 2), user(&pool, 1), user(&pool, 1), end]);
            ends_whole(pool, &server, 3);
        });
    });
}

#[test]
fn a_close_after_the_runtime_ended_is_what_getters_are_told() {
    explore(|| {
        in_time(|| {
            let server = Server::new(3);
            let (pool, end) = moved(&server);
            race([getter(&pool), getter(&pool), closer(&pool), end]);
            ends(pool, &server);
        });
    });
}
