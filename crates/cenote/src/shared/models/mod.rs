//! The shared pool under shuttle, as the exclusive pool's models (`pool::models`): users, those who leave, upkeep,
//! growth and the end, in thousands of random schedules. A wake-up lost shows as a deadlock.
//!
//! With two shards of cached permits, and four leases on the only connection or sixteen on the first of two, some are
//! cached whenever one user gives back while nobody else is there; each model begins so.

mod exclusive;
mod of_set;
mod roster;
mod toy;
mod under_budget;

use std::future::{Future, poll_fn};
use std::task::Poll;

use shuttle::future::block_on;

use super::{SharedLease, SharedPool, SharedPoolBuilder};
use crate::error::GetError;
use crate::pool::models::{Party, below, dawdle, explore, in_time, party, race, time_passes};
use toy::{Server, Toy};

/// What a connection carries: enough that a permit is cached in each shard.
const CAPACITY: usize = 4;
/// The same where a second is opened at the high-water mark, which is three quarters.
const SPACIOUS: usize = 4 * CAPACITY;
const HIGH: usize = SPACIOUS * 3 / 4;

fn builder(server: &Server, max_size: usize) -> SharedPoolBuilder<Toy> {
    SharedPool::builder(server.connector())
        .max_size(max_size)
        .acquire_timeout(None)
        .check_after_idle(None)
        .keepalive(None)
        .seed(1)
}

/// With a permit that is cached.
fn pool(server: &Server, max_size: usize) -> SharedPool<Toy> {
    let pool = builder(server, max_size).build().unwrap();
    for _ in 0..2 {
        drop(block_on(served(&pool)));
    }
    pool
}

/// A lease, for which there must be a permit sooner or later.
async fn served(pool: &SharedPool<Toy>) -> SharedLease<Toy> {
    pool.get().await.expect("the pool is open and connects")
}

/// Gets, uses and gives back, `times` over.
fn user(pool: &SharedPool<Toy>, times: usize) -> Party {
    let pool = pool.clone();
    party(async move {
        for _ in 0..times {
            served(&pool).await.use_it();
        }
    })
}

/// Takes two permits, one after the other, and gives both back.
fn pair(pool: &SharedPool<Toy>) -> Party {
    let pool = pool.clone();
    party(async move {
        let first = served(&pool).await;
        if let Ok(second) = pool.try_get() {
            second.use_it();
        }
        first.use_it();
    })
}

/// Asks, looks a few times, and leaves.
fn leaver(pool: &SharedPool<Toy>) -> Party {
    let pool = pool.clone();
    party(async move {
        let mut get = Box::pin(pool.get());
        for _ in 0..below(4) {
            let poll = poll_fn(|cx| Poll::Ready(get.as_mut().poll(cx))).await;
            if poll.is_ready() {
                break;
            }
            dawdle();
        }
    })
}

/// Asks how things are, which must add up.
fn onlooker(pool: &SharedPool<Toy>) -> Party {
    let pool = pool.clone();
    party(async move {
        for _ in 0..2 {
            let sharing = pool.status().sharing.unwrap();
            assert!(sharing.in_flight <= CAPACITY);
            dawdle();
        }
    })
}

/// Takes a lease on a connection that dies under it, or is discarded.
fn killer(pool: &SharedPool<Toy>) -> Party {
    let pool = pool.clone();
    party(async move {
        let lease = served(&pool).await;
        match below(2) {
            0 => lease.die(),
            _ => SharedLease::discard(lease),
        }
    })
}

