//! The clients of others on `cenote_http::Client`, each set up by the code that the page `cenote_http::clients` shows.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod aws;
mod kube;
mod layers;
mod object_store;
mod octocrab;
mod proto;
mod server;
mod tonic;

use std::future::Future;
use std::time::Duration;

/// What must happen, and does long before this.
async fn soon<F: Future>(future: F) -> F::Output {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, future)
        .await
        .expect("it happens within a minute")
}

/// Waits until something holds that nobody tells of.
async fn until(holds: impl Fn() -> bool) {
    soon(async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

fn http() -> cenote_http::Client {
    cenote_http::Client::builder().build().unwrap()
}
