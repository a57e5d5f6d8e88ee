//! Several pools under one budget, by random scripts, against what a naive reference knows of it: how many connections
//! there may be, who came before whom, and that nobody waits beside a connection that somebody else does without.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use cenote::settings::ConnectFailures;
use cenote::{Budget, GetError, OwnedLease, Pool};
use proptest::prelude::*;

use crate::scripts::runner;
use crate::server::{Act, Server, ms, pass, secs};

const POOLS: usize = 3;
/// Beyond any dial, back-off and quantum of these scripts.
const SETTLED: u64 = 10;

/// One thing done. Leases and callers are counted from the oldest, round and round; what there is nothing for does
/// nothing.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// A caller comes to this pool.
    Get(usize),
    Return(usize),
    Discard(usize),
    /// A lease is left in a state that needs a reset.
    Soil(usize),
    /// A caller that waits is dropped.
    Cancel(usize),
    ResizeBudget(usize),
    ResizePool(usize, usize),
    Connects(Act),
    Resets(Act),
    /// Every connection there is dies.
    Restart,
    /// Time passes, in tens of milliseconds, and callers look.
    Pass(u64),
    /// Long enough for all that is under way.
    Settle,
}

fn op() -> impl Strategy<Value = Op> {
    let pool = 0..POOLS;
    let act = prop_oneof![6 => Just(Act::Ok), 1 => Just(Act::Fail), 2 => Just(Act::Slow)];
    prop_oneof![
        8 => pool.clone().prop_map(Op::Get),
        6 => (0..8_usize).prop_map(Op::Return),
        1 => (0..8_usize).prop_map(Op::Discard),
        1 => (0..8_usize).prop_map(Op::Soil),
        2 => (0..8_usize).prop_map(Op::Cancel),
        1 => (0..6_usize).prop_map(Op::ResizeBudget),
        1 => (pool, 1..4_usize).prop_map(|(pool, max)| Op::ResizePool(pool, max)),
        1 => act.clone().prop_map(Op::Connects),
        1 => act.prop_map(Op::Resets),
        1 => Just(Op::Restart),
        6 => (0..30_u64).prop_map(Op::Pass),
        3 => Just(Op::Settle),
    ]
}

type Getting = Pin<Box<dyn Future<Output = Result<OwnedLease<Server>, GetError>>>>;

struct Waiting {
    pool: usize,
    get: Getting,
}

/// What is known of the budget, and the pools under it.
struct Run {
    server: Server,
    budget: Budget,
    pools: Vec<Pool<Server>>,
    max: usize,
    /// What there may be until those too many have gone: never more than there once were.
    allowed: usize,
    waiting: VecDeque<Waiting>,
    leases: VecDeque<OwnedLease<Server>>,
}

/// What is out of order, in words.
type Checked = Result<(), String>;

fn ensure(holds: bool, breach: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(breach()) }
}

impl Run {
    fn new(max: usize) -> Self {
        let server = Server::default();
        let budget = Budget::new(max);
        let pools = (0..POOLS).map(|i| {
            let builder = server.builder().name(format!("{i}")).max_size(i + 2);
            let builder = builder.budget(&budget).acquire_timeout(None).seed(i as u64);
            let builder = builder.connect_failures(ConnectFailures::KeepWaiting);
            builder.build().unwrap()
        });
        Self {
            pools: pools.collect(),
            server,
            budget,
            max,
            allowed: max,
            waiting: VecDeque::new(),
            leases: VecDeque::new(),
        }
    }

    async fn run(mut self, ops: &[Op]) -> Checked {
        for (i, op) in ops.iter().enumerate() {
            let done = self.step(*op).await;
            done.map_err(|breach| format!("after operation {i}, {op:?}: {breach}"))?;
        }
        self.step(Op::Connects(Act::Ok)).await?;
        self.step(Op::Resets(Act::Ok)).await?;
        self.step(Op::ResizeBudget(self.max.max(1))).await?;
        while !self.waiting.is_empty() {
            let before = self.waiting.len();
            self.leases.clear();
            self.step(Op::Settle).await?;
            let waits = self.waiting.len();
            ensure(waits < before, || format!("Fair: {waits} wait for ever"))?;
        }
        self.leases.clear();
        drop(self.pools);
        pass(secs(SETTLED)).await;
        let (left, status) = (self.server.open(), self.budget.status());
        ensure(left == 0 && status.connections == 0, || {
            format!("Conserved: {left} connections are left, {status}")
        })
    }

