//! The pool under shuttle: where kernel, upkeep, dials and users meet, in thousands of random schedules, half of
//! them random at every step and half with few changes of priority (PCT). A wake-up lost shows as a deadlock:
//! time stands still unless a model lets it pass, so no time-out and no turn of upkeep comes to the rescue.
//!
//! Every lock, atomic and notification of pool and kernel is a place where threads may change, and so is every
//! await of the toy connector. Reference counts are not, nor are the threads' hints (all of shuttle's threads
//! share one); what comes of weak memory orders is loom's to find in the kernel.
//!
//! `RUSTFLAGS="--cfg cenote_shuttle" cargo test -p cenote --release --lib pool::models`
//!
//! A failure prints its seed; with `SHUTTLE_RANDOM_SEED` set to that, the same model begins with the same schedule.
//! `CENOTE_SCHEDULES` says how many there are.

mod balanced;
mod changing;
mod closing;
mod dialling;
mod leaving;
mod looking_after;
mod restarting;
pub(crate) mod server;
mod sharing;
pub(crate) mod toy;

use std::env;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use shuttle::future::block_on;
use shuttle::rand::Rng;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::atomic::{AtomicBool, Ordering::SeqCst};
use shuttle::{Config, MaxSteps, Runner, thread};

use super::{Arc, Lease, OwnedLease, Pool, PoolBuilder};
use crate::error::GetError;
use crate::rt::model::advance;
use crate::settings::IdleOrder;
use toy::{Server, Toy};

/// Unless `CENOTE_SCHEDULES` says otherwise: some seconds for each model.
const SCHEDULES: usize = 3_000;
/// A turn of upkeep's is no longer.
const SECOND: Duration = Duration::from_secs(1);
/// The same schedules at every run, unless the caller sets `SHUTTLE_RANDOM_SEED`.
const SEED: u64 = 1;
/// Changes of priority in a schedule of PCT: more than most races need.
const DEPTH: usize = 4;

pub(crate) fn explore(model: impl Fn() + Sync + Send + Copy + 'static) {
    let schedules = env::var("CENOTE_SCHEDULES").map_or(SCHEDULES, |number| {
        number.parse().expect("CENOTE_SCHEDULES is a number")
    });
    let mut config = Config::new();
    config.stack_size = 1 << 18;
    // Far more than any model takes: a livelock.
    config.max_steps = MaxSteps::FailAfter(100_000);
    // That weak orders are not modelled is said above.
    config.silence_warnings = true;
    let half = schedules.div_ceil(2);
    Runner::new(RandomScheduler::new_from_seed(SEED, half), config.clone()).run(model);
    Runner::new(PctScheduler::new_from_seed(SEED, DEPTH, half), config).run(model);
}

/// A number below `end`, part of the schedule.
pub(crate) fn below(end: usize) -> usize {
    shuttle::rand::thread_rng().gen_range(0..end)
}

/// A pool without time-outs of waiting, with any order of its idle connections, which are checked before
/// they are leased, or not.
pub(crate) fn builder(server: &Server, max_size: usize) -> PoolBuilder<Toy> {
    let orders = [
        IdleOrder::Local,
        IdleOrder::MostRecent,
        IdleOrder::LeastRecent,
    ];
    Pool::builder(server.connector())
        .max_size(max_size)
        .idle_order(orders[below(orders.len())])
        .acquire_timeout(None)
        .check_after_idle([None, Some(Duration::ZERO)][below(2)])
        .keepalive(None)
        .seed(1)
}

fn pool(server: &Server, max_size: usize) -> Pool<Toy> {
    builder(server, max_size).build().unwrap()
}

pub(crate) type Party = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One of those who [`race`].
pub(crate) fn party(act: impl Future<Output = ()> + Send + 'static) -> Party {
    Box::pin(act)
}

/// Lets others run, for nothing at all or for about as long as a dial and a check take: schedules random at every
/// step alone would have whoever has least to do always done first.
pub(crate) fn dawdle() {
    for _ in 0..below(2) * below(60) {
        thread::yield_now();
    }
}

