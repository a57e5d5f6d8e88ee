//! Several pools under one budget of connections: the bound over all of them, whose connection is closed for whom, that
//! every pool is served, and that no permit is lost.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote::error::AddError;
use cenote::pool::PoolBuilder;
use cenote::report::CloseReason;
use cenote::settings::Backoff;
use cenote::{
    Budget, Connect, ConnectionInfo, Dial, Lease, Multiplex, Pool, SharedPool, Verdict, blocking,
};
use fastrand::Rng;
use futures::future::join_all;
use futures::poll;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// A server of many databases: counts connections, and dials under way, over all of them.
#[derive(Clone, Default)]
struct Server {
    open: Arc<AtomicUsize>,
    /// What there may be; a dial beyond it is remembered.
    max: Arc<AtomicUsize>,
    exceeded: Arc<AtomicBool>,
    dials: Arc<AtomicUsize>,
    dial_time: Arc<Mutex<Duration>>,
    /// How long a goodbye takes.
    goodbye_time: Arc<Mutex<Duration>>,
    panics: Arc<AtomicBool>,
}

struct Session {
    server: Server,
    /// How many may use it at once.
    capacity: usize,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.server.open.fetch_sub(1, SeqCst);
    }
}

impl Server {
    fn of(max: usize) -> Self {
        let server = Self::default();
        server.max.store(max, SeqCst);
        server.dials_take(ms(20));
        server
    }

    fn dials_take(&self, time: Duration) {
        *self.dial_time.lock().unwrap() = time;
    }

    fn open(&self) -> usize {
        self.open.load(SeqCst)
    }

    fn dials(&self) -> usize {
        self.dials.load(SeqCst)
    }

    fn enter(&self) -> Session {
        let now = self.open.fetch_add(1, SeqCst) + 1;
        if now > self.max.load(SeqCst) {
            self.exceeded.store(true, SeqCst);
        }
        Session {
            server: self.clone(),
            capacity: 1,
        }
    }
}

impl Connect for Server {
    type Connection = Session;
    type Error = Infallible;

    async fn connect(&self, _: &Dial) -> Result<Session, Infallible> {
        self.dials.fetch_add(1, SeqCst);
        let session = self.enter();
        let time = *self.dial_time.lock().unwrap();
        sleep(time).await;
        assert!(!self.panics.load(SeqCst), "told to");
        Ok(session)
    }

    fn verdict(&self, _: &mut Session) -> Verdict {
        Verdict::Reuse
    }

    async fn close(&self, session: Session, _: &ConnectionInfo) {
        let time = *self.goodbye_time.lock().unwrap();
        if !time.is_zero() {
            sleep(time).await;
        }
        drop(session);
    }
}

impl Multiplex for Server {
    fn capacity(&self, session: &Session) -> usize {
        session.capacity
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Against hanging: virtual time, far beyond anything that is waited for.
const NEVER: Duration = Duration::from_secs(3_600);

fn builder(server: &Server, budget: &Budget) -> PoolBuilder<Server> {
    Pool::builder(server.clone())
        .max_size(100)
        .seed(1)
        .acquire_timeout(None)
        .idle_timeout(None)
        .max_lifetime(None)
        .budget(budget)
}

fn pool(server: &Server, budget: &Budget) -> Pool<Server> {
    builder(server, budget).build().unwrap()
}

fn pools<const N: usize>(server: &Server, budget: &Budget) -> [Pool<Server>; N] {
    std::array::from_fn(|_| pool(server, budget))
}

async fn get(pool: &Pool<Server>) -> Lease<'_, Server> {
    let lease = timeout(NEVER, pool.get()).await;
    lease.expect("nobody waits for ever").unwrap()
}

fn closed_for_budget(pool: &Pool<Server>) -> u64 {
    pool.counters().closed_by(CloseReason::Budget)
}

/// Nothing is leased or opening, and every permit that is not an open connection's is free.
async fn assert_whole<'a>(
    server: &Server,
    budget: &Budget,
    pools: impl IntoIterator<Item = &'a Pool<Server>> + Clone,
) {
    for _ in 0..1_000 {
        let status = budget.status();
        let idle: usize = pools
            .clone()
            .into_iter()
            .map(|pool| pool.status().idle)
            .sum();
        if status.connections == idle && status.waiting == 0 {
            break;
        }
        sleep(ms(10)).await;
    }
    let idle: usize = pools
        .clone()
        .into_iter()
        .map(|pool| pool.status().idle)
        .sum();
    let status = budget.status();
    assert_eq!((status.connections, status.waiting), (idle, 0), "{status}");
    assert_eq!(server.open(), idle);
    assert!(!server.exceeded.load(SeqCst), "more were open than may be");
}