/// Has a lease, or hears that the pool is closed.
fn caller(pool: &SharedPool<Toy>) -> Party {
    let pool = pool.clone();
    party(async move {
        match pool.get().await {
            Ok(lease) => lease.use_it(),
            Err(GetError::Closed { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    })
}

fn closer(pool: &SharedPool<Toy>) -> Party {
    let pool = pool.clone();
    party(async move { assert_eq!(pool.close().await.abandoned, 0) })
}

/// A server whose connections carry fewer for a while, and then `capacity` again, which they signal.
fn weakened(server: &Server, capacity: usize) -> Party {
    let server = server.clone();
    party(async move {
        server.carries(below(2));
        dawdle();
        server.carries(capacity);
        server.signals_change();
    })
}

/// All permits of a connection can be leased at once: none was lost, and each is counted.
fn is_whole(pool: &SharedPool<Toy>) {
    let in_flight = || pool.status().sharing.unwrap().in_flight;
    let leases: Vec<_> = (0..CAPACITY).map(|_| block_on(served(pool))).collect();
    assert_eq!(in_flight(), CAPACITY);
    drop(leases);
    assert_eq!(in_flight(), 0);
}

/// The end of a model that leaves the pool open.
fn ends_whole(pool: SharedPool<Toy>, server: &Server) {
    is_whole(&pool);
    ends(pool, server);
}

/// The end of every model: the close ends, with nothing left open; and with its last handle the pool is gone.
fn ends(pool: SharedPool<Toy>, server: &Server) {
    assert_eq!(block_on(pool.close()).abandoned, 0);
    assert_eq!(server.open(), 0, "open after the close");
    drop(pool);
    server.is_left();
}

#[test]
fn more_users_than_permits_are_all_served() {
    explore(|| {
        let server = Server::new(CAPACITY);
        let pool = pool(&server, 1);
        race([
            user(&pool, 2),
            user(&pool, 1),
            pair(&pool),
            pair(&pool),
            pair(&pool),
        ]);
        assert!(pool.counters().gets >= 2 + 6);
        ends_whole(pool, &server);
    });
}

#[test]
fn a_get_dropped_at_any_poll_keeps_nobody_waiting() {
    explore(|| {
        let server = Server::new(CAPACITY);
        let pool = pool(&server, 1);
        race([
            leaver(&pool),
            leaver(&pool),
            pair(&pool),
            pair(&pool),
            pair(&pool),
        ]);
        ends_whole(pool, &server);
    });
}

#[test]
fn permits_are_counted_exactly_whoever_asks_meanwhile() {
    explore(|| {
        let server = Server::new(CAPACITY);
        let pool = pool(&server, 1);
        race([
            onlooker(&pool),
            user(&pool, 2),
            pair(&pool),
            pair(&pool),
            time_passes(2),
        ]);
        ends_whole(pool, &server);
    });
}

#[test]
fn a_peer_that_carries_fewer_for_a_while_keeps_nobody_waiting() {
    explore(|| {
        let server = Server::new(CAPACITY);
        let pool = pool(&server, 1);
        let peer = {
            let server = server.clone();
            party(async move {
                server.carries(below(2));
                dawdle();
                server.carries(CAPACITY);
            })
        };
        let users = [user(&pool, 2), pair(&pool), user(&pool, 1), peer];
        // Where nobody gives back any more, upkeep hears of the room.
        in_time(|| {
            race(users);
            is_whole(&pool);
        });
        ends(pool, &server);
    });
}

/// Time stands still: but for the signal, nobody would ask the connection.
#[test]
fn room_that_a_connection_signals_reaches_those_who_wait() {
    explore(|| {
        let server = Server::new(CAPACITY);
        let pool = pool(&server, 1);
        race([
            user(&pool, 2),
            pair(&pool),
            user(&pool, 1),
            weakened(&server, CAPACITY),
        ]);
        is_whole(&pool);
        ends(pool, &server);
    });
}

/// The same for its end, while nobody has a lease on it.
#[test]
fn a_connection_that_signals_its_end_keeps_nobody_waiting_for_it() {
    explore(|| {
        let server = Server::new(CAPACITY);
        let pool = pool(&server, 1);
        let peer = {
            let server = server.clone();
            party(async move {
                server.carries(0);
                dawdle();
                server.carries(CAPACITY);
                server.signals_end();
            })
        };
        race([user(&pool, 2), pair(&pool), user(&pool, 1), peer]);
        ends_whole(pool, &server);
    });
}

#[test]
fn a_connection_that_dies_or_is_discarded_is_replaced() {
    explore(|| {
        let server = Server::new(CAPACITY);
        let pool = pool(&server, 1);
        race([killer(&pool), user(&pool, 2), user(&pool, 2), pair(&pool)]);
        ends_whole(pool, &server);
        assert!(server.opened() >= 2);
    });
}

#[test]
fn a_lease_on_a_connection_that_drains_is_no_permit_of_its_successor() {
    explore(|| {
        // Room for a cached permit in each shard below the mark at which the second is opened.
        let server = Server::new(2 * CAPACITY);
        let pool = builder(&server, 2).high_water(1.0).build().unwrap();
        let [old, sick] = [block_on(served(&pool)), block_on(served(&pool))];
        SharedLease::discard(sick);
        let releaser = {
            let pool = pool.clone();
            party(async move {
                // Its successor serves.
                drop(served(&pool).await);
                drop(old);
            })
        };
        race([releaser, user(&pool, 2), user(&pool, 1)]);
        is_whole(&pool);
        assert_eq!(pool.status().sharing.unwrap().draining, 0);
        ends_whole(pool, &server);
    });
}

#[test]
fn one_more_connection_serves_beside_the_first_when_that_is_busy() {
    explore(|| {
        let server = Server::new(SPACIOUS);
        let pool = pool(&server, 2);
        let token: Vec<_> = (0..HIGH - 2).map(|_| block_on(served(&pool))).collect();
        let holder = || {
            let pool = pool.clone();
            party(async move {
                let lease = served(&pool).await;
                // Until the second serves: with two of these the first is busy.
                while pool.status().sharing.unwrap().capacity == SPACIOUS {
                    shuttle::future::yield_now().await;
                }
                drop(lease);
            })
        };
        race([holder(), holder(), user(&pool, 2), leaver(&pool)]);
        drop(token);
        ends_whole(pool, &server);
    });
}

#[test]
fn cached_permits_make_no_connection_busy() {
    explore(|| {
        let server = Server::new(SPACIOUS);
        let pool = pool(&server, 2);
        // Leaves as many as may be cached in this thread's shard.
        drop(
            (0..CAPACITY)
                .map(|_| block_on(served(&pool)))
                .collect::<Vec<_>>(),
        );
        let many = {
            let pool = pool.clone();
            party(async move {
                let mut token = Vec::new();
                for _ in 0..HIGH - 2 {
                    token.push(served(&pool).await);
                }
            })
        };
        // One of them shares that shard.
        match below(2) {
            0 => race([many, user(&pool, 2)]),
            _ => race([user(&pool, 2), many]),
        }
        // What the pool beneath has opened and nobody asked for rests.
        let sharing = pool.status().sharing;
        assert_eq!(sharing.map(|sharing| sharing.serving), Some(1));
        ends_whole(pool, &server);
    });
}

#[test]
fn a_close_beside_users_ends_with_the_last_of_them() {
    explore(|| {
        let server = Server::new(CAPACITY);
        let pool = pool(&server, 1);
        race([caller(&pool), caller(&pool), closer(&pool), onlooker(&pool)]);
        ends(pool, &server);
    });
}

#[test]
fn what_nobody_uses_rests_and_serves_again() {
    explore(|| {
        let server = Server::new(CAPACITY);
        let pool = pool(&server, 1);
        race([
            time_passes(4),
            user(&pool, 2),
            user(&pool, 1),
            leaver(&pool),
        ]);
        ends_whole(pool, &server);
        assert_eq!(server.opened(), 1);
    });
}
