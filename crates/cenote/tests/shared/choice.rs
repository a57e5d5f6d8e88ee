//! Which connection carries a new lease: by load, one after the other, or the first with room; and what
//! connections say of their capacity while they run.

use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;

use cenote::error::TryGetError;
use cenote::shared::Choice;
use cenote::{SharedLease, SharedPool};
use futures::poll;

use crate::server::{Server, ms, pass, secs};

/// As many connections as that, all in service, and nothing leased.
async fn serving(server: &Server, connections: usize, choice: Choice) -> SharedPool<Server> {
    let pool = server
        .shared()
        .max_size(connections)
        .min_size(connections)
        .high_water(1.0)
        .choice(choice)
        .check_after_idle(secs(60))
        .seed(7)
        .build()
        .unwrap();
    let mut leases = vec![];
    while server.connected() < connections || leases.len() < 4 * connections {
        leases.push(pool.get().await.unwrap());
    }
    pool
}

async fn ids(pool: &SharedPool<Server>, leases: usize) -> (Vec<usize>, Vec<SharedLease<Server>>) {
    let mut held = vec![];
    for _ in 0..leases {
        held.push(pool.get().await.unwrap());
    }
    (held.iter().map(|conn| conn.id).collect(), held)
}

#[tokio::test(start_paused = true)]
async fn leases_share_one_connection() {
    let server = Server::default();
    let pool = server.shared().build().unwrap();
    let (ids, _held) = ids(&pool, 2).await;
    assert_eq!(ids, [0, 0]);
    assert_eq!(server.open(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_least_loaded_connection_carries_the_next_lease() {
    let server = Server::default();
    let pool = serving(&server, 3, Choice::LeastLoaded).await;
    let (ids, mut held) = ids(&pool, 6).await;
    assert_eq!(ids[..3], ids[3..]);
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[2] != ids[0]);
    let freed = held.remove(1).id;
    assert_eq!(pool.get().await.unwrap().id, freed);
}

/// One that carries a large share of a small capacity is more loaded than one that carries more of a large.
#[tokio::test(start_paused = true)]
async fn load_is_measured_by_each_connection_s_capacity() {
    let server = Server::default();
    let pool = serving(&server, 2, Choice::LeastLoaded).await;
    let (_, held) = ids(&pool, 2).await;
    let small = held[0].id;
    held[1].capacity.store(100, SeqCst);
    drop(held);
    let (ids, _held) = ids(&pool, 10).await;
    let small = ids.iter().filter(|&&id| id == small).count();
    assert_eq!(small, 1, "{ids:?}");
}

#[tokio::test(start_paused = true)]
async fn round_robin_takes_one_connection_after_the_other() {
    let server = Server::default();
    let pool = serving(&server, 3, Choice::RoundRobin).await;
    let mut seen = vec![];
    for _ in 0..6 {
        seen.push(pool.get().await.unwrap().id);
    }
    assert_eq!(seen[..3], seen[3..]);
    seen.truncate(3);
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn first_available_fills_one_connection_before_the_next() {
    let server = Server::default();
    let pool = serving(&server, 3, Choice::FirstAvailable).await;
    let (ids, _held) = ids(&pool, 9).await;
    let groups: Vec<_> = ids.chunk_by(|a, b| a == b).map(<[_]>::len).collect();
    assert_eq!(groups, [4, 4, 1]);
}

/// HTTP/2 settings, QUIC credit: what the peer allows changes while the connection runs.
#[tokio::test(start_paused = true)]
async fn more_capacity_serves_those_who_wait_within_a_turn_of_upkeep() {
    let server = Server::default();
    let pool = server.shared().max_size(1).build().unwrap();
    let (_, held) = ids(&pool, 4).await;
    let mut waiting = pin!(pool.get());
    assert!(poll!(&mut waiting).is_pending());
    held[0].capacity.store(5, SeqCst);
    pass(secs(1)).await;
    assert!(poll!(&mut waiting).is_ready());
}

#[tokio::test(start_paused = true)]
async fn more_capacity_is_noticed_at_once_when_a_lease_ends() {
    let server = Server::default();
    let pool = server.shared().max_size(1).build().unwrap();
    let (_, mut held) = ids(&pool, 4).await;
    let mut waiting = (pin!(pool.get()), pin!(pool.get()));
    assert!(poll!(&mut waiting.0).is_pending() && poll!(&mut waiting.1).is_pending());
    held[0].capacity.store(5, SeqCst);
    held.pop();
    assert!(poll!(&mut waiting.0).is_ready() && poll!(&mut waiting.1).is_ready());
}

#[tokio::test(start_paused = true)]
async fn less_capacity_takes_no_lease_back_and_gives_no_new_one() {
    let server = Server::default();
    let pool = server.shared().max_size(1).build().unwrap();
    let (_, mut held) = ids(&pool, 3).await;
    held[0].capacity.store(2, SeqCst);
    assert_eq!(pool.try_get().unwrap_err(), TryGetError::NoneIdle);
    held.pop();
    assert_eq!(pool.try_get().unwrap_err(), TryGetError::NoneIdle);
    held.pop();
    assert!(pool.try_get().is_ok());
}

/// Not ready is not closed.
#[tokio::test(start_paused = true)]
async fn a_connection_without_capacity_is_not_chosen_and_not_closed() {
    let server = Server::default();
    let pool = server.shared().max_size(1).build().unwrap();
    let (_, held) = ids(&pool, 1).await;
    let capacity = held[0].capacity.clone();
    capacity.store(0, SeqCst);
    let mut waiting = pin!(pool.get());
    assert!(poll!(&mut waiting).is_pending());
    drop(held);
    pass(secs(3)).await;
    assert!(poll!(&mut waiting).is_pending());
    assert_eq!(server.open(), 1);
    capacity.store(1, SeqCst);
    pass(secs(1)).await;
    assert_eq!(waiting.await.unwrap().id, 0);
}

/// An HTTP/2 connection before the peer's settings: those who wait cause no second one meanwhile.
#[tokio::test(start_paused = true)]
async fn a_new_connection_that_is_not_ready_yet_counts_as_being_opened() {
    let server = Server::default();
    server.plan(|plan| plan.capacity = Some(0));
    let pool = server
        .shared()
        .connect_timeout(secs(2))
        .acquire_timeout(None)
        .build()
        .unwrap();
    let mut waiting = pin!(pool.get());
    assert!(poll!(&mut waiting).is_pending());
    pass(secs(1)).await;
    assert!(poll!(&mut waiting).is_pending());
    assert_eq!(server.dials(), 1);
    // But not for ever.
    server.plan(|plan| plan.capacity = None);
    pass(secs(2)).await;
    assert_eq!(waiting.await.unwrap().id, 1);
}

/// Two random choices among many: nearly even, without a look at all of them.
#[tokio::test(start_paused = true)]
async fn among_many_connections_the_load_stays_nearly_even() {
    let server = Server::default();
    server.plan(|plan| plan.capacity = Some(100));
    let pool = server
        .shared()
        .max_size(20)
        .min_size(20)
        .check_after_idle(secs(60))
        .seed(7)
        .build()
        .unwrap();
    while server.connected() < 20 {
        pass(ms(10)).await;
    }
    let (_, warm) = ids(&pool, 400).await;
    drop(warm);
    let (ids, _held) = ids(&pool, 1_000).await;
    let most = (0..20).map(|id| ids.iter().filter(|&&i| i == id).count());
    let most = most.max().unwrap();
    assert!((50..60).contains(&most), "{most}");
}

/// Idle are those without a lease, whether new leases go to them at once or they rest; leased those with any.
#[tokio::test(start_paused = true)]
async fn the_status_counts_connections_by_whether_they_carry_leases() {
    let server = Server::default();
    let pool = server.shared().build().unwrap();
    let counts = || {
        let status = pool.status();
        let sharing = status.sharing.unwrap();
        (
            status.idle,
            status.leased,
            sharing.serving,
            sharing.in_flight,
        )
    };
    let (one, other) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    assert_eq!(counts(), (0, 1, 1, 2));
    drop((one, other));
    assert_eq!(counts(), (1, 0, 1, 0), "it still serves");
    pass(secs(5)).await;
    assert_eq!(counts(), (1, 0, 0, 0), "it rests");
}