#[tokio::test(start_paused = true)]
async fn pools_share_what_the_budget_has() {
    let (server, budget) = (Server::of(3), Budget::new(3).named("database"));
    let [a, b] = pools(&server, &budget);
    let leases = (get(&a).await, get(&b).await, get(&b).await);
    assert_eq!(
        budget.status().to_string(),
        "budget database: 3 of 3 connections, 0 pools waiting"
    );
    let mut waiting = pin!(a.get());
    assert!(poll!(waiting.as_mut()).is_pending());
    assert_eq!(budget.status().waiting, 1);
    drop(leases.1);
    let lease = timeout(NEVER, waiting).await.unwrap().unwrap();
    assert_eq!((server.open(), closed_for_budget(&b)), (3, 1));
    drop((lease, leases.0, leases.2));
    assert_whole(&server, &budget, [&a, &b]).await;
}

/// In any order of events: users of three pools who come, hold and leave, and a budget that changes.
#[tokio::test(start_paused = true)]
async fn no_more_than_the_budget_are_ever_open_or_being_opened() {
    for seed in 0..20 {
        let mut rng = Rng::with_seed(seed);
        let (server, budget) = (Server::of(5), Budget::new(5));
        let half = Budget::within(&budget, 3);
        let pools = [
            pool(&server, &budget),
            pool(&server, &half),
            builder(&server, &half).min_idle(1).build().unwrap(),
        ];
        let mut users = JoinSet::new();
        for _ in 0..20 {
            let (pools, mut rng) = (pools.clone(), rng.fork());
            users.spawn(async move {
                for _ in 0..30 {
                    let pool = &pools[rng.usize(..3)];
                    let lease = timeout(ms(rng.u64(1..100)), pool.get()).await;
                    sleep(ms(rng.u64(..20))).await;
                    match lease {
                        Ok(Ok(lease)) if rng.u8(..8) == 0 => Lease::discard(lease),
                        _ => {}
                    }
                    sleep(ms(rng.u64(..50))).await;
                }
            });
        }
        while !users.is_empty() {
            sleep(ms(rng.u64(..100))).await;
            let max = rng.usize(..=5);
            budget.resize(max);
            // What is open or permitted already may stay.
            server
                .max
                .store(max.max(budget.status().connections), SeqCst);
            while users.try_join_next().is_some() {}
        }
        server.max.store(5, SeqCst);
        budget.resize(5);
        assert_whole(&server, &budget, &pools).await;
        assert!(half.status().connections <= 3, "seed {seed}");
        // None was lost: the budget can be had by one pool, but for what is reserved for another.
        let leases = join_all((0..4).map(|_| get(&pools[0]))).await;
        assert_eq!(leases.len(), 4, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_connection_idle_for_longest_in_any_pool_is_closed_for_one_that_waits() {
    let (server, budget) = (Server::of(3), Budget::new(3));
    let [a, b, c, d] = pools(&server, &budget);
    for pool in [&b, &a, &c] {
        drop(get(pool).await);
        sleep(secs(1)).await;
    }
    let lease = get(&d).await;
    assert_eq!([&a, &b, &c].map(closed_for_budget), [0, 1, 0]);
    let other = get(&d).await;
    assert_eq!([&a, &b, &c].map(closed_for_budget), [1, 1, 0]);
    drop((lease, other));
    assert_whole(&server, &budget, [&a, &b, &c, &d]).await;
}

/// Pools are looked at in the order of what was seen of them last: one that had nothing idle then has its turn later.
#[tokio::test(start_paused = true)]
async fn a_pool_that_was_busy_when_a_connection_was_looked_for_is_not_passed_over_later() {
    let (server, budget) = (Server::of(2), Budget::new(2));
    let [a, b, c] = pools(&server, &budget);
    let busy = get(&a).await;
    drop(get(&b).await);
    sleep(secs(10)).await;
    let last = get(&c).await;
    assert_eq!([&a, &b].map(closed_for_budget), [0, 1]);
    sleep(secs(10)).await;
    drop(busy);
    sleep(secs(10)).await;
    drop(last);
    sleep(secs(10)).await;
    let lease = get(&b).await;
    assert_eq!([&a, &c].map(closed_for_budget), [1, 0]);
    drop(lease);
    assert_whole(&server, &budget, [&a, &b, &c]).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_closed_while_the_budget_has_room() {
    let (server, budget) = (Server::of(4), Budget::new(4));
    let [a, b] = pools(&server, &budget);
    drop(join_all([a.get(), a.get()]).await);
    drop(join_all([b.get(), b.get()]).await);
    sleep(secs(60)).await;
    drop(join_all([a.get(), a.get()]).await);
    assert_eq!((closed_for_budget(&a), closed_for_budget(&b)), (0, 0));
    assert_eq!(server.dials(), 4);
}

/// Both pools always have waiters, and there is one connection.
#[tokio::test(start_paused = true)]
async fn a_busy_pool_keeps_a_connection_for_some_dial_times_and_no_longer() {
    let (server, budget) = (Server::of(1), Budget::new(1));
    let pools = pools::<2>(&server, &budget);
    let turns = Arc::new(Mutex::new(Vec::<(usize, Instant)>::new()));
    let mut users = JoinSet::new();
    for user in 0..6 {
        let (which, turns) = (user % 2, Arc::clone(&turns));
        let pool = pools[which].clone();
        users.spawn(async move {
            loop {
                let lease = pool.get().await.unwrap();
                turns.lock().unwrap().push((which, Instant::now()));
                sleep(ms(5)).await;
                drop(lease);
            }
        });
    }
    sleep(secs(20)).await;
    users.shutdown().await;
    let turns = turns.lock().unwrap();
    let mut began = turns[0];
    let mut held = Vec::new();
    for &(which, at) in &*turns {
        if which != began.0 {
            held.push(at - began.1);
            began = (which, at);
        }
    }
    assert!(held.len() > 50, "{held:?}");
    // Five to ten dial times of 20 ms, and the dial of the next.
    let bounds = ms(5 * 20)..ms(11 * 20 + 10);
    assert!(held.iter().all(|held| bounds.contains(held)), "{held:?}");
}

/// As in the simulation of the policy, at a small scale: more pools than connections, all of them saturated.
#[tokio::test(start_paused = true)]
async fn every_one_of_more_pools_than_there_are_connections_is_served() {
    const POOLS: usize = 12;
    let (server, budget) = (Server::of(6), Budget::new(6));
    let pools = pools::<POOLS>(&server, &budget);
    let mut rng = Rng::with_seed(1);
    let longest = Arc::new(Mutex::new(Duration::ZERO));
    let mut users = JoinSet::new();
    for user in 0..120 {
        let pool = pools[user % POOLS].clone();
        let (mut rng, longest) = (rng.fork(), Arc::clone(&longest));
        users.spawn(async move {
            loop {
                let asked = Instant::now();
                let lease = pool.get().await.unwrap();
                let waited = asked.elapsed();
                {
                    let mut longest = longest.lock().unwrap();
                    *longest = waited.max(*longest);
                }
                sleep(ms(rng.u64(1..4))).await;
                drop(lease);
            }
        });
    }
    sleep(secs(10)).await;
    let gets: Vec<_> = pools.iter().map(|pool| pool.counters().gets).collect();
    users.shutdown().await;
    let fewest = gets.iter().min().unwrap();
    let all: u64 = gets.iter().sum();
    assert!(fewest * 3 > all / POOLS as u64, "{gets:?}");
    // 6 connections, 2 ms a lease, and no more than a third lost to dials.
    assert!(all > 10 * 2_000, "{all}");
    let longest = *longest.lock().unwrap();
    assert!(longest < secs(2), "{longest:?}");
    assert_whole(&server, &budget, &pools).await;
}

#[tokio::test(start_paused = true)]
async fn more_reserved_than_the_budget_has_is_refused_with_both_numbers() {
    let (server, budget) = (Server::of(5), Budget::new(5).named("database"));
    let first = builder(&server, &budget).min_idle(3).build().unwrap();
    let error = builder(&server, &budget).min_idle(3).build().unwrap_err();
    assert_eq!(error.setting, "min_idle");
    assert_eq!(
        error.to_string(),
        "min_idle is 3, which can't work: with the 3 that other pools of budget database reserve these are 6, and it \
         has 5 connections; lower min_idle or raise the budget"
    );
    let within = Budget::within(&budget, 1);
    let error = builder(&server, &within).min_idle(2).build().unwrap_err();
    assert!(error.accepted.contains("it has 1 connections"), "{error}");
    let shared = SharedPool::builder(server.clone()).min_size(3);
    let error = shared.budget(&budget).build().unwrap_err();
    assert_eq!(error.setting, "min_size");
    drop(first);
    sleep(secs(1)).await;
    builder(&server, &budget).min_idle(5).build().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_reserved_for_a_pool_no_other_has() {
    let (server, budget) = (Server::of(3), Budget::new(3));
    let a = builder(&server, &budget).min_idle(2).build().unwrap();
    let b = pool(&server, &budget);
    let lease = get(&b).await;
    let mut second = pin!(b.get());
    assert!(timeout(secs(10), second.as_mut()).await.is_err());
    assert_eq!((a.status().idle, closed_for_budget(&a)), (2, 0));
    // And it can be had at any time.
    let leases = (get(&a).await, get(&a).await);
    assert!(timeout(secs(10), second.as_mut()).await.is_err());
    drop(lease);
    drop(timeout(NEVER, second).await.unwrap().unwrap());
    drop(leases);
    assert_whole(&server, &budget, [&a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_reserved_for_a_pool_built_later_is_taken_from_the_others() {
    let (server, budget) = (Server::of(3), Budget::new(3));
    let a = pool(&server, &budget);
    drop(join_all([a.get(), a.get(), a.get()]).await);
    let b = builder(&server, &budget).min_idle(2).build().unwrap();
    sleep(secs(10)).await;
    assert_eq!((a.status().idle, b.status().idle), (1, 2));
    assert_whole(&server, &budget, [&a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn a_smaller_budget_closes_idle_connections_now_and_leased_ones_as_they_come_back() {
    let (server, budget) = (Server::of(4), Budget::new(4));
    let [a, b] = pools(&server, &budget);
    let leases = (get(&a).await, get(&a).await, get(&b).await);
    drop(get(&b).await);
    budget.resize(2);
    assert_eq!((server.open(), b.status().idle), (3, 0));
    drop(leases.0);
    assert_eq!((server.open(), a.status().idle), (2, 0));
    drop((leases.1, leases.2));
    assert_eq!((server.open(), a.status().idle, b.status().idle), (2, 1, 1));
    assert_whole(&server, &budget, [&a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_none_serves_nobody_until_it_has_some_again() {
    let (server, budget) = (Server::of(2), Budget::new(2));
    let a = builder(&server, &budget).min_idle(1).build().unwrap();
    let b = pool(&server, &budget);
    let lease = get(&b).await;
    budget.resize(0);
    sleep(secs(5)).await;
    assert_eq!(server.open(), 1, "the one that is leased");
    drop(lease);
    assert_eq!(server.open(), 0);
    let (of_a, of_b) = (a.get(), b.get());
    let mut both = pin!(futures::future::join(of_a, of_b));
    assert!(timeout(secs(60), both.as_mut()).await.is_err());
    assert_eq!(server.open(), 0);
    budget.resize(2);
    let both = timeout(NEVER, both).await.unwrap();
    assert!(both.0.is_ok() && both.1.is_ok());
    drop(both);
    assert_whole(&server, &budget, [&a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn a_bigger_budget_serves_the_pools_that_wait() {
    let (server, budget) = (Server::of(3), Budget::new(1));
    let [a, b, c] = pools(&server, &budget);
    let lease = get(&a).await;
    let mut others = pin!(futures::future::join(b.get(), c.get()));
    assert!(timeout(secs(10), others.as_mut()).await.is_err());
    budget.resize(3);
    let leases = timeout(NEVER, others).await.unwrap();
    assert!(leases.0.is_ok() && leases.1.is_ok());
    drop((lease, leases));
    assert_whole(&server, &budget, [&a, &b, &c]).await;
}

#[tokio::test(start_paused = true)]
async fn both_bounds_hold_and_each_makes_room_only_where_it_helps() {
    let (server, budget) = (Server::of(3), Budget::new(3));
    let group = Budget::within(&budget, 1);
    let outside = pool(&server, &budget);
    let [a, b] = pools(&server, &group);
    drop(get(&outside).await);
    sleep(secs(1)).await;
    drop(get(&a).await);
    // The one outside is the longest idle, but would make no room in the group.
    let lease = get(&b).await;
    assert_eq!([&outside, &a].map(closed_for_budget), [0, 1]);
    assert_eq!(
        (group.status().connections, budget.status().connections),
        (1, 2)
    );
    drop(lease);
    assert_whole(&server, &budget, [&outside, &a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn a_get_dropped_at_any_poll_costs_no_permit() {
    for polls in 0..12 {
        let (server, budget) = (Server::of(1), Budget::new(1));
        let [a, b, c] = pools(&server, &budget);
        let lease = get(&a).await;
        {
            let mut leaving = pin!(b.get());
            for poll in 0..polls {
                if poll == 4 {
                    drop(poll!(pin!(c.get())));
                }
                if poll!(leaving.as_mut()).is_ready() {
                    break;
                }
                sleep(ms(5)).await;
            }
        }
        let mut next = pin!(c.get());
        assert!(poll!(next.as_mut()).is_pending());
        drop(lease);
        drop(timeout(NEVER, next).await.unwrap().unwrap());
        assert_whole(&server, &budget, [&a, &b, &c]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_its_pool_has_no_use_for_any_more_goes_to_the_next() {
    let (server, budget) = (Server::of(1), Budget::new(1));
    let [a, b, c] = pools(&server, &budget);
    let lease = get(&a).await;
    let mut first = Box::pin(b.get());
    assert!(poll!(first.as_mut()).is_pending());
    sleep(ms(1)).await;
    let mut second = pin!(c.get());
    assert!(poll!(second.as_mut()).is_pending());
    drop(first);
    drop(lease);
    drop(timeout(NEVER, second).await.unwrap().unwrap());
    assert_eq!(b.counters().opened, 0);
    assert_whole(&server, &budget, [&a, &b, &c]).await;
}

/// The second comes while the connection that is closed for the first says its goodbye, and has an older caller.
#[tokio::test(start_paused = true)]
async fn a_pool_whose_permit_went_to_an_older_waiter_is_served_after_it() {
    let (server, budget) = (Server::of(1), Budget::new(1));
    *server.goodbye_time.lock().unwrap() = ms(200);
    let failing = Server {
        panics: Arc::new(AtomicBool::new(true)),
        ..server.clone()
    };
    let [a, b] = pools(&server, &budget);
    let older = builder(&failing, &budget)
        .backoff(Backoff::new(ms(50), ms(50)))
        .build()
        .unwrap();
    let mut oldest = pin!(older.get());
    assert!(timeout(ms(21), oldest.as_mut()).await.is_err());
    failing.panics.store(false, SeqCst);
    // While the older one's pool waits until it may dial again.
    a.add(server.enter()).unwrap();
    let mut first = pin!(b.get());
    assert!(poll!(first.as_mut()).is_pending());
    let lease = timeout(NEVER, oldest).await.unwrap().unwrap();
    assert_eq!(b.counters().opened, 0);
    drop(lease);
    drop(timeout(NEVER, first).await.unwrap().unwrap());
    assert_whole(&server, &budget, [&a, &b, &older]).await;
}

#[tokio::test(start_paused = true)]
async fn connects_that_panic_or_take_too_long_give_their_permits_back() {
    let (server, budget) = (Server::of(1), Budget::new(1));
    let failing = Server {
        panics: Arc::new(AtomicBool::new(true)),
        ..server.clone()
    };
    let hanging = Server {
        dial_time: Arc::new(Mutex::new(NEVER)),
        ..server.clone()
    };
    let [a, b] = [pool(&failing, &budget), pool(&hanging, &budget)];
    let c = pool(&server, &budget);
    for _ in 0..3 {
        for pool in [&a, &b] {
            let served = timeout(secs(10), pool.get()).await;
            assert!(!matches!(served, Ok(Ok(_))));
        }
        drop(get(&c).await);
    }
    assert!(a.counters().connect_failed > 0 && b.counters().connect_failed > 0);
    assert_whole(&server, &budget, [&a, &b, &c]).await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_dropped_or_closed_gives_all_back() {
    let (server, budget) = (Server::of(3), Budget::new(3));
    let a = builder(&server, &budget).min_idle(1).build().unwrap();
    let b = pool(&server, &budget);
    drop(join_all([a.get(), a.get()]).await);
    let lease = get(&b).await;
    let mut waiting = pin!(b.get());
    let lease_of_a = a.get_owned().await.unwrap();
    drop(a);
    assert!(
        timeout(secs(1), waiting.as_mut())
            .await
            .is_ok_and(|lease| lease.is_ok())
    );
    drop(lease_of_a);
    sleep(secs(5)).await;
    assert_eq!(
        (budget.status().connections, budget.status().reserved),
        (2, 0)
    );
    drop(lease);
    assert_eq!(b.close().await.abandoned, 0);
    assert_eq!((budget.status().connections, server.open()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_time_out_names_the_bound_that_was_hit() {
    let (server, budget) = (Server::of(1), Budget::new(1).named("database"));
    let [a, b] = pools(&server, &budget);
    let lease = get(&a).await;
    let error = b.get().timeout(secs(1)).await.unwrap_err().to_string();
    let said = "; budget database: 1 of 1 connections, ";
    assert!(error.contains(said), "{error}");
    drop(lease);
    // Its own size is no budget.
    a.resize(1).unwrap();
    let lease = get(&a).await;
    let error = a.get().timeout(secs(1)).await.unwrap_err().to_string();
    assert!(!error.contains("; budget"), "{error}");
    drop(lease);
}

#[tokio::test(start_paused = true)]
async fn a_connection_opened_elsewhere_is_added_only_where_the_budget_has_room() {
    let (server, budget) = (Server::of(2), Budget::new(1));
    let [a, b] = pools(&server, &budget);
    a.add(server.enter()).unwrap();
    assert_eq!(budget.status().connections, 1);
    let refused = b.add(server.enter()).unwrap_err();
    assert!(matches!(refused, AddError::Full(_)));
    drop(refused);
    drop(get(&b).await);
    assert_whole(&server, &budget, [&a, &b]).await;
}

/// Checks take connections away for a while; none is lost sight of.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_being_checked_is_found_when_it_is_idle_again() {
    let (server, budget) = (Server::of(1), Budget::new(1));
    let a = builder(&server, &budget)
        .check_after_idle(ms(50))
        .before_get(|_, _| {
            Box::pin(async {
                sleep(ms(300)).await;
                Ok(())
            })
        })
        .build()
        .unwrap();
    let b = pool(&server, &budget);
    drop(get(&a).await);
    sleep(secs(1)).await;
    // Its caller leaves, and the check goes on.
    assert!(timeout(ms(10), a.get()).await.is_err());
    drop(get(&b).await);
    assert_whole(&server, &budget, [&a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn a_shared_pool_and_an_exclusive_one_serve_each_other_s_callers() {
    let (server, budget) = (Server::of(1), Budget::new(1));
    let shared = SharedPool::builder(server.clone())
        .acquire_timeout(None)
        .budget(&budget)
        .build()
        .unwrap();
    let exclusive = pool(&server, &budget);
    for _ in 0..3 {
        let lease = timeout(NEVER, shared.get()).await.unwrap().unwrap();
        let mut waiting = pin!(exclusive.get());
        assert!(timeout(secs(1), waiting.as_mut()).await.is_err());
        drop(lease);
        drop(timeout(NEVER, waiting).await.unwrap().unwrap());
    }
    assert_eq!(server.open(), 1);
}

struct Threaded(Server);

impl blocking::Connect for Threaded {
    type Connection = Session;
    type Error = Infallible;

    fn connect(&self) -> Result<Session, Infallible> {
        Ok(self.0.enter())
    }

    fn verdict(&self, _: &mut Session) -> Verdict {
        Verdict::Reuse
    }

    fn check(&self, _: &mut Session, _: &ConnectionInfo) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Each pool on a runtime of its own.
#[test]
fn blocking_pools_share_a_budget() {
    let (server, budget) = (Server::of(2), Budget::new(2));
    let pools: Vec<_> = (0..3)
        .map(|_| {
            let builder = blocking::Pool::builder(Threaded(server.clone()));
            builder.budget(&budget).build().unwrap()
        })
        .collect();
    std::thread::scope(|scope| {
        for user in 0..6 {
            let pool = &pools[user % 3];
            scope.spawn(move || {
                for _ in 0..50 {
                    drop(pool.get().unwrap());
                }
            });
        }
    });
    drop(pools);
    assert!(!server.exceeded.load(SeqCst));
}

/// Real threads: pools of several runtimes' tasks against each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_contention_of_threads_nobody_is_forgotten() {
    let (server, budget) = (Server::of(3), Budget::new(3));
    server.dials_take(Duration::ZERO);
    let pools = pools::<5>(&server, &budget);
    let mut users = JoinSet::new();
    for user in 0..40 {
        let pool = pools[user % 5].clone();
        users.spawn(async move {
            for _ in 0..50 {
                let lease = pool.get().await.unwrap();
                tokio::task::yield_now().await;
                drop(lease);
            }
        });
    }
    let all = timeout(secs(120), users.join_all()).await;
    all.expect("everyone is served");
    assert_whole(&server, &budget, &pools).await;
}
