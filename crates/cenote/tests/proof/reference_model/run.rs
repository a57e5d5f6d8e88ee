//! Runs a script on the real pool, on virtual time, and on the reference, and compares after every operation.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use cenote::report::CloseReason;
use cenote::settings::{Backoff, ConnectFailures, IdleOrder};
use cenote::{GetError, Lease, OwnedLease, Pool};
use tokio::time::Instant;

use super::allowed::{CHECK_AFTER_IDLE, IDLE_TIMEOUT, MAX_CONNECTING, MAX_LIFETIME};
use super::getter::{Held, Pending, Woken};
use super::model::{
    ACQUIRE_TIMEOUT, Checked, Did, Failure, Getter, MAX_WAITERS, Model, Outcome, TURN, ensure,
};
use super::operation::{MOST, Op, Script, Step};
use super::turn::Seen;

use crate::server::{Act, Server, ms};

/// Runs a script; the text says at which operation the pool and the reference parted, and how.
pub fn run(script: &Script) -> Checked {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let (server, closed) = (Server::default(), Log::default());
        let pool = pool(&server, script.max_size, script.order, &closed);
        // Upkeep looks every second, and so never at the instant of an operation.
        tokio::time::sleep(ms(500)).await;
        let mut driver = Driver::new(&pool, &server, closed, script.max_size);
        for (i, &op) in script.ops.iter().enumerate() {
            let done = driver.perform(op).await;
            done.map_err(|breach| format!("at operation {i}, {op:?}: {breach}"))?;
        }
        let ended = driver.end().await;
        ended.map_err(|breach| format!("after the last operation: {breach}"))
    })
}

type Log = Arc<Mutex<Vec<(usize, CloseReason)>>>;

fn pool(server: &Server, max_size: usize, order: IdleOrder, closed: &Log) -> Pool<Server> {
    let closed = Arc::clone(closed);
    server
        .builder()
        .max_size(max_size)
        .idle_order(order)
        .max_waiters(MAX_WAITERS)
        .max_connecting(MAX_CONNECTING)
        // Told whether or not there was a connection before, which the reference does not tell apart.
        .connect_failures(ConnectFailures::FailAfter(3))
        .acquire_timeout(ms(ACQUIRE_TIMEOUT))
        .check_after_idle(ms(CHECK_AFTER_IDLE))
        .idle_timeout(ms(IDLE_TIMEOUT))
        .max_lifetime(ms(MAX_LIFETIME))
        .lifetime_jitter(0.0)
        .keepalive(None)
        .connect_timeout(ms(300))
        .check_timeout(ms(200))
        .reset_timeout(ms(200))
        .close_timeout(ms(200))
        .backoff(Backoff::new(ms(20), ms(400)))
        .before_close(move |conn, _, why| closed.lock().unwrap().push((conn.id, why)))
        .build()
        .unwrap()
}

struct Driver<'p> {
    pool: &'p Pool<Server>,
    server: &'p Server,
    model: Model,
    began: Instant,
    getters: usize,
    pending: Vec<Pending<'p>>,
    leases: Vec<(usize, Held<'p>)>,
    woken: Arc<Woken>,
    closed: Log,
    /// Connections the reference knows of.
    known: usize,
    tally: BTreeMap<&'static str, u64>,
}

impl<'p> Driver<'p> {
    fn new(pool: &'p Pool<Server>, server: &'p Server, closed: Log, max_size: usize) -> Self {
        Self {
            pool,
            server,
            model: Model::new(max_size),
            began: Instant::now(),
            getters: 0,
            pending: Vec::new(),
            leases: Vec::new(),
            woken: Arc::default(),
            closed,
            known: 0,
            tally: BTreeMap::new(),
        }
    }

    async fn perform(&mut self, op: Op) -> Checked {
        self.server.seen.most.store(self.server.open(), SeqCst);
        let status = self.pool.status();
        let ceiling = status.size + status.opening;
        match op {
            Op::Settle => self.pass(1).await?,
            Op::Pass(turns) => self.pass(turns).await?,
            op => {
                if let Some(did) = self.act(op) {
                    let closed = self.take_closed();
                    self.model.did(did, &closed)?;
                }
            }
        }
        self.compare(ceiling)
    }

