//! One trial: many users on a small pool behind a proxy, a fault that comes and goes, and what must hold
//! during it and after it. For `wire_faults` of cenote-postgres and of cenote-redis.
//!
//! Trials take turns: each measures the CPU time of the whole process. No bound is on how fast anything is:
//! dials and CPU time are held against how long the fault lasted.

pub mod load;
mod watch;

use std::net::SocketAddr;
use std::time::Duration;

use cenote::Pool;
use cenote::report::{CloseReason, Counters};
use cenote::settings::Backoff;
use cenote_testkit::{Fault, FaultProxy, ServerError};
use load::{Echo, Load};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use watch::{CpuTime, Watch};

const MAX_SIZE: usize = 10;
const MAX_CONNECTING: usize = 2;
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(10), LONGEST_BACKOFF);
const LONGEST_BACKOFF: Duration = Duration::from_millis(100);
/// How long a fault lasts, at least: twice the longest of the pool's time-outs.
const FAULT: Duration = Duration::from_millis(600);
/// How many dials must have failed before a fault that lets none succeed may end.
const FAILED_DIALS: u64 = 3;
/// More CPU time than a call takes in a debug build.
const CALL_COSTS: Duration = Duration::from_millis(1);
/// The same where each of its bytes may be a system call of its own.
const SPLIT_CALL_COSTS: Duration = Duration::from_millis(4);
/// Far more than anything takes, on a machine however busy. Counted in steps, so that a process that was
/// frozen in between does not run out of them.
const PATIENCE_STEPS: u32 = 15_000;
const STEP: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(30);

static TURN: Mutex<()> = Mutex::const_new(());

/// Whom a fault strikes, and how hard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strikes {
    /// All connections; what passes is late or in pieces.
    Slowing,
    /// All connections; nothing passes.
    Stopping,
    /// New connections, of which none comes to be. Once while the open ones stay, once after they were cut.
    New,
}

/// Puts `fault` on the wire under load, and takes it away again.
pub async fn survives<C: Echo>(
    server: SocketAddr,
    connector: impl FnOnce(SocketAddr) -> C,
    fault: Fault,
    strikes: Strikes,
) {
    let call_costs = match fault {
        Fault::SplitWrites { .. } => SPLIT_CALL_COSTS,
        _ => CALL_COSTS,
    };
    let trial = Trial::start(server, connector, format!("{fault:?}"), call_costs).await;
    if strikes != Strikes::Stopping {
        trial
            .strike(async |trial| {
                trial.proxy.set(fault)?;
                sleep(FAULT).await;
                Ok(())
            })
            .await;
    }
    if strikes != Strikes::Slowing {
        trial
            .strike(async |trial| {
                let before = trial.pool.counters().connect_failed;
                trial.proxy.set(fault)?;
                if strikes == Strikes::New {
                    trial.proxy.cut();
                }
                sleep(FAULT).await;
                trial
                    .until("dials fail", || {
                        trial.pool.counters().connect_failed >= before + FAILED_DIALS
                    })
                    .await;
                Ok(())
            })
            .await;
    }
    trial.end().await;
}

/// Plays the faults one after the other, too short for the pool to settle.
pub async fn survives_a_storm<C: Echo>(
    server: SocketAddr,
    connector: impl FnOnce(SocketAddr) -> C,
    faults: &[Fault],
) {
    let trial = Trial::start(server, connector, "storm".into(), SPLIT_CALL_COSTS).await;
    let mut script: Vec<_> = faults
        .iter()
        .chain([&Fault::None])
        .map(|fault| (Duration::from_millis(80), *fault))
        .collect();
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..2 {
        rng.shuffle(&mut script);
        let script = script.clone();
        trial
            .strike(async move |trial| {
                // By the clock, as the script goes on by it, and out of step with that: each cut finds another fault, in
                // whatever state the pool is. A cut that waited for a state of the pool would always find the same.
                let cuts = async {
                    for _ in 0..5 {
                        sleep(Duration::from_millis(130)).await;
                        trial.proxy.cut();
                    }
                };
                tokio::join!(trial.proxy.play(script), cuts).0
            })
            .await;
    }
    trial.end().await;
}

struct Trial<C: Echo> {
    name: String,
    call_costs: Duration,
    proxy: FaultProxy,
    pool: Pool<C>,
    load: Load,
    watch: Watch,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

impl<C: Echo> Trial<C> {
    async fn start(
        server: SocketAddr,
        connector: impl FnOnce(SocketAddr) -> C,
        name: String,
        call_costs: Duration,
    ) -> Self {
        let turn = TURN.lock().await;
        let proxy = FaultProxy::start_seeded(server, 1).await.expect("it runs");
        let pool = Pool::builder(connector(proxy.addr()))
            .max_size(MAX_SIZE)
            .max_connecting(MAX_CONNECTING)
            .acquire_timeout(Duration::from_millis(300))
            .connect_timeout(Duration::from_millis(200))
            .check_after_idle(Duration::from_millis(20))
            .check_timeout(Duration::from_millis(150))
            .reset_timeout(Duration::from_millis(150))
            .close_timeout(Duration::from_millis(150))
            .backoff(BACKOFF)
            .build()
            .expect("settings are valid");
        let load = Load::start(&pool);
        let watch = Watch::start({
            let pool = pool.clone();
            move || pool.status()
        });
        let trial = Self {
            name,
            call_costs,
            proxy,
            pool,
            load,
            watch,
            _turn: turn,
        };
        trial.everyone_is_served("at first").await;
        trial
    }

