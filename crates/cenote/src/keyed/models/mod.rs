//! Keys under shuttle: one that is forgotten, removed or closed while others ask for it, and a bound on all of them. What
//! a pool does by itself is in its own models, which also say what a schedule is and how a failed one is repeated.
//!
//! `RUSTFLAGS="--cfg cenote_shuttle" cargo test -p cenote --release --lib keyed::models`

use std::hash::{Hash, Hasher};

use shuttle::future::{block_on, yield_now};

use super::{KeyHandle, Keyed};
use crate::error::GetError;
use crate::pool::models::toy::{Server, Toy};
use crate::pool::models::{Party, below, builder, explore, party, polled_of, race};
use crate::{OwnedLease, Pool};

/// One of two, of the same hash or not.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    number: usize,
    hash: usize,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.hash.hash(hasher);
    }
}

/// A server of each key, and pools of one connection by key.
struct World {
    keys: [Key; 2],
    /// Counts the connections of both.
    all: Server,
    servers: [Server; 2],
    pools: Pools,
}

type Pools = Keyed<Key, Pool<Toy>>;

impl World {
    fn new() -> Self {
        Self::with(1, None)
    }

    /// There are never more than `most` connections of a key, and of all never more than `max_total`.
    fn with(most: usize, max_total: Option<usize>) -> Self {
        let hashes = [[7, 7], [0, 1]][below(2)];
        let keys = [0, 1].map(|number| Key {
            number,
            hash: hashes[number],
        });
        let all = Server::new(max_total.unwrap_or(2 * most));
        let servers = [(); 2].map(|()| Server::one_of(&all, most));
        let of = servers.clone();
        let pools = Keyed::builder(move |key: &Key| builder(&of[key.number], 1));
        let pools = match max_total {
            Some(max) => pools.max_total(max),
            None => pools,
        };
        Self {
            keys,
            all,
            servers,
            pools: pools.build().unwrap(),
        }
    }

    /// A lease of this key, for which there must be a connection sooner or later.
    fn leased(&self, key: usize) -> OwnedLease<Toy> {
        block_on(served(&self.pools, &self.keys[key]))
    }

    /// One of those who race, with the pools and this key.
    fn party<F: Future<Output = ()> + Send>(
        &self,
        key: usize,
        act: impl FnOnce(Pools, Key) -> F + Send + 'static,
    ) -> Party {
        let (pools, key) = (self.pools.clone(), self.keys[key].clone());
        party(async move { act(pools, key).await })
    }

    /// Gets, uses and gives back.
    fn user(&self, key: usize) -> Party {
        self.party(key, async |pools, key| served(&pools, &key).await.use_it())
    }

    /// Gets, uses and discards, `times` over, and looks whether there is one more: with its lease the key has nothing left,
    /// unless another has come.
    fn discarder(&self, key: usize, times: usize) -> Party {
        self.party(key, async move |pools, key| {
            for _ in 0..times {
                let mut lease = served(&pools, &key).await;
                lease.use_it();
                OwnedLease::discard(lease);
            }
            if let Ok(mut lease) = pools.try_get(&key) {
                lease.use_it();
                OwnedLease::discard(lease);
            }
        })
    }

    /// Gets, uses and gives back, or learns that the key's pool is closed.
    fn caller(&self, key: usize) -> Party {
        self.party(key, async |pools, key| match pools.get(&key).await {
            Ok(mut lease) => lease.use_it(),
            Err(GetError::Closed { .. }) => {}
            Err(other) => panic!("{other}"),
        })
    }

    /// The end of every model: time stands still, so nothing but what ended last has a key forgotten. A dial may have been
    /// for a caller that had another connection: what it opened stays until it is closed.
    fn ends(self) {
        self.ends_by_itself_or(|pools| pools.evict());
    }

    fn ends_by_itself_or(self, closes_idle: impl Fn(&Pools)) {
        let Self {
            all,
            servers,
            pools,
            ..
        } = self;
        block_on(async {
            while !pools.is_empty() && all.open() == 0 {
                yield_now().await;
            }
            closes_idle(&pools);
            while !pools.is_empty() {
                yield_now().await;
            }
        });
        let budget = pools.status().budget;
        assert_eq!(budget.map_or(0, |budget| budget.connections), 0);
        if !pools.is_closed() {
            // No thread has a pool at hand that is forgotten.
            servers.iter().for_each(Server::is_left);
        }
        assert_eq!(block_on(pools.close()).abandoned, 0);
        drop(pools);
        servers.iter().for_each(Server::is_left);
        assert_eq!(all.open(), 0);
    }
}

async fn served(pools: &Pools, key: &Key) -> OwnedLease<Toy> {
    let lease = pools.get(key).await;
    lease.expect("none is closed, and all connect")
}

/// Of a key there is one pool at a time, of one connection: its server would complain of a second.
#[test]
fn a_key_that_is_forgotten_while_others_ask_for_it_serves_them_all_and_is_there_once() {
    explore(|| {
        let world = World::new();
        let lease = world.leased(0);
        let returner = party(async move { OwnedLease::discard(lease) });
        race([world.discarder(0, 2), world.discarder(0, 1), returner]);
        world.ends();
    });
}

