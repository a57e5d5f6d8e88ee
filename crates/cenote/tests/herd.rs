//! A fleet of pools after an outage: a server that can take only so many handshakes a second must not be
//! kept down by those who want it back.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote::{Connect, ConnectFailures, Pool};
use futures::future::join_all;
use tokio::time::{Instant, sleep_until};

/// 160 handshakes a second, one after the other, those too that nobody waits for any more.
const HANDSHAKE: Duration = Duration::from_micros(6_250);

#[derive(Clone)]
struct Server {
    free_at: Arc<Mutex<Instant>>,
    up_at: Instant,
}

impl Connect for Server {
    type Connection = ();
    type Error = Infallible;

    async fn connect(&self) -> Result<(), Infallible> {
        if Instant::now() < self.up_at {
            // Down: packets vanish.
            return std::future::pending().await;
        }
        let done = {
            let mut free_at = self.free_at.lock().unwrap();
            *free_at = (*free_at).max(Instant::now()) + HANDSHAKE;
            *free_at
        };
        sleep_until(done).await;
        Ok(())
    }
}

/// 100 pools of 10 against 160 handshakes a second with a connect time-out of 1 s: 6.3 s at best. Dialling
/// again at once never recovers, unlimited dials with full jitter take 200 s. Each pool counts as recovered
/// when all its 10 users are served at the same time.
#[tokio::test(start_paused = true)]
async fn a_hundred_pools_recover_from_an_outage_in_seconds() {
    let began = Instant::now();
    let up_at = began + Duration::from_secs(60);
    let server = Server {
        free_at: Arc::new(Mutex::new(began)),
        up_at,
    };
    let recoveries = (0..100).map(|_| {
        let pool = Pool::builder(server.clone())
            .max_size(10)
            .connect_timeout(Duration::from_secs(1))
            .connect_failures(ConnectFailures::KeepWaiting)
            .acquire_timeout(None)
            .build()
            .unwrap();
        tokio::spawn(async move {
            let all = join_all((0..10).map(|_| pool.get())).await;
            assert!(all.iter().all(Result::is_ok));
            Instant::now().duration_since(up_at)
        })
    });
    let mut recoveries: Vec<_> = join_all(recoveries.collect::<Vec<_>>())
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    recoveries.sort();
    let (half, last) = (recoveries[49], recoveries[99]);
    assert!(
        last <= Duration::from_secs(30),
        "half of them after {half:?}, the last after {last:?}"
    );
}
