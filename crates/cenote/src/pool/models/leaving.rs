//! Callers that leave, whenever it may be.

use super::*;

#[test]
fn a_get_dropped_at_any_poll_against_a_dial_and_a_return_keeps_nobody_waiting() {
    explore(|| {
        let server = Server::new(2);
        let pool = pool(&server, 2);
        let mut leased = block_on(pool.get_owned()).unwrap();
        let leaver = {
            let pool = pool.clone();
            party(async move { drop(polled(&pool, below(4))) })
        };
        let returner = party(async move { leased.use_it() });
        race([leaver, user(&pool, 1), user(&pool, 1), returner]);
        ends_whole(pool, &server, 2);
    });
}

#[test]
fn a_get_dropped_while_its_connection_is_checked_keeps_nobody_waiting() {
    explore(|| {
        let server = Server::new(1);
        let pool = builder(&server, 1)
            .check_after_idle(Some(Duration::ZERO))
            .build()
            .unwrap();
        let mut leased = block_on(pool.get_owned()).unwrap();
        let leaver = {
            let pool = pool.clone();
            party(async move { drop(polled(&pool, below(4))) })
        };
        let returner = party(async move { leased.use_it() });
        race([leaver, user(&pool, 1), user(&pool, 1), returner]);
        ends_whole(pool, &server, 1);
    });
}
