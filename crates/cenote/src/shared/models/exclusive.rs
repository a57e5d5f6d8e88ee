//! Connections that carry one lease each: several are opened at once, and growth that is not wanted any more is given up.

use super::toy::Server;
use super::{SharedPool, Toy, builder, ends, killer, leaver, served, user};
use crate::pool::models::{explore, party, race};
use shuttle::future::block_on;

fn pool(server: &Server) -> SharedPool<Toy> {
    let pool = builder(server, 3).max_connecting(2).build().unwrap();
    // What they carry is known.
    drop(block_on(served(&pool)));
    pool
}

/// All that there may be are opened for those who need them, and no growth is left over.
fn ends_whole(pool: SharedPool<Toy>, server: &Server) {
    let leases: Vec<_> = (0..3).map(|_| block_on(served(&pool))).collect();
    drop(leases);
    ends(pool, server);
}

#[test]
fn callers_that_each_need_a_connection_are_all_served() {
    explore(|| {
        let server = Server::new(1);
        let pool = pool(&server);
        let holder = {
            let pool = pool.clone();
            party(async move {
                let first = served(&pool).await;
                served(&pool).await.use_it();
                first.use_it();
            })
        };
        race([holder, user(&pool, 2), user(&pool, 1), user(&pool, 1)]);
        ends_whole(pool, &server);
    });
}

#[test]
fn growth_for_callers_that_leave_keeps_nobody_waiting() {
    explore(|| {
        let server = Server::new(1);
        let pool = pool(&server);
        race([leaver(&pool), leaver(&pool), user(&pool, 2), user(&pool, 1)]);
        ends_whole(pool, &server);
    });
}

#[test]
fn one_that_dies_or_is_discarded_is_opened_anew_for_those_who_wait() {
    explore(|| {
        let server = Server::new(1);
        let pool = pool(&server);
        race([killer(&pool), user(&pool, 2), user(&pool, 1), leaver(&pool)]);
        ends_whole(pool, &server);
    });
}
