//! The roster against all that calls it in: each model begins while it is out, so that leases begin and end without the
//! lock.

use super::*;

/// Leases on each of two connections, all at once [`CAPACITY`].
const EACH: usize = CAPACITY / 2;

/// A pool of two connections, whose roster is out.
fn pool(server: &Server) -> SharedPool<Toy> {
    let pool = builder(server, 2).build().unwrap();
    let leases: Vec<_> = (0..CAPACITY).map(|_| block_on(served(&pool))).collect();
    drop(leases);
    block_on(goes_out(&pool));
    pool
}

/// Uses the pool until its roster is out.
pub(super) async fn goes_out(pool: &SharedPool<Toy>) {
    while !pool.core.state().has_roster() {
        drop(served(pool).await);
        // Upkeep and growth go on meanwhile.
        shuttle::future::yield_now().await;
    }
}

/// No lease was counted twice or not at all, without the lock either.
fn ends_counted(pool: SharedPool<Toy>, server: &Server) {
    assert_eq!(pool.load(), 0);
    pool.core.state().active.assert_exact();
    ends_whole(pool, server);
}

#[test]
fn more_users_than_the_connections_carry_are_all_served() {
    explore(|| {
        let server = Server::new(EACH);
        let pool = pool(&server);
        race([pair(&pool), pair(&pool), pair(&pool), user(&pool, 2)]);
        ends_counted(pool, &server);
    });
}

/// Of several threads one mostly waits for the lock while another hands it out.
#[test]
fn the_roster_stays_out_though_others_wait_for_the_lock_when_it_goes_out() {
    explore(|| {
        let server = Server::new(EACH);
        let pool = pool(&server);
        while pool.core.state().growing > 0 {
            shuttle::thread::yield_now();
        }
        // Calls it in: it goes out with the last of so many leases.
        assert_eq!(pool.status().sharing.unwrap().in_flight, 0);
        let between = pool.core.views.leases_between(2);
        for _ in 1..between {
            drop(block_on(served(&pool)));
        }
        assert!(!pool.core.state().has_roster());
        race([user(&pool, 1), pair(&pool)]);
        assert!(pool.core.state().has_roster());
        ends_counted(pool, &server);
    });
}

#[test]
fn a_get_dropped_at_any_poll_keeps_nobody_waiting() {
    explore(|| {
        let server = Server::new(EACH);
        let pool = pool(&server);
        race([leaver(&pool), pair(&pool), pair(&pool), pair(&pool)]);
        ends_counted(pool, &server);
    });
}

#[test]
fn leases_are_counted_exactly_whoever_asks_meanwhile() {
    explore(|| {
        let server = Server::new(EACH);
        let pool = pool(&server);
        let held = block_on(served(&pool));
        let gets = pool.counters().gets;
        block_on(goes_out(&pool));
        race([
            onlooker(&pool),
            user(&pool, 2),
            user(&pool, 2),
            time_passes(1),
        ]);
        assert!(pool.counters().gets >= gets + 4);
        assert_eq!(pool.load(), 1);
        drop(held);
        ends_counted(pool, &server);
    });
}

#[test]
fn peers_that_carry_fewer_for_a_while_keep_nobody_waiting() {
    explore(|| {
        let server = Server::new(EACH);
        let pool = pool(&server);
        race([
            user(&pool, 2),
            pair(&pool),
            pair(&pool),
            weakened(&server, EACH),
        ]);
        is_whole(&pool);
        ends_counted(pool, &server);
    });
}

#[test]
fn a_connection_that_dies_or_is_discarded_is_replaced() {
    explore(|| {
        let server = Server::new(EACH);
        let pool = pool(&server);
        race([killer(&pool), pair(&pool), pair(&pool), user(&pool, 2)]);
        ends_counted(pool, &server);
    });
}

#[test]
fn connections_that_are_all_replaced_carry_their_leases_to_the_end() {
    explore(|| {
        let server = Server::new(EACH);
        let pool = pool(&server);
        let evicter = {
            let pool = pool.clone();
            party(async move { pool.evict() })
        };
        race([evicter, pair(&pool), user(&pool, 2), user(&pool, 1)]);
        ends_counted(pool, &server);
    });
}

#[test]
fn a_close_beside_users_ends_with_the_last_of_them() {
    explore(|| {
        let server = Server::new(EACH);
        let pool = pool(&server);
        race([caller(&pool), caller(&pool), closer(&pool), onlooker(&pool)]);
        ends(pool, &server);
    });
}

#[test]
fn what_nobody_uses_rests_and_serves_again() {
    explore(|| {
        let server = Server::new(EACH);
        let pool = pool(&server);
        race([
            time_passes(4),
            user(&pool, 2),
            user(&pool, 1),
            leaver(&pool),
        ]);
        ends_counted(pool, &server);
    });
}
