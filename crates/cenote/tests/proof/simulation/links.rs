//! Connections over two links of one trunk: the order in which idle ones are taken can keep one link
//! congested for good ("Solving the Mystery of Link Imbalance", N. Bronson, Facebook, 2014).

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use cenote::settings::IdleOrder;
use cenote::{Connect, Dial, Pool, Verdict};
use fastrand::Rng;
use futures::future::join_all;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until};

use super::on_virtual_time;

/// Queries come in bursts of this many at most, and choose from these connections, half over each link.
const BURST: usize = 40;
const CONNECTIONS: usize = 60;
const BETWEEN: Duration = Duration::from_millis(200);
/// A query takes this, and so much more for each that shares its link.
const QUERY: Duration = Duration::from_millis(5);
const CROWDING: Duration = Duration::from_millis(2);
const CONGESTED: Duration = Duration::from_millis(40);

#[derive(Default)]
struct Trunk {
    dialled: AtomicUsize,
}

impl Connect for Trunk {
    /// The link that it goes over.
    type Connection = usize;
    type Error = Infallible;

    async fn connect(&self, _: &Dial) -> Result<usize, Infallible> {
        Ok(self.dialled.fetch_add(1, Relaxed) % 2)
    }

    fn verdict(&self, _: &mut usize) -> Verdict {
        Verdict::Reuse
    }
}

/// The share of the queries that go over the first link, long after a congestion on it has passed.
async fn share_after_congestion(order: IdleOrder) -> f64 {
    let pool = Pool::builder(Trunk::default())
        .seed(1)
        .max_size(CONNECTIONS)
        .max_connecting(CONNECTIONS)
        .idle_order(order)
        .idle_timeout(None)
        .max_lifetime(None)
        .check_after_idle(None)
        .keepalive(None)
        .build()
        .unwrap();
    drop(join_all((0..CONNECTIONS).map(|_| pool.get())).await);
    let in_flight = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let mut rng = Rng::with_seed(1);
    let began = Instant::now();
    let (mut first, mut all) = (0, 0);
    for burst in 0..300_u32 {
        sleep_until(began + BETWEEN * burst).await;
        let congested = (20..60).contains(&burst);
        let queries = (0..rng.usize(1..=BURST)).map(|_| async {
            let link = pool.get().await.unwrap();
            in_flight[*link].fetch_add(1, Relaxed);
            // All of the burst share the link before any is through.
            yield_now().await;
            let together = u32::try_from(in_flight[*link].load(Relaxed)).unwrap_or(u32::MAX);
            let jam = if congested && *link == 0 {
                CONGESTED
            } else {
                Duration::ZERO
            };
            sleep(QUERY + CROWDING * together + jam).await;
            in_flight[*link].fetch_sub(1, Relaxed);
            *link
        });
        let links = join_all(queries).await;
        if burst >= 200 {
            all += links.len();
            first += links.iter().filter(|&&link| link == 0).count();
        }
    }
    first as f64 / all as f64
}

#[test]
fn most_recent_first_stays_on_the_link_that_was_congested() {
    let share = on_virtual_time(share_after_congestion(IdleOrder::MostRecent));
    assert!(share > 0.6, "{share}");
}

#[test]
fn least_recent_first_returns_to_balance() {
    let share = on_virtual_time(share_after_congestion(IdleOrder::LeastRecent));
    assert!((0.45..0.55).contains(&share), "{share}");
}

/// The default takes slots in their order when many are asked for at once: no memory of who was slow.
#[test]
fn the_default_order_returns_to_balance() {
    let share = on_virtual_time(share_after_congestion(IdleOrder::Local));
    assert!((0.4..0.6).contains(&share), "{share}");
}