    /// Does it to the real pool; what was done, if there was anything to do.
    fn act(&mut self, op: Op) -> Option<Did> {
        Some(match op {
            Op::Get => {
                self.pending.push(Pending::new(self.pool, self.getters));
                self.getters += 1;
                self.poll(self.pending.len() - 1)
            }
            Op::Poll(k) => self.poll(nth(k, &self.pending)?),
            Op::Cancel(k) => Did::Cancel(self.pending.remove(nth(k, &self.pending)?).getter),
            Op::TryGet => {
                let got = self.pool.try_get().map(Held::Tied);
                let got = got.map(|held| self.keep(held));
                let idle = self.pool.status().idle;
                Did::TryGet { got, idle }
            }
            Op::Return(k) => {
                let (id, held) = self.leases.remove(nth(k, &self.leases)?);
                drop(held);
                Did::Return(id)
            }
            Op::Discard(k) => {
                let (id, held) = self.leases.remove(nth(k, &self.leases)?);
                match held {
                    Held::Tied(lease) => Lease::discard(lease),
                    Held::Owned(lease) => OwnedLease::discard(lease),
                }
                Did::Part(id, CloseReason::Discarded)
            }
            Op::Detach(k) => {
                let (id, held) = self.leases.remove(nth(k, &self.leases)?);
                drop(match held {
                    Held::Tied(lease) => Lease::detach(lease),
                    Held::Owned(lease) => OwnedLease::detach(lease),
                });
                Did::Part(id, CloseReason::Detached)
            }
            Op::Kill(k) => {
                let k = nth(k, &self.leases)?;
                let (id, held) = &mut self.leases[k];
                held.conn().alive.store(false, SeqCst);
                Did::Kill(*id)
            }
            Op::Soil(k) => {
                let k = nth(k, &self.leases)?;
                let (id, held) = &mut self.leases[k];
                held.conn().dirty = true;
                Did::Soil(*id)
            }
            Op::Resize(max_size) => {
                self.pool.resize(max_size).unwrap();
                Did::Resize(max_size)
            }
            Op::Pause => {
                self.pool.pause();
                Did::Pause
            }
            Op::Resume => {
                self.pool.resume();
                Did::Resume
            }
            Op::Evict => {
                self.pool.evict();
                Did::Evict
            }
            Op::Close => {
                drop(self.pool.close());
                Did::Close
            }
            Op::Restart => {
                self.server.restart();
                Did::Restart
            }
            Op::Tell(step, act) => {
                self.server.plan(|plan| match step {
                    Step::Connect => plan.connect = act,
                    Step::Check => plan.check = act,
                    Step::Reset => plan.reset = act,
                    Step::Goodbye => plan.close = act,
                });
                Did::Tell(step, act)
            }
            Op::Settle | Op::Pass(_) => return None,
        })
    }

    fn poll(&mut self, index: usize) -> Did {
        let (getter, outcome) = self.poll_getter(index);
        Did::Poll {
            getter,
            outcome,
            waiters: self.pool.status().waiters,
        }
    }

    fn poll_getter(&mut self, index: usize) -> (Getter, Option<Outcome>) {
        let pending = &mut self.pending[index];
        let getter = pending.getter;
        let Poll::Ready(outcome) = pending.poll(&self.woken) else {
            return (getter, None);
        };
        self.pending.remove(index);
        let outcome = match outcome {
            Ok(held) => Outcome::Served(self.keep(held)),
            Err(error) => Outcome::Failed(self.failure(&error)),
        };
        (getter, Some(outcome))
    }

    fn keep(&mut self, mut held: Held<'p>) -> usize {
        self.count("gets");
        let id = held.conn().id;
        self.leases.push((id, held));
        id
    }

