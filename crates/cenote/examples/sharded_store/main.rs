//! A store of views and sharded tables, its workers and its clients in one process; one worker is killed and
//! started again while the clients run.
//!
//! `cargo run --release -p cenote --example sharded_store`

mod client;
mod protocol;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use client::Store;
use worker::Worker;

const WORKERS: usize = 3;
const CLIENTS: u64 = 200;

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
    let views: Vec<_> = workers.iter().map(Worker::views).collect();
    let table: Vec<_> = workers.iter().map(Worker::table).collect();
    let store = Arc::new(Store::new(&views, &table)?);

    let tally = Arc::new(Tally::default());
    let mut clients = JoinSet::new();
    for id in 0..CLIENTS {
        clients.spawn(work(id, store.clone(), tally.clone()));
    }

    for second in 1..=6 {
        match second {
            3 => {
                println!("killing worker 1");
                workers[1].kill();
            }
            5 => {
                println!("starting it again");
                workers[1].restart().await?;
            }
            _ => {}
        }
        sleep(Duration::from_secs(1)).await;
        let (readers, writers) = store.connections();
        println!(
            "second {second}: {} answered, {} failed; {readers} connections to read, {writers} to write",
            tally.answered.swap(0, Relaxed),
            tally.failed.swap(0, Relaxed),
        );
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
