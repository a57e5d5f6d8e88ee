//! A store of views and sharded tables, its workers and its clients in one process. While the clients run, one worker is
//! killed and started again, another moves to other addresses, and a shard of views has a second reader.
//!
//! `cargo run --release -p cenote --example sharded_store`

mod client;
mod directory;
mod protocol;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use client::Store;
use directory::Directory;
use worker::Worker;

const WORKERS: usize = 3;
const CLIENTS: u64 = 200;
/// For how long a request waits for a connection, and then for its reply.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Tally {
    answered: AtomicU64,
    failed: AtomicU64,
    over: AtomicBool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        workers.push(Worker::start().await?);
    }
    let (directory, store) = Directory::of(&workers, PATIENCE)?;
    let store = Arc::new(store);

    let tally = Arc::new(Tally::default());
    let mut clients = JoinSet::new();
    for id in 0..CLIENTS {
        clients.spawn(work(id, store.clone(), tally.clone()));
    }

    let (mut moved, mut second_reader) = (None, None);
    for second in 1..=10 {
        match second {
            3 => {
                println!("killing worker 1");
                workers[1].kill();
            }
            5 => {
                println!("starting it again");
                workers[1].restart().await?;
            }
            6 => {
                println!("worker 0 stops answering, for a second");
                workers[0].set_answers(false);
            }
            7 => {
                workers[0].set_answers(true);
                println!("worker 2 moves to other addresses");
                let other = workers[2].beside().await?;
                directory.moved(2, &other);
                moved = Some(other);
            }
            8 => {
                println!(
                    "where it was, {} connections are open: it ends",
                    workers[2].open()
                );
                workers[2].kill();
            }
            9 => {
                println!("shard 0 is read at two addresses");
                let other = workers[0].beside().await?;
                directory.read_at(0, &[&workers[0], &other]);
                second_reader = Some(other);
            }
            _ => {}
        }
        sleep(Duration::from_secs(1)).await;
        let (readers, writers) = store.connections();
        println!(
            "second {second}: {} answered, {} failed, {} under way; {readers} connections to read, {writers} to write",
            tally.answered.swap(0, Relaxed),
            tally.failed.swap(0, Relaxed),
            store.load(),
        );
    }
    for (name, worker) in [
        ("worker 2, moved", &moved),
        ("reader of shard 0", &second_reader),
    ] {
        let open = worker.as_ref().map_or(0, Worker::open);
        println!("{name}: {open} connections");
    }
    tally.over.store(true, Relaxed);
    while let Some(client) = clients.join_next().await {
        client?;
    }
    Ok(())
}

/// Writes a row under a key of its own, and reads it back with those of its neighbours.
async fn work(id: u64, store: Arc<Store>, tally: Arc<Tally>) {
    let mut failing = None;
    for turn in 0_u64.. {
        if tally.over.load(Relaxed) {
            return;
        }
        let row = format!("row {turn}");
        let done = async {
            store.insert("articles", id, &row).await?;
            let rows = store.lookup("articles", id).await?;
            assert!(rows.contains(&row), "a row that was written is there");
            // Half of the clients need all shards, the others theirs alone.
            let step = if id % 2 == 0 { 1 } else { WORKERS as u64 };
            let neighbours = [id + step, id + 2 * step, id + 3 * step];
            store.lookup_all("articles", &neighbours).await
        };
        match done.await {
            Ok(_) => {
                tally.answered.fetch_add(5, Relaxed);
                failing = None;
            }
            Err(error) => {
                tally.failed.fetch_add(1, Relaxed);
                let kind = std::mem::discriminant(&error);
                if id == 1 && failing.replace(kind) != Some(kind) {
                    println!("  client {id}: {error}");
                }
                // A client of its own mind would try later.
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
