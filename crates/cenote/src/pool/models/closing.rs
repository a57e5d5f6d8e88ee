//! The end of a pool against all that may be under way.

use super::*;

#[test]
fn a_close_against_getters_serves_or_refuses_each_and_leaves_nothing_open() {
    explore(|| {
        let server = Server::new(2);
        let pool = pool(&server, 2);
        let closer = {
            let (pool, server) = (pool.clone(), server.clone());
            party(async move {
                assert_eq!(pool.close().await.abandoned, 0);
                assert_eq!(server.open(), 0);
                assert!(matches!(pool.get().await, Err(GetError::Closed { .. })));
            })
        };
        race([caller(&pool), caller(&pool), caller(&pool), closer]);
        ends(pool, &server);
    });
}

#[test]
fn closes_at_once_all_end() {
    explore(|| {
        let server = Server::new(2);
        let pool = pool(&server, 2);
        let mut leased = block_on(pool.get_owned()).unwrap();
        let user = party(async move { leased.soil() });
        race([closer(&pool), closer(&pool), user]);
        ends(pool, &server);
    });
}

#[test]
fn the_last_handle_dropped_against_a_reset_leaves_nothing_behind() {
    explore(|| {
        let server = Server::new(2);
        let pool = pool(&server, 2);
        let mut soiled = block_on(pool.get_owned()).unwrap();
        let mut clean = block_on(pool.get_owned()).unwrap();
        race([
            party(async move { soiled.soil() }),
            party(async move { drop(pool) }),
            party(async move { clean.use_it() }),
        ]);
        server.is_left();
    });
}

#[test]
fn the_last_handle_dropped_against_a_dial_leaves_nothing_behind() {
    explore(|| {
        let server = Server::new(2);
        let pool = pool(&server, 2);
        let other = pool.clone();
        race([
            // Leaves while its dial is under way, or has its lease.
            party(async move { drop(polled(&other, below(3))) }),
            party(async move { drop(pool) }),
            time_passes(2),
        ]);
        server.is_left();
    });
}