#[test]
fn a_key_that_two_ask_for_first_is_made_once() {
    explore(|| {
        let world = World::new();
        race([world.user(0), world.user(0), world.discarder(1, 1)]);
        world.ends();
    });
}

#[test]
fn keys_of_one_hash_come_and_go_without_each_other() {
    explore(|| {
        let world = World::new();
        race([
            world.discarder(0, 1),
            world.discarder(1, 1),
            world.discarder(0, 1),
            world.discarder(1, 1),
        ]);
        world.ends();
    });
}

#[test]
fn an_evict_against_gets_loses_nobody_and_leaves_nothing() {
    explore(|| {
        let world = World::new();
        drop(world.leased(0));
        let evictor = world.party(0, async |pools, _| pools.evict());
        race([world.user(0), world.discarder(0, 1), evictor]);
        world.ends();
    });
}

/// The connection of the pool that was removed may still be there when the next one opens its own.
#[test]
fn a_remove_against_gets_serves_whoever_asks_again() {
    explore(|| {
        let world = World::with(2, None);
        drop(world.leased(0));
        let remover = world.party(0, async |pools, key| {
            if let Some(close) = pools.remove(&key) {
                assert_eq!(close.await.abandoned, 0);
            }
        });
        let asker = || {
            world.party(0, async |pools, key| {
                let mut lease = match pools.get(&key).await {
                    Ok(lease) => lease,
                    Err(GetError::Closed { .. }) => served(&pools, &key).await,
                    Err(other) => panic!("{other}"),
                };
                lease.use_it();
                OwnedLease::discard(lease);
            })
        };
        race([asker(), asker(), remover]);
        world.ends();
    });
}

/// Each that closes waits for all, whichever was first.
#[test]
fn closes_against_gets_serve_or_refuse_each_and_leave_nothing_open() {
    explore(|| {
        let world = World::new();
        let mut leased = world.leased(0);
        let closer = || {
            let all = world.all.clone();
            world.party(1, async move |pools, key| {
                assert_eq!(pools.close().await.abandoned, 0);
                assert_eq!(all.open(), 0, "open after the close");
                let next = pools.get(&key).await.map(drop);
                assert!(matches!(next, Err(GetError::Closed { .. })), "{next:?}");
            })
        };
        let returner = party(async move { leased.use_it() });
        race([
            world.caller(0),
            world.caller(1),
            returner,
            closer(),
            closer(),
        ]);
        world.ends();
    });
}

#[test]
fn the_last_of_the_pools_dropped_against_a_return_and_a_get_leaves_nothing() {
    explore(|| {
        let world = World::new();
        let mut leased = world.leased(0);
        let leaver = world.party(1, async |pools, key| {
            drop(polled_of(pools.get(&key), below(3)));
        });
        let World { servers, pools, .. } = world;
        race([
            leaver,
            party(async move { leased.use_it() }),
            party(async move { drop(pools) }),
        ]);
        servers.iter().for_each(Server::is_left);
    });
}

/// With one permit for both keys, what was granted to a caller that leaves goes on to the next.
#[test]
fn a_get_dropped_at_any_poll_under_a_total_of_one_keeps_no_permit() {
    explore(|| {
        let world = World::with(1, Some(1));
        let leaver = world.party(1, async |pools, key| {
            drop(polled_of(pools.get(&key), below(4)));
        });
        race([world.user(0), world.discarder(1, 1), leaver]);
        // Whichever had it last.
        drop(world.leased(0));
        drop(world.leased(1));
        world.ends();
    });
}

#[test]
fn callers_of_two_keys_under_a_total_of_one_are_all_served() {
    explore(|| {
        let world = World::with(1, Some(1));
        race([world.user(0), world.user(1), world.discarder(0, 1)]);
        world.ends();
    });
}

/// One of them sees the other gone, and has the key forgotten: nobody comes by later.
#[test]
fn a_handle_dropped_against_the_end_of_the_last_connection_leaves_no_key() {
    explore(|| {
        let world = World::new();
        let lease = world.leased(0);
        let handle = world.pools.pool(&world.keys[0]).unwrap();
        let other = handle.clone();
        race([
            party(async move { drop(handle) }),
            party(async move { drop(KeyHandle::clone(&other)) }),
            party(async move { OwnedLease::discard(lease) }),
        ]);
        world.ends_by_itself_or(|pools| assert!(pools.is_empty()));
    });
}

#[test]
fn looks_at_all_keys_against_the_end_of_their_last_connections_leave_no_key() {
    explore(|| {
        let world = World::new();
        let leases = [world.leased(0), world.leased(1)];
        let looker = world.party(0, async |pools, key| {
            assert!(pools.status().keys <= 2);
            drop(pools.find(&key));
            drop(pools.pools());
        });
        race([
            looker,
            party(async move { leases.into_iter().for_each(OwnedLease::discard) }),
        ]);
        world.ends_by_itself_or(|pools| assert!(pools.is_empty()));
    });
}
