//! Whether all counts are exact: by a look at each active connection, which tests take and the pool never does.

use super::entry::Tally;
use super::{Active, Part};
use crate::connect::Multiplex;

impl<C: Multiplex> Active<C> {
    /// All counts and lists are what a look at each active connection says.
    pub(in crate::shared) fn assert_exact(&self) {
        let mut totals = Tally::default();
        let mut listed = [0, 0];
        for (i, entry) in self.entries.iter().enumerate() {
            totals.add(self.tally(i));
            assert_eq!(entry.conn.index(), Some(i));
            let belongs = self.part_of(i);
            assert_eq!(entry.roomy_at.map(|(part, _)| part), belongs, "{i}");
            if let Some((part, place)) = entry.roomy_at {
                let (list, count) = match part {
                    Part::Drawn => (&self.roomy.drawn, &mut listed[0]),
                    Part::Spare => (&self.roomy.spare, &mut listed[1]),
                };
                assert_eq!(list[place], i);
                *count += 1;
            }
            if let Some((set, number)) = self.set.as_ref().zip(entry.number) {
                let endpoint = set.endpoint(number).expect("a connection's is known");
                assert_eq!(
                    endpoint
                        .connections
                        .iter()
                        .filter(|known| **known == i)
                        .count(),
                    1
                );
            }
        }
        assert_eq!(totals, self.totals);
        assert_eq!(listed, [self.roomy.drawn.len(), self.roomy.spare.len()]);
        let Some(set) = &self.set else {
            return;
        };
        for number in 0..set.len() {
            let endpoint = set.endpoint(number).expect("it is below the length");
            let of_each = endpoint
                .connections
                .iter()
                .map(|i| self.entries[*i].of_endpoint());
            let sum = of_each.fold((0, 0), |sum, (in_flight, capacity)| {
                (sum.0 + in_flight, sum.1 + capacity)
            });
            assert_eq!(
                sum,
                (endpoint.in_flight, endpoint.capacity),
                "endpoint {number}"
            );
        }
        let known: usize = (0..set.len())
            .filter_map(|number| Some(set.endpoint(number)?.connections.len()))
            .sum();
        assert_eq!(known, self.entries.len());
    }
}

#[cfg(not(cenote_shuttle))]
mod tests {
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
}
