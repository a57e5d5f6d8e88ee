//! What the active connections carry is counted exactly, whatever is done to them.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use fastrand::Rng;

use crate::connect::{Connect, Multiplex, Verdict};
use crate::dial::Dial;
use crate::endpoints::{Ejection, Endpoint, EndpointSet, Outcome, channel};
use crate::shared::{Choice, SharedLease, SharedPool};

/// All say the same of what they carry.
#[derive(Clone, Default)]
struct Server(Arc<AtomicUsize>);

impl Connect for Server {
    type Connection = ();
    type Error = Infallible;

    async fn connect(&self, _: &Dial) -> Result<(), Infallible> {
        Ok(())
    }

    fn verdict(&self, (): &mut ()) -> Verdict {
        Verdict::Reuse
    }
}

impl Multiplex for Server {
    fn capacity(&self, (): &()) -> usize {
        self.0.load(Relaxed)
    }
}

const CHOICES: [Choice; 3] = [
    Choice::LeastLoaded,
    Choice::RoundRobin,
    Choice::FirstAvailable,
];

/// Gets, drops, discards, other capacities and outcomes, at random; `step` does what else is to be done.
async fn play(
    pool: SharedPool<Server>,
    server: &Server,
    rng: &mut Rng,
    mut step: impl FnMut(&mut Rng),
) {
    let mut leases = Vec::<SharedLease<Server>>::new();
    for _ in 0..300 {
        let some = rng.usize(..leases.len().max(1));
        match rng.u32(..12) {
            0..6 => leases.extend(pool.get().timeout(ms(20)).await),
            6..8 if some < leases.len() => drop(leases.swap_remove(some)),
            8 if some < leases.len() => {
                let outcome = [Outcome::Ok, Outcome::Failed][rng.usize(..2)];
                SharedLease::outcome(&leases[some], outcome);
            }
            9 if some < leases.len() => SharedLease::discard(leases.swap_remove(some)),
            10 => server.0.store(rng.usize(..5), Relaxed),
            11 => step(rng),
            _ => tokio::time::sleep(ms([1, 50, 2_000][rng.usize(..3)])).await,
        }
        pool.core.state().active.assert_exact();
        if let Some(set) = pool.endpoints() {
            // Those included that drain.
            let in_flight = set.endpoints.iter().map(|endpoint| endpoint.in_flight);
            assert_eq!(in_flight.sum::<usize>(), leases.len());
        }
    }
    drop(leases);
    pool.core.state().active.assert_exact();
}

#[tokio::test(start_paused = true)]
async fn what_the_connections_of_one_endpoint_carry_is_counted_exactly() {
    for seed in 0..10 {
        let (mut rng, server) = (Rng::with_seed(seed), Server::default());
        let pool = SharedPool::builder(server.clone())
            .choice(CHOICES[rng.usize(..3)])
            .seed(seed)
            .build()
            .unwrap();
        let handle = pool.clone();
        let resize = |rng: &mut Rng| handle.resize(1 + rng.usize(..6)).unwrap();
        play(pool, &server, &mut rng, resize).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_endpoints_of_a_set_carry_is_counted_exactly() {
    for seed in 0..20 {
        let (mut rng, server) = (Rng::with_seed(seed), Server::default());
        let (sender, source) = channel();
        sender.send(EndpointSet::of(0..3));
        let connector = server.clone();
        let pool = SharedPool::balanced(source, move |_| connector.clone())
            .choice(CHOICES[rng.usize(..3)])
            .ejection(Ejection::default().consecutive_failures(2))
            .seed(seed)
            .build()
            .unwrap();
        let change = |rng: &mut Rng| {
            let weight = [0, 1, 3][rng.usize(..3)];
            let priority = rng.u16(..2);
            let some = Endpoint::new(rng.u32(..4))
                .weight(weight)
                .priority(priority);
            sender.send(EndpointSet::from([Endpoint::new(rng.u32(..4)), some]));
        };
        play(pool, &server, &mut rng, change).await;
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
