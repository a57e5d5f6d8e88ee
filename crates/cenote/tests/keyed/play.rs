//! Random scripts over a few keys, some of the same hash, against what a naive reference knows: who has what, who waits
//! since when, and so which keys there are.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use cenote::keyed::KeyHandle;
use cenote::{GetError, Keyed, OwnedLease, Pool};
use proptest::prelude::*;

use crate::scripts::runner;
use crate::server::{Act, ms, pass, secs};
use crate::{Opener, Servers};

const KEYS: usize = 6;
/// Beyond any dial and goodbye of these scripts.
const SETTLED: u64 = 5;

/// Two and two have the same hash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(usize);

impl Hash for Key {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_usize(self.0 / 2);
    }
}

/// One thing done. Leases, callers and handles are counted from the oldest, round and round; what there is nothing for
/// does nothing.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// A caller comes for this key.
    Get(usize),
    TryGet(usize),
    Return(usize),
    Discard(usize),
    /// A caller that waits is dropped.
    Cancel(usize),
    Handle(usize),
    DropHandle(usize),
    Evict,
    Connects(Act),
    Closes(Act),
    /// Time passes, in tens of milliseconds, and callers look.
    Pass(u64),
    /// Long enough for all that is under way.
    Settle,
}

fn op() -> impl Strategy<Value = Op> {
    let act = prop_oneof![3 => Just(Act::Ok), 1 => Just(Act::Slow)];
    prop_oneof![
        8 => (0..KEYS).prop_map(Op::Get),
        2 => (0..KEYS).prop_map(Op::TryGet),
        5 => (0..8_usize).prop_map(Op::Return),
        3 => (0..8_usize).prop_map(Op::Discard),
        2 => (0..8_usize).prop_map(Op::Cancel),
        1 => (0..KEYS).prop_map(Op::Handle),
        2 => (0..4_usize).prop_map(Op::DropHandle),
        1 => Just(Op::Evict),
        1 => act.clone().prop_map(Op::Connects),
        1 => act.prop_map(Op::Closes),
        5 => (0..30_u64).prop_map(Op::Pass),
        2 => Just(Op::Settle),
    ]
}

/// What holds for all keys of a script.
#[derive(Clone, Copy, Debug)]
struct Rules {
    max_size: usize,
    max_total: usize,
    /// So short that keys are forgotten as time passes, or longer than the script.
    idle_timeout_secs: u64,
}

fn rules() -> impl Strategy<Value = Rules> {
    let idle_timeout = prop_oneof![Just(1), Just(3_600)];
    (1..4_usize, 1..8_usize, idle_timeout).prop_map(|(max_size, max_total, idle_timeout_secs)| {
        Rules {
            max_size,
            max_total,
            idle_timeout_secs,
        }
    })
}

type Pools = Keyed<Key, Pool<Opener<Key>>>;
type Lease = OwnedLease<Opener<Key>>;
type Handle = KeyHandle<Key, Pool<Opener<Key>>>;
type Getting = Pin<Box<dyn Future<Output = Result<Lease, GetError>>>>;

struct Waiting {
    key: usize,
    get: Getting,
}

struct Play {
    rules: Rules,
    servers: Servers<Key>,
    pools: Pools,
    waiting: VecDeque<Waiting>,
    leases: VecDeque<(usize, Lease)>,
    handles: VecDeque<(usize, Handle)>,
}

/// What is out of order, in words.
type Checked = Result<(), String>;

fn ensure(holds: bool, breach: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(breach()) }
}

impl Play {
    fn new(rules: Rules) -> Self {
        let servers = Servers::new();
        let pools = servers.keyed(move |pool| {
            pool.max_size(rules.max_size)
                .acquire_timeout(None)
                .idle_timeout(secs(rules.idle_timeout_secs))
                .max_lifetime(None)
                .seed(1)
        });
        Self {
            rules,
            pools: pools.max_total(rules.max_total).build().unwrap(),
            servers,
            waiting: VecDeque::new(),
            leases: VecDeque::new(),
            handles: VecDeque::new(),
        }
    }

    async fn run(mut self, ops: &[Op]) -> Checked {
        for (i, op) in ops.iter().enumerate() {
            let done = self.step(*op).await;
            done.map_err(|breach| format!("after operation {i}, {op:?}: {breach}"))?;
        }
        while !self.waiting.is_empty() {
            let before = self.waiting.len();
            self.leases.clear();
            self.step(Op::Settle).await?;
            let waits = self.waiting.len();
            ensure(waits < before, || format!("Fair: {waits} wait for ever"))?;
        }
        self.leases.clear();
        self.handles.clear();
        self.step(Op::Settle).await?;
        self.pools.evict();
        self.step(Op::Settle).await?;
        let left = self.pools.status();
        ensure(left.keys == 0 && self.servers.open() == 0, || {
            format!("Forgotten: {left} when nobody uses any")
        })
    }