/// Runs all parties, each on a thread of its own and from some moment on, to their ends.
pub(crate) fn race<const N: usize>(parties: [Party; N]) {
    let threads: Vec<_> = parties
        .into_iter()
        .map(|party| {
            thread::spawn(|| {
                dawdle();
                block_on(party);
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

/// Gets, uses and gives back, `times` over.
fn user(pool: &Pool<Toy>, times: usize) -> Party {
    let pool = pool.clone();
    party(async move {
        for _ in 0..times {
            served(&pool).await.use_it();
        }
    })
}

/// As [`user`], of any connection there is: where one of an endpoint is leased for good, who wants that one waits for good.
fn user_of_any(pool: &Pool<Toy>) -> Party {
    let pool = pool.clone();
    party(async move {
        let lease = pool.get().await;
        lease.expect("the pool is open and connects").use_it();
    })
}

/// Gets, uses and gives back, or learns that the pool is closed.
fn caller(pool: &Pool<Toy>) -> Party {
    let pool = pool.clone();
    party(async move {
        match get(&pool).await {
            Ok(mut lease) => lease.use_it(),
            Err(GetError::Closed { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    })
}

/// Closes, and waits until all is closed.
fn closer(pool: &Pool<Toy>) -> Party {
    let pool = pool.clone();
    party(async move { assert_eq!(pool.close().await.abandoned, 0) })
}

/// A lease, for which there must be a connection sooner or later.
async fn served(pool: &Pool<Toy>) -> Lease<'_, Toy> {
    get(pool).await.expect("the pool is open and connects")
}

/// A get, now and then by a key: over a set of one endpoint, and of no other while that can be had.
fn get(pool: &Pool<Toy>) -> super::Get<'_, Toy> {
    match below(3) {
        0 => pool.get().by_key(&below(8)),
        _ => pool.get(),
    }
}

/// A get polled `times` times at most, and whatever became of it.
fn polled(pool: &Pool<Toy>, times: usize) -> impl Sized {
    polled_of(get(pool), times)
}

/// As [`polled`], of any get.
pub(crate) fn polled_of<F: Future>(get: F, times: usize) -> impl Sized {
    let mut get = Box::pin(get);
    let mut lease = None;
    for _ in 0..times {
        let poll = block_on(poll_fn(|cx| Poll::Ready(get.as_mut().poll(cx))));
        if let Poll::Ready(served) = poll {
            lease = Some(served);
            break;
        }
        dawdle();
    }
    (get, lease)
}

/// Lets time pass, a turn of upkeep's at a step: less in all than any time-out.
pub(crate) fn time_passes(turns: u32) -> Party {
    assert!(turns < 5, "time-outs are 5 s, a turn 1 s at most");
    party(async move {
        for _ in 0..turns {
            advance(SECOND);
            thread::yield_now();
        }
    })
}

/// Time passes for as long as `act` takes.
pub(crate) fn in_time(act: impl FnOnce()) {
    let over = Arc::new(AtomicBool::new(false));
    let clock = {
        let over = Arc::clone(&over);
        thread::spawn(move || {
            while !over.load(SeqCst) {
                advance(SECOND / 20);
                thread::yield_now();
            }
        })
    };
    act();
    over.store(true, SeqCst);
    clock.join().unwrap();
}

/// The end of every model: all `places` can be leased at once, so none was lost; the close ends, with
/// nothing left open; and with its last handle the pool is gone.
fn ends_whole(pool: Pool<Toy>, server: &Server, places: usize) {
    block_on(async {
        let mut leases = Vec::new();
        for _ in 0..places {
            leases.push(pool.get().await.expect("the pool is open and connects"));
        }
        assert_eq!(pool.status().leased, places);
    });
    ends(pool, server);
}

/// As [`ends_whole`], of a pool that may be closed already.
fn ends(pool: Pool<Toy>, server: &Server) {
    let closed = block_on(pool.close());
    assert_eq!(closed.abandoned, 0);
    assert_eq!(server.open(), 0, "open after the close");
    drop(pool);
    server.is_left();
}