    fn failure(&mut self, error: &GetError) -> Failure {
        match error {
            GetError::TimedOut(_) => {
                self.count("timed out");
                Failure::TimedOut
            }
            GetError::QueueFull { .. } => {
                self.count("rejected");
                Failure::QueueFull
            }
            GetError::Connect { .. } => Failure::Connect,
            GetError::Closed { .. } => Failure::Closed,
            error => panic!("an error nobody asked for: {error}"),
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    fn take_closed(&mut self) -> Vec<(usize, CloseReason)> {
        let closed = std::mem::take(&mut *self.closed.lock().unwrap());
        *self.tally.entry("closed").or_default() += closed.len() as u64;
        closed
    }

    /// Lets so many turns pass, polling who is woken.
    async fn pass(&mut self, turns: u64) -> Checked {
        let end = self.model.now + turns * TURN;
        let at = self.began + ms(end);
        let woken = Arc::clone(&self.woken);
        let soon = Instant::now() + ms(490);
        let (mut outcomes, mut served_late) = (Vec::new(), false);
        loop {
            while let Some(next) = woken.next() {
                let found = self.pending.iter().position(|get| get.is_woken_by(next));
                let polled = found.map(|index| self.poll_getter(index));
                if let Some((getter, Some(outcome))) = polled {
                    served_late |= matches!(outcome, Outcome::Served(_)) && Instant::now() > soon;
                    outcomes.push((getter, outcome));
                }
            }
            tokio::select! {
                biased;
                () = woken.any.notified() => {}
                () = tokio::time::sleep_until(at) => break,
            }
        }
        let opened = self.known..self.server.connected();
        self.known = opened.end;
        let seen = Seen {
            outcomes,
            opened,
            closed: self.take_closed(),
            served_late,
            opening: self.pool.status().opening,
        };
        self.model.passed(end, &seen)
    }

    /// What users can see, and what the server can.
    fn compare(&self, ceiling: usize) -> Checked {
        let (model, status) = (&self.model, self.pool.status());
        let real = [status.max_size, status.leased, status.idle, status.waiters];
        let leased = model.leased.len() + model.handed.len();
        let expected = [model.max_size, leased, model.idle(), model.queue.len()];
        ensure(real == expected && status.state == model.phase, || {
            format!(
                "max_size, leased, idle, waiters should be {expected:?} ({}): {status}",
                model.phase
            )
        })?;
        // Above its size, a pool that was shrunk only ever gets smaller; dials it had begun by then count.
        let (most, ceiling) = (self.server.most(), ceiling.max(model.max_size));
        ensure(most <= ceiling, || {
            format!("Bound: {most} open or opening, not {ceiling}")
        })
    }

    /// All is well again, everyone goes: nothing is lost, and a close leaves nothing.
    async fn end(&mut self) -> Checked {
        for step in [Step::Connect, Step::Check, Step::Reset, Step::Goodbye] {
            self.perform(Op::Tell(step, Act::Ok)).await?;
        }
        while !self.pending.is_empty() {
            self.perform(Op::Cancel(0)).await?;
        }
        while !self.leases.is_empty() {
            self.perform(Op::Return(0)).await?;
        }
        self.perform(Op::Settle).await?;
        self.assert_quiet()?;
        // Every place there should be can be had at the same time, by patient ones.
        for op in [Op::Resume, Op::Resize(MOST)] {
            self.perform(op).await?;
        }
        for _ in 0..MOST {
            self.perform(Op::Get).await?;
            self.perform(Op::Settle).await?;
        }
        let status = self.pool.status();
        let all = status.leased == MOST || self.pool.is_closed();
        ensure(all, || {
            format!("Conserved: not every place can be had: {status}")
        })?;
        self.perform(Op::Close).await?;
        while !self.leases.is_empty() {
            self.perform(Op::Return(0)).await?;
        }
        self.perform(Op::Settle).await?;
        self.assert_quiet()?;
        let left = self.server.open();
        ensure(left == 0 && self.pending.is_empty(), || {
            format!("End: {left} left open")
        })?;
        self.compare_counters()
    }

    /// With no lease and no waiter every slot is idle or vacant, and each connection has one.
    fn assert_quiet(&self) -> Checked {
        let (status, open) = (self.pool.status(), self.server.open());
        let busy = status.leased + status.upkeep + status.opening + status.waiters;
        ensure(
            busy == 0 && status.size == open && status.idle == open,
            || format!("Conserved: {open} open at the server; {status}"),
        )
    }

    fn compare_counters(&self) -> Checked {
        let counters = self.pool.counters();
        let tally = |what| self.tally.get(what).copied().unwrap_or_default();
        let real = [
            counters.gets,
            counters.timed_out,
            counters.rejected,
            counters.closed(),
            counters.opened,
        ];
        let expected = [
            tally("gets"),
            tally("timed out"),
            tally("rejected"),
            tally("closed"),
            self.known as u64,
        ];
        ensure(real == expected, || {
            format!(
                "gets, timed out, rejected, closed, opened should be {expected:?}: {counters:?}"
            )
        })
    }
}

/// The `k`-th, counted round and round.
fn nth<T>(k: usize, of: &[T]) -> Option<usize> {
    k.checked_rem(of.len())
}
