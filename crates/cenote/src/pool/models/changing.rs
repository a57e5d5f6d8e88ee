//! Changes to the whole pool against those who use it.

use super::*;

/// Whatever is under way, from then on nothing is opened that would be too many.
fn resize(pool: &Pool<Toy>, size: usize) {
    pool.resize(size).unwrap();
    let before = pool.core.demand().occupied;
    for _ in 0..10 {
        let after = pool.core.demand().occupied;
        assert!(after <= before.max(size), "{after} of {size}");
        thread::yield_now();
    }
}

/// Pauses and resumes.
fn pauser(pool: &Pool<Toy>) -> Party {
    let pool = pool.clone();
    party(async move {
        pool.pause();
        dawdle();
        pool.resume();
    })
}

#[test]
fn resizes_against_users_serve_all_and_end_at_the_last_size() {
    explore(|| {
        let server = Server::new(3);
        let pool = pool(&server, 2);
        let resizer = {
            let pool = pool.clone();
            party(async move {
                for size in [1, 3, 1] {
                    resize(&pool, size);
                }
            })
        };
        race([user(&pool, 2), user(&pool, 1), user(&pool, 1), resizer]);
        let status = pool.status();
        // A goodbye may still be under way.
        assert!(status.idle <= 1, "{status}");
        ends_whole(pool, &server, 1);
    });
}

#[test]
fn a_shrink_against_a_dial_keeps_the_bound() {
    explore(|| {
        let server = Server::new(2);
        let pool = pool(&server, 2);
        let mut leased = block_on(pool.get_owned()).unwrap();
        let resizer = {
            let pool = pool.clone();
            party(async move {
                resize(&pool, 1);
                leased.use_it();
            })
        };
        race([user(&pool, 1), resizer]);
        ends_whole(pool, &server, 1);
    });
}

#[test]
fn growing_serves_who_waits() {
    explore(|| {
        let server = Server::new(2);
        let pool = pool(&server, 1);
        let lease = block_on(served(&pool));
        let resizer = {
            let pool = pool.clone();
            party(async move { pool.resize(2).unwrap() })
        };
        race([user(&pool, 1), user(&pool, 1), resizer]);
        drop(lease);
        ends_whole(pool, &server, 2);
    });
}

#[test]
fn a_pause_and_a_resume_against_users_lose_nobody() {
    explore(|| {
        let server = Server::new(2);
        let pool = pool(&server, 2);
        let mut leased = block_on(pool.get_owned()).unwrap();
        let returner = party(async move { leased.use_it() });
        race([user(&pool, 1), user(&pool, 1), pauser(&pool), returner]);
        ends_whole(pool, &server, 2);
    });
}

#[test]
fn a_resume_dials_for_who_queued_during_the_pause() {
    explore(|| {
        let server = Server::new(2);
        let pool = pool(&server, 2);
        race([user(&pool, 1), user(&pool, 1), pauser(&pool)]);
        ends_whole(pool, &server, 2);
    });
}

#[test]
fn whoever_comes_after_an_evict_gets_a_connection_opened_after_it() {
    explore(|| {
        let server = Server::new(2);
        let pool = pool(&server, 2);
        let mut leased = block_on(pool.get_owned()).unwrap();
        let evictor = {
            let (pool, server) = (pool.clone(), server.clone());
            party(async move {
                let old = server.opened();
                pool.evict();
                assert!(served(&pool).await.number > old);
            })
        };
        let returner = party(async move { leased.soil() });
        race([user(&pool, 2), user(&pool, 1), evictor, returner]);
        ends_whole(pool, &server, 2);
    });
}

#[test]
fn a_retain_against_users_loses_nobody() {
    explore(|| {
        let server = Server::new(2);
        let pool = pool(&server, 2);
        let mut leased = block_on(pool.get_owned()).unwrap();
        drop(block_on(served(&pool)));
        let retainer = {
            let pool = pool.clone();
            party(async move {
                pool.retain(|conn, _| {
                    conn.use_it();
                    conn.number != 1
                });
            })
        };
        let returner = party(async move { leased.use_it() });
        race([user(&pool, 1), user(&pool, 1), retainer, returner]);
        ends_whole(pool, &server, 2);
    });
}