    async fn step(&mut self, op: Op) -> Checked {
        let round = |i: usize, all: usize| (all > 0).then(|| i % all.max(1));
        match op {
            Op::Get(key) => {
                let get = Box::pin(get(self.pools.clone(), Key(key)));
                self.waiting.push_back(Waiting { key, get });
            }
            Op::TryGet(key) => self.try_get(key)?,
            Op::Return(i) => drop(round(i, self.leases.len()).map(|i| self.leases.remove(i))),
            Op::Discard(i) => {
                if let Some(i) = round(i, self.leases.len()) {
                    let (_, lease) = self.leases.remove(i).expect("counted round");
                    OwnedLease::discard(lease);
                }
            }
            Op::Cancel(i) => drop(round(i, self.waiting.len()).map(|i| self.waiting.remove(i))),
            Op::Handle(key) => {
                let handle = self.pools.pool(&Key(key)).unwrap();
                self.handles.push_back((key, handle));
            }
            Op::DropHandle(i) => drop(round(i, self.handles.len()).map(|i| self.handles.remove(i))),
            Op::Evict => self.pools.evict(),
            Op::Connects(act) => self.plan(|plan| plan.connect = act),
            Op::Closes(act) => self.plan(|plan| plan.close = act),
            Op::Pass(tens) => pass(ms(10 * tens)).await,
            Op::Settle => loop {
                let before = self.waiting.len();
                self.look()?;
                pass(secs(SETTLED)).await;
                self.look()?;
                pass(ms(1)).await;
                if self.waiting.len() == before {
                    break;
                }
            },
        }
        self.look()?;
        if let Op::Settle = op {
            self.settled()?;
        }
        self.bound()
    }

    fn plan(&self, change: impl Fn(&mut crate::server::Plan)) {
        for key in 0..KEYS {
            self.servers.at(&Key(key)).plan(&change);
        }
    }

    /// Keeps a lease, if it is of the key that was asked for.
    fn keep(&mut self, key: usize, lease: Lease) -> Checked {
        ensure(lease.key == Key(key), || {
            format!("Own: {:?} was given for {key}", lease.key)
        })?;
        self.leases.push_back((key, lease));
        Ok(())
    }

    fn leased(&self, key: usize) -> usize {
        self.leases.iter().filter(|(of, _)| *of == key).count()
    }

    fn try_get(&mut self, key: usize) -> Checked {
        let others = self.servers.at(&Key(key)).open() - self.leased(key);
        let Ok(lease) = self.pools.try_get(&Key(key)) else {
            return Ok(());
        };
        ensure(others > 0, || {
            format!("Exclusive: all connections of {key} are leased")
        })?;
        self.keep(key, lease)
    }

    /// Callers look, the newest first: what one of them finds, an older one of the same key has found too.
    fn look(&mut self) -> Checked {
        let mut passed = [false; KEYS];
        let mut cx = Context::from_waker(Waker::noop());
        for i in (0..self.waiting.len()).rev() {
            let Waiting { key, get } = &mut self.waiting[i];
            let key = *key;
            match get.as_mut().poll(&mut cx) {
                Poll::Ready(lease) => {
                    passed[key] = true;
                    let lease = lease.map_err(|error| format!("a caller was told: {error}"))?;
                    self.waiting.remove(i);
                    self.keep(key, lease)?;
                }
                Poll::Pending => ensure(!passed[key], || {
                    format!("Fair: a newer caller of {key} was served first")
                })?,
            }
        }
        Ok(())
    }

    /// At every moment until now.
    fn bound(&self) -> Checked {
        let Rules {
            max_size,
            max_total,
            ..
        } = self.rules;
        for key in 0..KEYS {
            let most = self.servers.at(&Key(key)).most();
            ensure(most <= max_size, || {
                format!("Bound: {most} at once of {key}, of {max_size}")
            })?;
        }
        let most = self.servers.most();
        ensure(most <= max_total, || {
            format!("Bound: {most} at once in all, of {max_total}")
        })
    }

    /// What holds when nothing is under way.
    fn settled(&self) -> Checked {
        let waits: BTreeSet<_> = self.waiting.iter().map(|waiting| waiting.key).collect();
        let has_handle: BTreeSet<_> = self.handles.iter().map(|(key, _)| *key).collect();
        let open = |key: usize| self.servers.at(&Key(key)).open();
        let left = (0..KEYS)
            .filter(|key| open(*key) > 0 || waits.contains(key) || has_handle.contains(key));
        let (left, all) = (left.count(), self.pools.len());
        ensure(all == left, || {
            format!("Forgotten: {all} keys, and something is left of {left}")
        })?;

        let (open_in_all, status) = (self.servers.open(), self.pools.status());
        let permits = status
            .budget
            .as_ref()
            .map_or(0, |budget| budget.connections);
        ensure((status.size, permits) == (open_in_all, open_in_all), || {
            format!("Conserved: {open_in_all} connections: {status}")
        })?;
        for key in waits {
            let idle = open(key) - self.leased(key);
            ensure(idle == 0, || {
                format!("Wake: callers of {key} wait beside {idle} idle: {status}")
            })?;
            let may_open = open(key) < self.rules.max_size;
            let has_room = open_in_all < self.rules.max_total || status.idle > 0;
            ensure(!(may_open && has_room), || {
                format!("Wake: callers of {key} wait, and one could be opened: {status}")
            })?;
        }
        Ok(())
    }
}

async fn get(pools: Pools, key: Key) -> Result<Lease, GetError> {
    pools.get(&key).await
}

/// Of each key and of all together: *Bound*, *Own*, *Fair*, *Wake*, *Conserved*; and the keys there are are those of which
/// something is left.
#[test]
fn keys_keep_their_duties_whatever_is_done() {
    let scripts = (rules(), prop::collection::vec(op(), 1..80));
    let explored = runner(30).run(&scripts, |(rules, ops)| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        let run = async { Play::new(rules).run(&ops).await };
        runtime.block_on(run).map_err(TestCaseError::fail)
    });
    if let Err(breach) = explored {
        panic!("{breach}");
    }
}
