//! Every combination of what a connector and the hooks can do, each get dropped after every number of polls:
//! whatever happens, the duties hold afterwards. Beside each quitter patient getters wait, who must be served
//! where anyone can be.

mod tagged;

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use cenote::error::BoxError;
use cenote::settings::{Backoff, HookFuture};
use cenote::{ConnectionInfo, Pool};
use futures::poll;
use tagged::{Conn, Left, PATIENCE, Steps, Tagging, World};
use tokio::time::Instant;

use crate::server::{Act, ms, pass, secs};

/// How a step can go short of a panic, which has sweeps of its own.
const WAYS: [Act; 4] = [Act::Ok, Act::Fail, Act::Slow, Act::Never];

const SIZE: usize = 2;
/// Longer than any step may take: what hangs has been cut short by then.
const SETTLED: Duration = Duration::from_secs(3);

/// What happens between two polls of a get that is going to be dropped.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// Other tasks run: it is dropped at the very moment something is about to happen.
    AtOnce,
    /// Some time passes: it is dropped in the middle of what is slow.
    Slowly,
}

/// After how many polls a get is dropped: at once, the last is more than any step needs; slowly, each hits
/// another of four slow steps in a row.
const QUITS: [(Pace, usize); 7] = [
    (Pace::AtOnce, 0),
    (Pace::AtOnce, 1),
    (Pace::AtOnce, 2),
    (Pace::AtOnce, 4),
    (Pace::Slowly, 1),
    (Pace::Slowly, 3),
    (Pace::Slowly, 6),
];

impl Pace {
    async fn beat(self) {
        match self {
            Self::AtOnce => tokio::task::yield_now().await,
            Self::Slowly => pass(ms(90)).await,
        }
    }
}

fn hook(
    world: &Arc<World>,
    name: &'static str,
    act: fn(&Steps) -> Act,
) -> impl for<'a> Fn(&'a mut Conn, &ConnectionInfo) -> HookFuture<'a> + Send + Sync + 'static {
    let world = Arc::clone(world);
    move |conn, _| {
        let act = act(&world.steps());
        Box::pin(async move { conn.step(name, act).await.map_err(BoxError::from) })
    }
}

/// Hooks that do nothing are left out: without them the ways are shorter.
fn pool(world: &Arc<World>) -> Pool<Tagging> {
    let mut builder = Pool::builder(Tagging(Arc::clone(world)))
        .max_size(SIZE)
        .acquire_timeout(PATIENCE)
        .check_after_idle(secs(0))
        .idle_timeout(None)
        .max_lifetime(None)
        .keepalive(None)
        .connect_timeout(ms(500))
        .check_timeout(ms(500))
        .reset_timeout(ms(500))
        .close_timeout(ms(500))
        .backoff(Backoff::new(ms(10), ms(50)));
    let steps = world.steps();
    if steps.after_connect != Act::Ok {
        builder = builder.after_connect(hook(world, "after_connect", |steps| steps.after_connect));
    }
    if steps.before_get != Act::Ok {
        builder = builder.before_get(hook(world, "before_get", |steps| steps.before_get));
    }
    if steps.after_return != Act::Ok {
        builder = builder.after_return(hook(world, "after_return", |steps| steps.after_return));
    }
    builder.build().unwrap()
}

/// Polls a get `polls` times and drops it, or the lease it got.
async fn quit_after(pool: &Pool<Tagging>, polls: usize, pace: Pace) {
    let mut get = pin!(pool.get());
    for _ in 0..polls {
        if let Poll::Ready(outcome) = poll!(&mut get) {
            if let Ok(mut conn) = outcome {
                conn.begin();
                conn.done(Left::Clean);
            }
            return;
        }
        pace.beat().await;
    }
}

/// How long a getter who stays waited for its lease, if it got one. Either way it is told in time.
async fn stay(pool: &Pool<Tagging>, left: Left) -> Option<Duration> {
    let began = Instant::now();
    let outcome = pool.get().await;
    let waited = began.elapsed();
    assert!(waited <= PATIENCE + secs(1), "told too late");
    let mut conn = outcome.ok()?;
    conn.begin();
    pass(ms(20)).await;
    conn.done(left);
    Some(waited)
}

/// With no lease and no waiter every slot is idle or vacant, and each connection has one.
#[track_caller]
fn assert_duties(pool: &Pool<Tagging>, world: &World, when: &dyn std::fmt::Debug) {
    let status = pool.status();
    assert_eq!(
        (status.leased, status.upkeep, status.opening, status.waiters),
        (0, 0, 0, 0),
        "Conserved, {when:?}: {status}"
    );
    assert_eq!(
        world.places(),
        status.idle,
        "Conserved, {when:?}: one slot for each connection; {status}"
    );
    assert!(world.most() <= SIZE, "Bound, {when:?}: {}", world.most());
    let breaches = world.breaches();
    assert!(
        breaches.is_empty(),
        "Exclusive, Clean, {when:?}: {breaches:?}"
    );
}

