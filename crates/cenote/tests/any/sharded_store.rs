//! The parts of `examples/sharded_store` do what the example shows, and what Noria's client lacks.

#[path = "../../examples/sharded_store/client.rs"]
mod client;
#[path = "../../examples/sharded_store/directory.rs"]
mod directory;
#[path = "../../examples/sharded_store/protocol.rs"]
mod protocol;
#[path = "../../examples/sharded_store/worker.rs"]
mod worker;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use cenote::GetError;
use cenote::mux::{CallError, Disconnected, Sent};
use client::{Store, StoreError};
use directory::Directory;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use worker::Worker;

/// For requests none of which is to fail, and for those of which some must.
const PATIENT: Duration = Duration::from_secs(60);
const IMPATIENT: Duration = Duration::from_secs(1);

async fn store(workers: usize) -> (Vec<Worker>, Directory, Arc<Store>) {
    store_with(workers, PATIENT).await
}

async fn store_with(workers: usize, patience: Duration) -> (Vec<Worker>, Directory, Arc<Store>) {
    let mut started = Vec::new();
    for _ in 0..workers {
        started.push(Worker::start().await.expect("free ports"));
    }
    let (directory, store) = Directory::of(&started, patience).expect("good settings");
    (started, directory, Arc::new(store))
}

/// Waits until it is so, for as long as a slow machine may need.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let happens = async {
        while !is_so() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let happened = timeout(Duration::from_secs(60), happens).await;
    happened.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Clients that write and read on, each under a key of its own, until they are told to end; how often they did.
struct Clients {
    working: JoinSet<u64>,
    is_over: Arc<AtomicBool>,
    turns: Arc<AtomicU64>,
}

impl Clients {
    /// Every failure is a panic.
    fn start(store: &Arc<Store>, many: u64) -> Self {
        let (is_over, turns) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let mut working = JoinSet::new();
        for id in 0..many {
            let (store, is_over, turns) = (store.clone(), is_over.clone(), turns.clone());
            working.spawn(async move {
                for turn in 0.. {
                    if is_over.load(SeqCst) {
                        return turn;
                    }
                    let row = format!("{id}/{turn}");
                    store.insert("articles", id, &row).await.unwrap();
                    let rows = store.lookup("articles", id).await.unwrap();
                    assert_eq!(rows.last(), Some(&row));
                    turns.fetch_add(1, SeqCst);
                }
                unreachable!("there are enough numbers");
            });
        }
        Self {
            working,
            is_over,
            turns,
        }
    }

    fn turns(&self) -> u64 {
        self.turns.load(SeqCst)
    }

    async fn end(mut self) {
        self.is_over.store(true, SeqCst);
        while let Some(done) = self.working.join_next().await {
            assert!(done.unwrap() > 0);
        }
    }
}

#[tokio::test]
async fn every_client_reads_what_it_wrote_though_replies_come_in_any_order() {
    let (_workers, _directory, store) = store(3).await;
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
    let (_workers, _directory, store) = store(3).await;
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
    let (mut workers, _directory, store) = store_with(3, IMPATIENT).await;
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
    let (mut workers, _directory, store) = store(1).await;
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
    let (_workers, _directory, store) = store(1).await;
    let error = store.lookup("authors", 0).await.unwrap_err();
    assert!(matches!(error, StoreError::Unknown(_)), "{error}");
    store.lookup("articles", 0).await.unwrap();
}

/// Noria: a pool of 16 for the views of each shard, one of 2 for each shard of a table.
#[tokio::test]
async fn reads_and_writes_of_each_shard_have_pools_of_their_own() {
    let (workers, _directory, store) = store(2).await;
    for key in 0..2 {
        store.insert("articles", key, "row").await.unwrap();
        store.lookup("articles", key).await.unwrap();
    }
    let all = (2 * client::READERS, 2 * client::WRITERS);
    until("all are open", || store.connections() == all).await;
    until("each worker has its part", || {
        workers
            .iter()
            .all(|worker| worker.open() == client::READERS + client::WRITERS)
    })
    .await;
}

/// Noria asks its controller again every 100 ms, without end, and only once a request has failed.
#[tokio::test]
async fn a_worker_moves_to_other_addresses_under_its_clients_and_no_request_fails() {
    let (mut workers, directory, store) = store(2).await;
    let clients = Clients::start(&store, 20);
    until("clients work", || clients.turns() > 100).await;
    let moved = workers[1].beside().await.unwrap();
    directory.moved(1, &moved);
    until("nothing is left where it was", || workers[1].open() == 0).await;
    workers[1].kill();
    let before = clients.turns();
    until("clients work on", || clients.turns() > before + 100).await;
    until("all is at the other addresses", || {
        moved.open() == client::READERS + client::WRITERS
    })
    .await;
    clients.end().await;
}

#[tokio::test]
async fn a_shard_is_read_at_as_many_addresses_as_it_has() {
    let (workers, directory, store) = store(1).await;
    let clients = Clients::start(&store, 20);
    let other = workers[0].beside().await.unwrap();
    directory.read_at(0, &[&workers[0], &other]);
    until("the other has connections", || other.open() > 0).await;
    let (readers, writers) = store.connections();
    assert!(readers <= client::READERS && writers <= client::WRITERS);
    // The first is read no more, and nothing fails for it.
    directory.read_at(0, &[&other]);
    until("the first is only written to", || {
        workers[0].open() <= client::WRITERS
    })
    .await;
    clients.end().await;
}

/// A shard that answers nothing, and one that has an error at once.
#[tokio::test]
async fn of_a_request_for_many_shards_the_first_error_wins_and_the_rest_is_cancelled() {
    let (workers, _directory, store) = store(2).await;
    workers[0].set_answers(false);
    let error = store.lookup_all("authors", &[0, 1]).await.unwrap_err();
    assert!(matches!(error, StoreError::Unknown(_)), "{error}");
    assert_eq!(store.load(), 0, "nobody waits for the other shard");
    workers[0].set_answers(true);
    // Replies to what was cancelled reach nobody.
    for key in [0, 2, 4] {
        let row = format!("of {key}");
        store.insert("articles", key, &row).await.unwrap();
        assert_eq!(store.lookup("articles", key).await.unwrap(), [row]);
    }
}

/// No more wait for a shard than may, and each of them for a bounded time.
#[tokio::test]
async fn beyond_its_bounds_a_shard_that_hangs_refuses_and_others_serve() {
    let (workers, _directory, store) = store_with(2, IMPATIENT).await;
    for key in 0..2 {
        store.insert("articles", key, "row").await.unwrap();
        store.lookup("articles", key).await.unwrap();
    }
    workers[0].set_answers(false);
    // What the connections may carry, what may wait, and some more.
    let most = client::READERS * client::PENDING + client::QUEUE;
    let mut asked = JoinSet::new();
    for _ in 0..most + 500 {
        let store = store.clone();
        asked.spawn(async move { store.lookup("articles", 0).await });
    }
    store.lookup("articles", 1).await.unwrap();
    let mut refused = 0;
    while let Some(answer) = asked.join_next().await {
        match answer.unwrap() {
            Err(StoreError::Get(GetError::QueueFull { .. })) => refused += 1,
            Err(_) => {}
            Ok(rows) => panic!("{rows:?} of a worker that answers nothing"),
        }
    }
    assert!(refused > 0);
    workers[0].set_answers(true);
    until_served(&store).await;
}

async fn until_served(store: &Store) {
    let served = async { while store.lookup("articles", 0).await.is_err() {} };
    let served = timeout(Duration::from_secs(60), served).await;
    served.expect("it serves again");
}
