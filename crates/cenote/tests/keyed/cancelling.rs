//! A get by key dropped after every number of polls, while each step goes in every way, with one permit for two keys:
//! whatever happens, no connection, no permit and no key is lost, and who stays is served where anyone can be.

use std::pin::pin;

use cenote::settings::Backoff;
use cenote::{GetError, Keyed, Pool};
use futures::poll;

use crate::server::{Act, ms, pass, secs};
use crate::{Opener, Servers};

type Pools = Keyed<u32, Pool<Opener<u32>>>;

const KEYS: [u32; 2] = [0, 1];
const WAYS: [Act; 4] = [Act::Ok, Act::Slow, Act::Fail, Act::Never];

/// How the steps of a connection's life go.
#[derive(Clone, Copy, Debug)]
struct Steps {
    connect: Act,
    check: Act,
    reset: Act,
    close: Act,
}

impl Steps {
    const FINE: Self = Self {
        connect: Act::Ok,
        check: Act::Ok,
        reset: Act::Ok,
        close: Act::Ok,
    };

    /// Whether a caller can be served: a connection is checked before each lease here.
    fn lead_to_a_lease(self) -> bool {
        let works = |act| matches!(act, Act::Ok | Act::Slow);
        works(self.connect) && works(self.check)
    }
}

/// After how many polls a get is dropped: with nothing but other tasks between two, or some time as well.
#[derive(Clone, Copy, Debug)]
enum Quit {
    AtOnce(usize),
    Slowly(usize),
}

const QUITS: [Quit; 8] = [
    Quit::AtOnce(0),
    Quit::AtOnce(1),
    Quit::AtOnce(2),
    Quit::AtOnce(3),
    Quit::AtOnce(4),
    Quit::Slowly(1),
    Quit::Slowly(3),
    Quit::Slowly(6),
];

/// Longer than any step may take.
const SETTLED: u64 = 3;
/// After that, of a key that nobody uses nothing is left: neither a connection nor a failed dial that is remembered.
const FORGOTTEN: u64 = 20;

fn pools(servers: &Servers<u32>) -> Pools {
    let pools = servers.keyed(|pool| {
        pool.max_size(1)
            .acquire_timeout(secs(8))
            .check_after_idle(secs(0))
            .idle_timeout(secs(10))
            .connect_timeout(ms(500))
            .check_timeout(ms(500))
            .reset_timeout(ms(500))
            .close_timeout(ms(500))
            .backoff(Backoff::new(ms(10), ms(50)))
            .seed(1)
    });
    pools.max_total(1).build().unwrap()
}

fn set(servers: &Servers<u32>, steps: Steps) {
    for key in KEYS {
        servers.at(&key).plan(|plan| {
            (plan.connect, plan.check) = (steps.connect, steps.check);
            (plan.reset, plan.close) = (steps.reset, steps.close);
        });
    }
}

async fn quit(pools: &Pools, key: u32, quit: Quit) {
    let (Quit::AtOnce(polls) | Quit::Slowly(polls)) = quit;
    let mut get = pin!(pools.get(&key));
    for _ in 0..polls {
        if poll!(&mut get).is_ready() {
            return;
        }
        match quit {
            Quit::AtOnce(_) => tokio::task::yield_now().await,
            Quit::Slowly(_) => pass(ms(90)).await,
        }
    }
}

/// Uses a connection of the key for a while, and leaves it in need of a reset.
async fn stay(pools: &Pools, key: u32) -> Result<(), GetError> {
    let mut lease = pools.get(&key).await?;
    assert_eq!(lease.key, key);
    pass(ms(20)).await;
    lease.conn.dirty = true;
    Ok(())
}

#[track_caller]
fn assert_quiet(pools: &Pools, servers: &Servers<u32>, when: &dyn std::fmt::Debug) {
    let status = pools.status();
    let under_way = (
        status.leased,
        status.upkeep,
        status.opening,
        status.waiters,
        status.idle,
    );
    let (open, permits) = (servers.open(), status.budget.as_ref().unwrap());
    assert_eq!(under_way, (0, 0, 0, 0, open), "{when:?}: {status}");
    assert_eq!(
        (permits.connections, permits.waiting),
        (open, 0),
        "{when:?}: {status}"
    );
    assert!(servers.most() <= 1, "{when:?}: {} at once", servers.most());
}

async fn sweep(steps: Steps) {
    let servers = Servers::new();
    let pools = pools(&servers);
    set(&servers, steps);
    for (leaves, how) in QUITS.iter().flat_map(|how| KEYS.map(|key| (key, *how))) {
        let when = (steps, leaves, how);
        // Two of one key and one of the other want the one connection that there may be.
        let (first, (), second, third) = tokio::join!(
            stay(&pools, 0),
            quit(&pools, leaves, how),
            stay(&pools, 1),
            stay(&pools, 0),
        );
        if steps.lead_to_a_lease() {
            for stayed in [first, second, third] {
                stayed.unwrap_or_else(|error| panic!("{when:?}: {error}"));
            }
        }
        // While what they had is on its way back, and when it is there.
        quit(&pools, leaves, how).await;
        pass(secs(SETTLED)).await;
        assert_quiet(&pools, &servers, &when);
        quit(&pools, leaves, how).await;
        pass(secs(FORGOTTEN)).await;
        assert_quiet(&pools, &servers, &when);
        assert_eq!((pools.len(), servers.open()), (0, 0), "{when:?}");
    }
    set(&servers, Steps::FINE);
    for key in KEYS {
        let stayed = stay(&pools, key).await;
        stayed.unwrap_or_else(|error| panic!("{steps:?}: {error}"));
    }
    assert_eq!(pools.close().await.abandoned, 0);
    assert_quiet(&pools, &servers, &steps);
}

/// deadpool test_cancellations, by key; smithy-rs #4708: a caller that left while it waited for a permit.
#[tokio::test(start_paused = true)]
async fn a_get_dropped_at_any_poll_loses_no_connection_no_permit_and_no_key() {
    for connect in WAYS {
        for check in WAYS {
            for [reset, close] in WAYS.map(|way| [[way, Act::Ok], [Act::Ok, way]]).concat() {
                sweep(Steps {
                    connect,
                    check,
                    reset,
                    close,
                })
                .await;
            }
        }
    }
}