    async fn step(&mut self, op: Op) -> Checked {
        let round = |i: usize, all: usize| (all > 0).then(|| i % all.max(1));
        match op {
            Op::Get(pool) => {
                let get = Box::pin(get(self.pools[pool].clone()));
                self.waiting.push_back(Waiting { pool, get });
            }
            Op::Return(i) => drop(round(i, self.leases.len()).map(|i| self.leases.remove(i))),
            Op::Discard(i) => {
                if let Some(i) = round(i, self.leases.len()) {
                    let lease = self.leases.remove(i).expect("counted round");
                    OwnedLease::discard(lease);
                }
            }
            Op::Soil(i) => {
                if let Some(i) = round(i, self.leases.len()) {
                    self.leases[i].dirty = true;
                }
            }
            Op::Cancel(i) => drop(round(i, self.waiting.len()).map(|i| self.waiting.remove(i))),
            Op::ResizeBudget(max) => {
                // A dial that has a permit counts before the server hears of it.
                self.allowed = self.budget.status().connections.max(max);
                self.max = max;
                self.budget.resize(max);
            }
            Op::ResizePool(pool, max) => self.pools[pool].resize(max).unwrap(),
            Op::Connects(act) => self.server.plan(|plan| plan.connect = act),
            Op::Resets(act) => self.server.plan(|plan| plan.reset = act),
            Op::Restart => self.server.restart(),
            Op::Pass(tens) => pass(ms(10 * tens)).await,
            Op::Settle => loop {
                // A caller that looks may find its connection dead, and have another opened.
                let before = (self.waiting.len(), self.server.dials());
                self.look()?;
                pass(secs(SETTLED)).await;
                self.look()?;
                pass(ms(1)).await;
                let connects = self.server.act(|plan| plan.connect);
                if (self.waiting.len(), self.server.dials()) == before || connects == Act::Fail {
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

    /// Callers look, the newest first: what one of them finds, an older one of the same pool has found too.
    fn look(&mut self) -> Checked {
        let mut passed = [false; POOLS];
        let mut cx = Context::from_waker(Waker::noop());
        for i in (0..self.waiting.len()).rev() {
            let Waiting { pool, get } = &mut self.waiting[i];
            let pool = *pool;
            match get.as_mut().poll(&mut cx) {
                Poll::Ready(lease) => {
                    passed[pool] = true;
                    let lease = lease.map_err(|error| format!("a caller was told: {error}"))?;
                    self.leases.push_back(lease);
                    self.waiting.remove(i);
                }
                // One that is polled for the first time finds no queue where it was not there yet.
                Poll::Pending if passed[pool] => {
                    return Err(format!(
                        "Fair: a newer caller of pool {pool} was served first"
                    ));
                }
                Poll::Pending => {}
            }
        }
        Ok(())
    }

    fn bound(&mut self) -> Checked {
        let (open, permits) = (self.server.open(), self.budget.status().connections);
        ensure(open <= permits && permits <= self.allowed, || {
            format!(
                "Bound: {open} connections and dials, {permits} permits of {}",
                self.max
            )
        })?;
        self.allowed = permits.max(self.max);
        Ok(())
    }

    /// What holds when nothing is under way.
    fn settled(&mut self) -> Checked {
        let status = self.budget.status();
        let open = self.server.open();
        let sizes: usize = self.pools.iter().map(|pool| pool.status().size).sum();
        let is_quiet = self.server.act(|plan| plan.connect) == Act::Ok
            && self.server.act(|plan| plan.reset) == Act::Ok;
        if !is_quiet {
            return Ok(());
        }
        ensure(sizes == open && status.connections == open, || {
            format!("Conserved: {open} connections, {sizes} in pools, {status}")
        })?;
        let idle: usize = self.pools.iter().map(|pool| pool.status().idle).sum();
        for pool in &self.pools {
            let now = pool.status();
            let may_open = now.size < now.max_size && self.max > 0;
            let is_beside = now.idle > 0 || may_open && (idle > 0 || open < self.max);
            ensure(now.waiters == 0 || !is_beside, || {
                format!(
                    "Wake: {} wait in {now}; {idle} idle in all, {status}",
                    pool.name()
                )
            })?;
        }
        Ok(())
    }
}

async fn get(pool: Pool<Server>) -> Result<OwnedLease<Server>, GetError> {
    pool.get_owned().await
}

/// Duties *Bound*, *Wake*, *Fair* and *Conserved* over all pools of a budget.
#[test]
fn pools_under_a_budget_keep_their_duties_whatever_is_done() {
    let scripts = (1..6_usize, prop::collection::vec(op(), 1..60));
    let explored = runner(20).run(&scripts, |(max, ops)| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        let run = async { Run::new(max).run(&ops).await };
        runtime.block_on(run).map_err(TestCaseError::fail)
    });
    if let Err(breach) = explored {
        panic!("{breach}");
    }
}
