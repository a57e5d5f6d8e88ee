//! The parts of `examples/sharded_store` do what the example shows, and what Noria's client lacks.

#[path = "../../examples/sharded_store/client.rs"]
mod client;
#[path = "../../examples/sharded_store/protocol.rs"]
mod protocol;
#[path = "../../examples/sharded_store/worker.rs"]
mod worker;

use std::pin::pin;
use std::sync::Arc;

use cenote::GetError;
use cenote::mux::{CallError, Disconnected, Sent};
use client::{Store, StoreError};
use tokio::task::JoinSet;
use worker::Worker;

async fn store(workers: usize) -> (Vec<Worker>, Arc<Store>) {
    let mut started = Vec::new();
    for _ in 0..workers {
        started.push(Worker::start().await.expect("free ports"));
    }
    let views: Vec<_> = started.iter().map(Worker::views).collect();
    let table: Vec<_> = started.iter().map(Worker::table).collect();
    let store = Store::new(&views, &table).expect("good settings");
    (started, Arc::new(store))
}

#[tokio::test]
async fn every_client_reads_what_it_wrote_though_replies_come_in_any_order() {
    let (_workers, store) = store(3).await;
    let mut clients = JoinSet::new();
    for id in 0..200 {
        let store = store.clone();
        clients.spawn(async move {
            for turn in 0..5 {
                let row = format!("{id}/{turn}");
                store.insert("articles", id, &row).await.unwrap();
                let rows = store.lookup("articles", id).await.unwrap();
                assert_eq!(rows.last(), Some(&row));
            }
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_request_for_many_shards_gathers_the_rows_of_all() {
    let (_workers, store) = store(3).await;
    for key in 0..6 {
        store
            .insert("articles", key, &format!("row {key}"))
            .await
            .unwrap();
    }
    let rows = store.lookup_all("articles", &[5, 0, 3, 1]).await.unwrap();
    assert_eq!(rows, ["row 5", "row 0", "row 3", "row 1"]);
}

/// Noria: one connect error kills the cached handle for ever; a dead connection is never opened again.
#[tokio::test]
async fn a_killed_worker_fails_its_shard_at_once_and_serves_again_when_it_is_back() {
    let (mut workers, store) = store(3).await;
    store.insert("articles", 1, "before").await.unwrap();
    workers[1].kill();
    // Whatever was open ends, and then nothing answers; the other shards are as before.
    let error = loop {
        match store.lookup_all("articles", &[0, 1, 2]).await {
            Ok(_) | Err(StoreError::Call(CallError::Disconnected { .. })) => {}
            Err(error) => break error,
        }
    };
    assert!(
        matches!(
            &error,
            StoreError::Get(GetError::Connect { .. } | GetError::TimedOut(_))
        ),
        "{error}"
    );
    store.lookup_all("articles", &[0, 2]).await.unwrap();
    workers[1].restart().await.unwrap();
    let rows = loop {
        if let Ok(rows) = store.lookup("articles", 1).await {
            break rows;
        }
    };
    assert_eq!(rows, ["before"]);
}

#[tokio::test]
async fn a_call_that_was_under_way_when_the_worker_died_says_so() {
    let (mut workers, store) = store(1).await;
    store.lookup("articles", 0).await.unwrap();
    let mut call = pin!(store.lookup("articles", 0));
    assert!(futures::poll!(call.as_mut()).is_pending());
    workers[0].kill();
    let error = call.await.unwrap_err();
    let StoreError::Call(CallError::Disconnected { cause, sent, .. }) = &error else {
        panic!("{error}");
    };
    assert_eq!(*sent, Sent::Maybe);
    assert!(
        matches!(
            cause,
            Disconnected::PeerClosed | Disconnected::CutShort | Disconnected::Io(_)
        ),
        "{cause}"
    );
}

#[tokio::test]
async fn a_view_that_does_not_exist_is_an_answer_and_harms_nothing() {
    let (_workers, store) = store(1).await;
    let error = store.lookup("authors", 0).await.unwrap_err();
    assert!(matches!(error, StoreError::Unknown(_)), "{error}");
    store.lookup("articles", 0).await.unwrap();
}

#[tokio::test]
async fn reads_and_writes_have_pools_of_their_own() {
    let (_workers, store) = store(2).await;
    for key in 0..2 {
        store.insert("articles", key, "row").await.unwrap();
    }
    assert_eq!(store.connections(), (0, 2));
}
