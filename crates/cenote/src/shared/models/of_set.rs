//! Shared pools over a set of endpoints, each a toy server of its own: changes of the set, deaths and ejections of
//! endpoints against those who use the pool.

use std::sync::Arc;

use super::roster::goes_out;
use super::*;
use crate::endpoints::{Balance, Ejection, EndpointSet, Outcome, SetSender, channel};
use crate::settings::SECOND;

/// Leases that a connection carries, and so an endpoint, which has one.
const EACH: usize = 2;

/// The servers of the endpoints, whose keys are their indices, and what changes the set.
struct Service {
    servers: Vec<Server>,
    sender: Arc<SetSender<usize>>,
}

impl Service {
    /// The servers that there ever are, of which the set has those in `keys` at first, and a pool over it.
    fn new(servers: usize, keys: &[usize]) -> (Self, SharedPoolBuilder<Toy>) {
        let (sender, source) = channel();
        let service = Self {
            servers: (0..servers).map(|_| Server::new(EACH)).collect(),
            sender: Arc::new(sender),
        };
        if !keys.is_empty() {
            service.sender.send(EndpointSet::of(keys.iter().copied()));
        }
        let rules = [
            Balance::PowerOfTwo,
            Balance::LeastLoaded,
            Balance::RoundRobin,
            Balance::Random,
        ];
        let servers = service.servers.clone();
        let builder =
            SharedPool::balanced(source, move |endpoint| servers[endpoint.key].connector());
        let builder = builder
            .max_per_endpoint(1)
            .balance(rules[below(rules.len())])
            .acquire_timeout(None)
            .check_after_idle(None)
            .keepalive(None)
            .seed(1);
        (service, builder)
    }

