//! Twenty-four cells of the table, chosen so that each situation, each state, both databases and both kinds are among
//! them: that service comes back, and that nothing reaches another user than its own. How soon, the program judges, on
//! a machine that has nothing else to do.

use std::sync::Arc;

use cenote_situations::{Applies, Cell, Database, Kind, Outcome, Servers, Situation, State, play};
use tokio::task::JoinSet;

const POSTGRES_EXCLUSIVE: [&str; 6] = [
    "postgres/exclusive/silent/in-service",
    "postgres/exclusive/swallowed/leased",
    "postgres/exclusive/frozen/leased",
    "postgres/exclusive/reset/in-transaction",
    "postgres/exclusive/demoted/idle",
    "postgres/exclusive/restarted/listening",
];

const POSTGRES_SHARED: [&str; 6] = [
    "postgres/shared/silent/idle",
    "postgres/shared/swallowed/in-service",
    "postgres/shared/half-open/in-service",
    "postgres/shared/restarted/being-dialled",
    "postgres/shared/slow-reader/leased",
    "postgres/shared/unpolled-future/in-service",
];

const REDIS_EXCLUSIVE: [&str; 6] = [
    "redis/exclusive/swallowed/in-transaction",
    "redis/exclusive/reset/idle",
    "redis/exclusive/half-open/listening",
    "redis/exclusive/full/being-dialled",
    "redis/exclusive/cancelled/in-transaction",
    "redis/exclusive/blocked-runtime/leased",
];

const REDIS_SHARED: [&str; 6] = [
    "redis/shared/swallowed/leased",
    "redis/shared/frozen/in-service",
    "redis/shared/demoted/in-service",
    "redis/shared/full/leased",
    "redis/shared/cancelled/being-dialled",
    "redis/shared/blocked-runtime/in-transaction",
];

fn named(name: &str) -> Cell {
    let cell = Cell::all()
        .into_iter()
        .find(|cell| cell.to_string() == name);
    cell.unwrap_or_else(|| panic!("no cell is called {name}"))
}

/// Plays them all at once; they mostly wait.
async fn all_are_sound(names: &[&str]) {
    let servers = Arc::new(Servers::default());
    let mut playing = JoinSet::new();
    for cell in names.iter().map(|name| named(name)) {
        let servers = servers.clone();
        playing.spawn(async move {
            match play(cell, 0, &servers).await {
                Ok(outcome) => outcome,
                Err(failure) => Outcome::unplayed(cell, &failure.to_string()),
            }
        });
    }
    let mut wrong = Vec::new();
    while let Some(played) = playing.join_next().await {
        let outcome = played.expect("a cell does not panic");
        if !outcome.is_sound() {
            wrong.push(format!("{}: {:?}", outcome.cell, outcome.problems));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A cable that is out under users who ask, calls swallowed and a frozen server under one who holds a connection, a
/// reset in a transaction, a failover found by the first write, a restart under a listener.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exclusive_postgresql_connections_come_back_and_leak_nothing() {
    all_are_sound(&POSTGRES_EXCLUSIVE).await;
}

/// A cable that is out beside nobody, calls swallowed under users who ask, a host that was swapped under users who
/// ask, a server that is killed while the first connection is opened, a slow reader and a call that is not polled
/// beside all others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_postgresql_connections_come_back_and_leak_nothing() {
    all_are_sound(&POSTGRES_SHARED).await;
}

/// Commands swallowed in a transaction, resets of what is idle, a host that was swapped under a listener, a server
/// that is full as the first connection is opened, impatient users beside a transaction, a blocked runtime under one
/// who holds a connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exclusive_redis_connections_come_back_and_leak_nothing() {
    all_are_sound(&REDIS_EXCLUSIVE).await;
}

/// Commands swallowed under one who holds a place, a frozen server and a failover under users who ask, a full server,
/// impatient users before there is a connection, a blocked runtime under transactions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_redis_connections_come_back_and_leak_nothing() {
    all_are_sound(&REDIS_SHARED).await;
}

/// The choice stands for the table.
#[test]
fn every_situation_and_state_is_among_those_chosen() {
    let chosen: Vec<Cell> = [
        POSTGRES_EXCLUSIVE,
        POSTGRES_SHARED,
        REDIS_EXCLUSIVE,
        REDIS_SHARED,
    ]
    .concat()
    .into_iter()
    .map(named)
    .collect();
    assert!(chosen.len() == 24);
    for cell in &chosen {
        assert!(
            matches!(cell.applies(), Applies::Within(_)),
            "{cell} is never played"
        );
    }
    for situation in Situation::ALL {
        assert!(
            chosen.iter().any(|cell| cell.situation == situation),
            "{situation:?}"
        );
    }
    for state in State::ALL {
        assert!(chosen.iter().any(|cell| cell.state == state), "{state:?}");
    }
    for (database, kind) in [
        (Database::Postgres, Kind::Exclusive),
        (Database::Postgres, Kind::Shared),
        (Database::Redis, Kind::Exclusive),
        (Database::Redis, Kind::Shared),
    ] {
        let of_these = |cell: &&Cell| cell.database == database && cell.kind == kind;
        assert_eq!(chosen.iter().filter(of_these).count(), 6);
    }
}

/// A sharing that took what it refuses would make the table wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn states_that_sharing_refuses_are_refused() {
    all_do_not_apply(&[
        "postgres/shared/silent/listening",
        "postgres/shared/silent/in-transaction",
        "redis/shared/silent/listening",
    ])
    .await;
}

async fn all_do_not_apply(names: &[&str]) {
    for name in names {
        assert!(matches!(named(name).applies(), Applies::Not(_)), "{name}");
    }
    all_are_sound(names).await;
}
