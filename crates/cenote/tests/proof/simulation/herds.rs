//! Herds: many who want the same thing at once, after an outage, at the end of a lifetime, in a spike.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote::report::{CloseReason, EventKind};
use cenote::settings::ConnectFailures;
use cenote::{Connect, Dial, Pool, Verdict};
use futures::future::join_all;
use tokio::time::{Instant, sleep, sleep_until};

use super::on_virtual_time;

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

    async fn connect(&self, _: &Dial) -> Result<(), Infallible> {
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

    fn verdict(&self, _: &mut ()) -> Verdict {
        Verdict::Reuse
    }
}

/// When half of a hundred pools of ten, and when the last, have all their connections again after an outage
/// of a minute.
async fn recovery(max_connecting: usize) -> (Duration, Duration) {
    let began = Instant::now();
    let up_at = began + Duration::from_secs(60);
    let server = Server {
        free_at: Arc::new(Mutex::new(began)),
        up_at,
    };
    let recoveries = (0..100).map(|seed| {
        let pool = Pool::builder(server.clone())
            .seed(seed)
            .max_size(10)
            .max_connecting(max_connecting)
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
    let recoveries = join_all(recoveries.collect::<Vec<_>>()).await;
    let mut recoveries: Vec<_> = recoveries.into_iter().map(Result::unwrap).collect();
    recoveries.sort();
    (recoveries[49], recoveries[99])
}

/// 100 pools of 10 against 160 handshakes a second and a connect time-out of 1 s: 6.3 s is the ideal.
/// Dialling again at once never recovers, unlimited dials with exponential back-off take 85 s, with full
/// jitter 200 s; two dials at once behind one gate 14 to 18 s.
#[test]
fn a_hundred_pools_recover_from_an_outage_in_seconds() {
    let (half, last) = on_virtual_time(recovery(2));
    let expected = Duration::from_secs(6)..Duration::from_secs(20);
    assert!(
        expected.contains(&last),
        "half after {half:?}, all after {last:?}"
    );
}

/// sqlx #2854, pgx #1437: connections opened together end together, life after life.
#[test]
fn lifetimes_that_began_together_do_not_end_together() {
    let closed = Arc::new(Mutex::new(Vec::new()));
    let most = on_virtual_time(async {
        let began = Instant::now();
        let log = closed.clone();
        let server = Server {
            free_at: Arc::new(Mutex::new(began)),
            up_at: began,
        };
        let pool = Pool::builder(server)
            .seed(3)
            .max_size(100)
            .min_idle(100)
            .idle_timeout(None)
            .max_lifetime(Duration::from_secs(1_800))
            .on_event(move |event| {
                if let EventKind::Closed {
                    reason: CloseReason::MaxLifetime,
                    ..
                } = &event.kind
                {
                    log.lock().unwrap().push(began.elapsed().as_secs());
                }
            })
            .build()
            .unwrap();
        drop(pool.get().await.unwrap());
        sleep(Duration::from_secs(4 * 1_800)).await;
        let closed = closed.lock().unwrap();
        assert!(
            closed.len() >= 300,
            "three lives at least: {}",
            closed.len()
        );
        let within = |second: &u64| {
            let window = *second..second + 10;
            closed.iter().filter(|at| window.contains(at)).count()
        };
        closed.iter().map(within).max()
    });
    // Spread over the 180 s of the jitter, ten seconds see five or six.
    assert!(most.unwrap() <= 20, "{most:?} of 100 within ten seconds");
}

/// HikariCP's spike, Go #57248: 50 users at once, 5 connections idle, 150 ms to connect, 2 ms of use. A good
/// pool ends at 5 or 6 connections, others at 40 to 50.
#[test]
fn a_spike_that_open_connections_absorb_opens_hardly_any() {
    struct Slow;
    impl Connect for Slow {
        type Connection = ();
        type Error = Infallible;

        async fn connect(&self, _: &Dial) -> Result<(), Infallible> {
            sleep(Duration::from_millis(150)).await;
            Ok(())
        }

        fn verdict(&self, _: &mut ()) -> Verdict {
            Verdict::Reuse
        }
    }
    let size = on_virtual_time(async {
        let pool = Pool::builder(Slow)
            .seed(5)
            .max_size(50)
            .min_idle(5)
            .build()
            .unwrap();
        drop(pool.get().await.unwrap());
        sleep(Duration::from_secs(10)).await;
        assert_eq!(pool.status().idle, 5);
        let users = (0..50).map(|_| async {
            let _lease = pool.get().await.unwrap();
            sleep(Duration::from_millis(2)).await;
        });
        join_all(users).await;
        sleep(Duration::from_secs(1)).await;
        pool.status().size
    });
    assert!((5..=6).contains(&size), "{size} connections");
}