async fn sweep(steps: Steps) {
    let world = World::new(steps);
    let pool = pool(&world);
    // One to check and to reset, even where none can be opened.
    pool.add(world.conn()).unwrap();
    for (pace, polls) in QUITS {
        let when = (steps, pace, polls);
        // Two hold all there is, and who comes third has to wait for what they leave.
        let left = [Left::Dirty, Left::Clean][polls % 2];
        let three = futures::future::join_all([left; SIZE + 1].map(|left| stay(&pool, left)));
        let ((), waits) = tokio::join!(quit_after(&pool, polls, pace), three);
        for waited in waits {
            assert!(
                !steps.lead_to_a_lease() || waited.is_some_and(|waited| waited <= steps.patience()),
                "Wake, {when:?}: waited {waited:?}; {}",
                pool.status()
            );
        }
        // The leases are on their way back, at each stage of it in turn.
        for _ in 0..polls {
            pace.beat().await;
        }
        quit_after(&pool, 1, pace).await;
        pass(SETTLED).await;
        assert_duties(&pool, &world, &when);
    }
    assert!(
        !steps.end_well() || world.opened() <= SIZE,
        "{steps:?}: {} opened, though none was ever bad",
        world.opened()
    );
    assert_all_there(&pool, &world).await;
    assert_closes(pool, &world, steps).await;
}

/// With all well again, every slot can be leased at the same time.
async fn assert_all_there(pool: &Pool<Tagging>, world: &World) {
    let when = world.steps();
    world.change(Steps::FINE);
    let gets = (0..SIZE).map(|_| pool.get());
    let leases = futures::future::join_all(gets).await;
    for lease in leases {
        let mut conn = lease.unwrap_or_else(|error| panic!("Recover, {when:?}: {error}"));
        conn.begin();
        conn.done(Left::Dirty);
    }
    pass(SETTLED).await;
    assert_duties(pool, world, &when);
}

/// A close amid gets and returns ends them all and leaves nothing.
async fn assert_closes(pool: Pool<Tagging>, world: &World, steps: Steps) {
    world.change(steps);
    let late = async {
        pass(ms(60)).await;
        pool.close().timeout(SETTLED).await.abandoned
    };
    let (_, _, abandoned) = tokio::join!(stay(&pool, Left::Dirty), stay(&pool, Left::Clean), late);
    assert_eq!(abandoned, 0, "End, {steps:?}");
    assert_duties(&pool, world, &steps);
    assert_eq!(world.places(), 0, "End, {steps:?}: left open");
}

async fn sweep_all(combinations: impl Iterator<Item = Steps>) {
    for steps in combinations {
        sweep(steps).await;
    }
}

/// Every combination of `ways`, dials going as `connect` says; a dial that never succeeds never comes to
/// its hook.
fn every(connect: Act, ways: &'static [Act]) -> impl Iterator<Item = Steps> {
    let all = move || ways.iter().copied();
    let opens = matches!(connect, Act::Ok | Act::Slow);
    all()
        .take(if opens { ways.len() } else { 1 })
        .map(move |after_connect| Steps {
            connect,
            after_connect,
            ..Steps::FINE
        })
        .flat_map(move |steps| all().map(move |check| Steps { check, ..steps }))
        .flat_map(move |steps| {
            all().map(move |before_get| Steps {
                before_get,
                ..steps
            })
        })
        .flat_map(move |steps| all().map(move |reset| Steps { reset, ..steps }))
        .flat_map(move |steps| {
            all().map(move |after_return| Steps {
                after_return,
                ..steps
            })
        })
}

/// deadpool test_cancellations.
#[tokio::test(start_paused = true)]
async fn a_get_dropped_at_any_poll_while_dials_succeed() {
    sweep_all(every(Act::Ok, &WAYS)).await;
}

#[tokio::test(start_paused = true)]
async fn a_get_dropped_at_any_poll_while_dials_fail() {
    sweep_all(every(Act::Fail, &WAYS)).await;
}

#[tokio::test(start_paused = true)]
async fn a_get_dropped_at_any_poll_while_dials_are_slow() {
    sweep_all(every(Act::Slow, &WAYS)).await;
}

#[tokio::test(start_paused = true)]
async fn a_get_dropped_at_any_poll_while_dials_hang() {
    sweep_all(every(Act::Never, &WAYS)).await;
}

/// bb8 #211, mysql_async #171: every step panics, alone and with all others.
#[tokio::test(start_paused = true)]
async fn a_get_dropped_at_any_poll_while_steps_panic() {
    const PANICS: [Act; 2] = [Act::Slow, Act::Panic];
    sweep_all(every(Act::Panic, &PANICS)).await;
    sweep_all(every(Act::Slow, &PANICS)).await;
}