    /// Changes the set to each of these in turn.
    fn changer<const N: usize>(&self, sets: [&'static [usize]; N]) -> Party {
        let sender = Arc::clone(&self.sender);
        party(async move {
            for keys in sets {
                sender.send(EndpointSet::of(keys.iter().copied()));
                dawdle();
            }
        })
    }

    /// All leases that the endpoints with these keys carry, those of the first key first. None is held while another is
    /// waited for: it may be on a connection that drains, and keep its endpoint from having another.
    async fn all_of(&self, pool: &SharedPool<Toy>, keys: &[usize]) -> Vec<SharedLease<Toy>> {
        let count = keys.len() * EACH;
        let mut leases: Vec<_> = Vec::new();
        while leases.len() < count {
            leases.clear();
            drop(served(pool).await);
            shuttle::future::yield_now().await;
            let at_once = std::iter::from_fn(|| pool.try_get().ok());
            leases.extend(at_once.take(count));
        }
        let key = |lease: &SharedLease<Toy>| {
            let server = &SharedLease::connector(lease).0;
            self.servers.iter().position(|other| other.is(server))
        };
        leases.sort_by_key(key);
        let expected = keys.iter().flat_map(|key| vec![Some(*key); EACH]);
        assert!(leases.iter().map(key).eq(expected), "of other endpoints");
        leases
    }

    /// The end of every model: all leases that the endpoints with these keys carry can be had at once, and are counted
    /// exactly; and the close ends with nothing left open.
    fn ends_whole(&self, pool: SharedPool<Toy>, keys: &[usize]) {
        let leases = block_on(self.all_of(&pool, keys));
        pool.core.state().active.assert_exact();
        drop(leases);
        self.ends(pool);
    }

    fn ends(&self, pool: SharedPool<Toy>) {
        pool.core.state().active.assert_exact();
        assert_eq!(pool.status().sharing.unwrap().in_flight, 0);
        assert_eq!(block_on(pool.close()).abandoned, 0);
        drop(pool);
        self.servers.iter().for_each(Server::is_left);
    }
}

/// Uses its leases, and gives them back one after the other.
fn returner(leases: Vec<SharedLease<Toy>>) -> Party {
    party(async move {
        for lease in leases {
            lease.use_it();
            drop(lease);
            dawdle();
        }
    })
}

/// A pool with leases on all that endpoints 0 and 1 carry.
fn full() -> (Service, SharedPool<Toy>, [Vec<SharedLease<Toy>>; 2]) {
    full_with(Ejection::default())
}

/// As [`full`], where one failed call ejects.
fn opinionated() -> (Service, SharedPool<Toy>, [Vec<SharedLease<Toy>>; 2]) {
    full_with(Ejection::default().consecutive_failures(1))
}

fn full_with(ejection: Ejection) -> (Service, SharedPool<Toy>, [Vec<SharedLease<Toy>>; 2]) {
    let (service, builder) = Service::new(2, &[0, 1]);
    let pool = builder.ejection(ejection).build().unwrap();
    let mut of_0 = block_on(service.all_of(&pool, &[0, 1]));
    let of_1 = of_0.split_off(EACH);
    (service, pool, [of_0, of_1])
}

/// A pool whose roster, with both endpoints, is out; one failed call ejects.
fn rostered() -> (Service, SharedPool<Toy>) {
    let (service, builder) = Service::new(2, &[0, 1]);
    let rules = [Balance::PowerOfTwo, Balance::PeakEwma, Balance::Random];
    let builder = builder.balance(rules[below(rules.len())]);
    let pool = builder.ejection(Ejection::default().consecutive_failures(1));
    let pool = pool.build().unwrap();
    drop(block_on(service.all_of(&pool, &[0, 1])));
    block_on(goes_out(&pool));
    (service, pool)
}

#[test]
fn who_waits_while_an_endpoint_is_removed_is_served_by_the_other() {
    explore(|| {
        let (service, pool, [of_0, of_1]) = full();
        race([
            user(&pool, 1),
            user(&pool, 1),
            user(&pool, 1),
            service.changer([&[1]]),
            returner(of_1),
        ]);
        drop(of_0);
        service.servers[0].is_left();
        service.ends_whole(pool, &[1]);
    });
}

#[test]
fn permits_of_an_endpoint_that_leaves_serve_nobody_whenever_they_come_back() {
    explore(|| {
        let (service, pool, [of_0, of_1]) = full();
        race([
            user(&pool, 1),
            user(&pool, 1),
            service.changer([&[1]]),
            returner(of_0),
            returner(of_1),
        ]);
        service.servers[0].is_left();
        service.ends_whole(pool, &[1]);
    });
}

/// mongo-rust-driver #294: the first server came to be known between a caller's look and its wait.
#[test]
fn a_caller_is_served_by_the_first_endpoint_whenever_that_is_added() {
    explore(|| {
        let (service, builder) = Service::new(1, &[]);
        let pool = builder.build().unwrap();
        race([user(&pool, 1), user(&pool, 1), service.changer([&[0]])]);
        service.ends_whole(pool, &[0]);
    });
}

#[test]
fn an_endpoint_that_comes_back_while_it_has_leases_serves_who_waits() {
    explore(|| {
        let (service, pool, [of_0, of_1]) = full();
        race([
            user(&pool, 1),
            user(&pool, 1),
            service.changer([&[1], &[0, 1]]),
            returner(of_0),
        ]);
        drop(of_1);
        service.ends_whole(pool, &[0, 1]);
    });
}

#[test]
fn a_set_replaced_whole_against_users_serves_them_all() {
    explore(|| {
        let (service, builder) = Service::new(4, &[0, 1]);
        let pool = builder.build().unwrap();
        race([
            user(&pool, 2),
            user(&pool, 1),
            leaver(&pool),
            service.changer([&[2, 3]]),
        ]);
        service.servers[0].is_left();
        service.servers[1].is_left();
        service.ends_whole(pool, &[2, 3]);
    });
}

#[test]
fn who_waits_while_an_endpoint_is_ejected_is_served_by_the_other() {
    explore(|| {
        let (service, pool, [of_0, of_1]) = opinionated();
        let failer = party(async move {
            SharedLease::outcome(&of_0[0], Outcome::Failed);
            drop(of_0);
        });
        race([user(&pool, 2), user(&pool, 1), failer, returner(of_1)]);
        service.ends(pool);
    });
}

#[test]
fn endpoints_that_are_all_ejected_serve_all_the_same() {
    explore(|| {
        let (service, pool, leases) = opinionated();
        let [one, other] = leases.map(|leases| {
            party(async move {
                SharedLease::outcome(&leases[0], Outcome::Failed);
                drop(leases);
            })
        });
        race([user(&pool, 1), user(&pool, 1), one, other]);
        service.ends_whole(pool, &[0, 1]);
    });
}

#[test]
fn who_waits_while_an_endpoint_dies_is_served_by_another() {
    explore(|| {
        let (service, pool, [of_0, of_1]) = full();
        let killer = party(async move {
            of_0[0].die();
            drop(of_0);
        });
        race([
            user(&pool, 1),
            user(&pool, 1),
            leaver(&pool),
            killer,
            returner(of_1),
        ]);
        service.ends_whole(pool, &[0, 1]);
    });
}

#[test]
fn a_close_beside_users_and_changes_ends_with_the_last_of_them() {
    explore(|| {
        let (service, builder) = Service::new(3, &[0, 1]);
        let pool = builder.build().unwrap();
        race([
            caller(&pool),
            caller(&pool),
            closer(&pool),
            service.changer([&[1, 2]]),
        ]);
        service.ends(pool);
    });
}

#[test]
fn who_waits_beside_an_endpoint_on_trial_is_served_whenever_its_lease_ends() {
    explore(|| {
        let (service, pool, [of_0, of_1]) = opinionated();
        SharedLease::outcome(&of_0[0], Outcome::Failed);
        let retirer = {
            let pool = pool.clone();
            party(async move {
                let lease = served(&pool).await;
                SharedLease::retire(&lease);
                lease.use_it();
            })
        };
        race([
            // Longer than the first ejection.
            time_passes(3),
            user(&pool, 2),
            user(&pool, 1),
            retirer,
            returner(of_1),
        ]);
        drop(of_0);
        service.ends(pool);
    });
}

#[test]
fn endpoints_that_nobody_uses_rest_and_serve_again() {
    explore(|| {
        let (service, pool, leases) = full();
        drop(leases);
        race([
            time_passes(4),
            user(&pool, 2),
            user(&pool, 1),
            leaver(&pool),
        ]);
        service.ends_whole(pool, &[0, 1]);
    });
}

#[test]
fn old_connections_of_a_set_are_replaced_against_users() {
    explore(|| {
        let (service, builder) = Service::new(2, &[0, 1]);
        let pool = builder
            .max_per_endpoint(2)
            .max_lifetime(SECOND)
            .build()
            .unwrap();
        let kept = block_on(served(&pool));
        race([
            time_passes(4),
            user(&pool, 2),
            user(&pool, 1),
            leaver(&pool),
        ]);
        drop(kept);
        service.ends(pool);
    });
}

#[test]
fn an_endpoint_that_leaves_while_leases_take_no_lock_is_left_with_the_last_of_them() {
    explore(|| {
        let (service, pool) = rostered();
        race([
            user(&pool, 2),
            user(&pool, 2),
            leaver(&pool),
            service.changer([&[1]]),
        ]);
        service.servers[0].is_left();
        service.ends_whole(pool, &[1]);
    });
}

#[test]
fn an_endpoint_ejected_while_leases_take_no_lock_keeps_nobody_waiting() {
    explore(|| {
        let (service, pool) = rostered();
        let failer = {
            let pool = pool.clone();
            party(async move {
                let lease = served(&pool).await;
                SharedLease::outcome(&lease, Outcome::Failed);
                lease.use_it();
            })
        };
        race([
            time_passes(3),
            failer,
            user(&pool, 2),
            user(&pool, 2),
            pair(&pool),
        ]);
        service.ends(pool);
    });
}