    /// Runs `fault`, ends it, and waits until everyone is served again.
    async fn strike(&self, fault: impl AsyncFnOnce(&Self) -> Result<(), ServerError>) {
        let name = &self.name;
        let (before, accepted) = (self.pool.counters(), self.proxy.accepted());
        let (spoiled, answered) = (self.load.spoiled(), self.load.answered());
        let (start, cpu) = (Instant::now(), CpuTime::now());
        fault(self).await.expect("the fault is set");
        let (lasted, cpu) = (start.elapsed(), cpu.elapsed());
        let dials = Dials::between(&before, &self.pool.counters());
        let accepted = self.proxy.accepted() - accepted;
        let spoiled = self.load.spoiled() - spoiled;
        let answered = self.load.answered() - answered;
        self.proxy.clear().expect("the fault ends");
        self.everyone_is_served("after the fault").await;
        let resumed = start.elapsed() - lasted;
        eprintln!(
            "{name}: {lasted:?} with {answered} answers and {spoiled} calls spoiled, {accepted} connections \
             accepted, {dials:?}, {cpu:?} of CPU time; everyone served {resumed:?} later"
        );

        let paced = paced_dials(lasted);
        let failed = dials.failed;
        assert!(
            failed <= paced,
            "{name}: {failed} failed dials, {paced} allowed"
        );
        // One for each slot, one for each connection that a user or a check spoiled (with PostgreSQL a cancel
        // request may come before the dial), and the failed ones.
        let most = MAX_SIZE as u64 + 2 * (spoiled + dials.check_failed) + paced;
        assert!(
            accepted <= most,
            "{name}: {accepted} connections, {most} allowed"
        );
        let calls = u32::try_from(answered + spoiled).expect("a trial is short");
        assert!(
            cpu < lasted / 2 + calls * self.call_costs,
            "{name}: spinning, {cpu:?} of CPU time in {lasted:?} with {calls} calls"
        );
    }

    async fn everyone_is_served(&self, when: &str) {
        let before = self.load.answers();
        self.until(&format!("everyone is served {when}"), || {
            let now = self.load.answers();
            now.iter().zip(&before).all(|(now, was)| now > was)
        })
        .await;
    }

    async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        for _ in 0..PATIENCE_STEPS {
            if condition() {
                return;
            }
            sleep(STEP).await;
        }
        panic!(
            "{}: never: {what}; {}; {:?}; {:?}",
            self.name,
            self.pool.status(),
            self.pool.counters(),
            self.proxy
        );
    }

    /// Ends the load and looks at what it left.
    async fn end(mut self) {
        let wrong = self.load.end().await;
        let peak = self.watch.peak();
        let (name, pool, proxy) = (&self.name, &self.pool, &self.proxy);
        assert!(
            wrong.is_empty(),
            "{name}: replies of others: {:?}",
            &wrong[..wrong.len().min(3)]
        );
        assert!(peak.opening <= MAX_CONNECTING, "{name}: {peak:?}");
        assert!(peak.size <= MAX_SIZE, "{name}: {peak:?}");

        self.until("the pool is at rest", || {
            let now = pool.status();
            let at_rest = now.leased + now.upkeep + now.opening + now.waiters == 0;
            at_rest && now.idle == now.size && now.size <= MAX_SIZE
        })
        .await;
        let mut leases = Vec::new();
        for slot in 0..MAX_SIZE {
            let lease = pool.get().timeout(PATIENCE).await;
            leases.push(lease.unwrap_or_else(|error| panic!("{name}: slot {slot}: {error}")));
        }
        for (slot, lease) in leases.iter_mut().enumerate() {
            let tag = format!("slot {slot}");
            let reply = timeout(PATIENCE, C::echo(lease, &tag)).await;
            let reply = reply.expect("it answers").expect("it works");
            assert_eq!(reply, tag, "{name}");
        }
        drop(leases);
        // None is left behind, neither half open nor forgotten.
        self.until("the pool's connections are all there are", || {
            proxy.open() == pool.status().size
        })
        .await;
        pool.close().await;
        self.until("all are closed", || proxy.open() == 0).await;
    }
}

/// How many dials may fail in this time: the back-off's pause grows, in a few steps, to half of its maximum
/// on average; four times as many for luck.
fn paced_dials(lasted: Duration) -> u64 {
    let pause = LONGEST_BACKOFF / 2;
    let pauses = lasted.as_millis() / pause.as_millis();
    20 + 4 * u64::try_from(pauses).expect("a trial is short")
}

#[derive(Debug)]
struct Dials {
    #[allow(dead_code, reason = "for the reader of the trial's line")]
    opened: u64,
    failed: u64,
    check_failed: u64,
}

impl Dials {
    fn between(before: &Counters, after: &Counters) -> Self {
        let check_failed = |at: &Counters| at.closed_by(CloseReason::CheckFailed);
        Self {
            opened: after.opened - before.opened,
            failed: after.connect_failed - before.connect_failed,
            check_failed: check_failed(after) - check_failed(before),
        }
    }
}
