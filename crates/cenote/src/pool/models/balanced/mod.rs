//! Pools over a set of endpoints, each a toy server of its own: changes of the set and deaths of endpoints against those
//! who use the pool. The discovery and the follower are tasks of the model, as dials are.

mod changing;
mod closing;
mod ejecting;
mod failing;

use tokio::sync::Notify;

use super::*;
use crate::endpoints::{Balance, EndpointSet, SetSender, channel};

/// The servers of the endpoints, whose keys are their indices, and what changes the set.
struct Service {
    servers: Vec<Server>,
    /// Counts the connections of all.
    all: Server,
    /// Connections that each may have.
    each: usize,
    sender: Arc<SetSender<usize>>,
    follower: Arc<Notify>,
}

/// Belongs to the follower: tells of its end.
struct Following(Arc<Notify>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Service {
    /// The servers that there ever are, of which the set has those in `keys` at first, and a pool over it with at most
    /// `each` connections to one. As [`builder`](super::builder), with any rule of choosing.
    fn new(servers: usize, each: usize, keys: &[usize]) -> (Self, PoolBuilder<Toy>) {
        Self::bounded(servers, each, servers * each, keys)
    }

    /// As [`new`](Self::new), with at most `max_size` connections in all.
    fn bounded(
        servers: usize,
        each: usize,
        max_size: usize,
        keys: &[usize],
    ) -> (Self, PoolBuilder<Toy>) {
        let (sender, source) = channel();
        let all = Server::new(max_size);
        let service = Self {
            servers: (0..servers).map(|_| Server::one_of(&all, each)).collect(),
            all,
            each,
            sender: Arc::new(sender),
            follower: Arc::default(),
        };
        if !keys.is_empty() {
            service.consists_of(keys);
        }
        let rules = [
            Balance::PowerOfTwo,
            Balance::LeastLoaded,
            Balance::RoundRobin,
            Balance::Random,
        ];
        let servers = service.servers.clone();
        let following = Following(Arc::clone(&service.follower));
        let builder = Pool::balanced(source, move |endpoint| {
            let _ = &following;
            servers[endpoint.key].connector()
        });
        let builder = builder
            .max_per_endpoint(each)
            .max_size(max_size)
            .balance(rules[below(rules.len())])
            .acquire_timeout(None)
            .check_after_idle([None, Some(Duration::ZERO)][below(2)])
            .keepalive(None)
            .seed(1);
        (service, builder)
    }

    /// From now on the set has these.
    fn consists_of(&self, keys: &[usize]) {
        self.sender.send(EndpointSet::of(keys.iter().copied()));
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

    /// Waits until the pool has forgotten the endpoints with these keys, which leaves nothing of them open.
    fn has_lost(&self, keys: &[usize]) {
        keys.iter().for_each(|key| self.servers[*key].is_left());
    }

    /// A lease of each connection that the endpoints with these keys may have, in the order of the keys.
    async fn all_of(&self, pool: &Pool<Toy>, keys: &[usize]) -> Vec<OwnedLease<Toy>> {
        let mut leases = Vec::new();
        for _ in 0..keys.len() * self.each {
            leases.push(pool.get_owned().await.expect("there are as many"));
        }
        let key = |lease: &OwnedLease<Toy>| {
            let is_its = |server| lease.is_of(server);
            self.servers.iter().position(is_its)
        };
        leases.sort_by_key(key);
        let expected = keys.iter().flat_map(|key| vec![Some(*key); self.each]);
        assert!(leases.iter().map(key).eq(expected), "of other endpoints");
        leases
    }

    /// The end of every model: all connections that the endpoints with these keys may have can be leased at once, and
    /// are counted exactly, so none was lost; the close ends with nothing left open; and with its last handle the pool
    /// and its follower are gone.
    fn ends_whole(&self, pool: Pool<Toy>, keys: &[usize]) {
        let counts = |pool: &Pool<Toy>| {
            let endpoints = pool.core.endpoints().expect("the pool is over a set");
            let records = endpoints.all_records();
            let counts = records.map(|record| (record.in_flight(), record.open()));
            let mut counts: Vec<_> = counts.filter(|counts| *counts != (0, 0)).collect();
            counts.sort_unstable();
            counts
        };
        let each = self.each as u32;
        let leases = block_on(self.all_of(&pool, keys));
        assert_eq!(counts(&pool), vec![(each, each); keys.len()], "all leased");
        drop(leases);
        assert_eq!(counts(&pool), vec![(0, each); keys.len()], "all idle");
        self.ends(pool);
    }

    /// As [`ends_whole`](Self::ends_whole), of a pool that may be closed already.
    fn ends(&self, pool: Pool<Toy>) {
        assert_eq!(block_on(pool.close()).abandoned, 0);
        let endpoints = pool.core.endpoints().expect("the pool is over a set");
        for record in endpoints.all_records() {
            let counts = (record.in_flight(), record.open(), record.opening());
            assert_eq!(counts, (0, 0, 0), "after the close");
        }
        block_on(self.follower.notified());
        drop(pool);
        self.is_left_by_all();
    }

    /// Waits until the pool is gone, and with it its follower.
    fn is_left(&self) {
        block_on(self.follower.notified());
        self.is_left_by_all();
    }

    fn is_left_by_all(&self) {
        self.servers.iter().for_each(Server::is_left);
        self.all.is_left();
    }
}
