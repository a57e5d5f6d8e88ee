//! Panics in everything the pool calls and in everyone who calls it: each costs at most the connection it
//! happened on, and its place is free again.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Wake, Waker};

use cenote::report::CloseReason;
use cenote::settings::{ConnectFailures, HookFuture};
use cenote::{Connect, Dial, Lease, OwnedLease, Pool, Verdict};
use futures::{FutureExt, poll};

use crate::server::{Act, Conn, Plan, Server, assert_quiet, ms, pass, secs};

/// What is left of `pool` serves, and is as large as before.
async fn assert_whole(pool: &Pool<Server>) {
    pass(secs(20)).await;
    assert_quiet(pool);
    let size = pool.status().max_size;
    let mut held = Vec::new();
    for _ in 0..size {
        held.push(pool.get().await.unwrap());
    }
    drop(held);
    pass(secs(20)).await;
    assert_quiet(pool);
}

/// bb8 #211, r2d2 #31, mysql_async #171: returned during a panic, or leaked by it.
#[tokio::test(start_paused = true)]
async fn a_task_that_panics_with_a_lease_in_hand_costs_that_connection_alone() {
    let server = Server::default();
    let pool = server.pool(2);
    let user = {
        let pool = pool.clone();
        tokio::spawn(async move {
            let _one = pool.get().await.unwrap();
            let _other = pool.get_owned().await.unwrap();
            panic!("told to");
        })
    };
    assert!(user.await.unwrap_err().is_panic());
    assert_eq!(pool.counters().closed_by(CloseReason::Panicked), 2);
    assert_eq!(server.open(), 0);
    assert_whole(&pool).await;
}

/// A waiter that panics, granted or not, passes its turn on.
#[tokio::test(start_paused = true)]
async fn a_task_that_panics_while_its_get_is_under_way_costs_nothing() {
    for granted in [false, true] {
        let server = Server::default();
        let pool = server.pool(1);
        let held = pool.get().await.unwrap();
        let mut held = Some(held);
        let panics = async {
            let mut get = Box::pin(pool.get());
            assert!(poll!(&mut get).is_pending());
            if granted {
                held = None;
            }
            panic!("told to");
        };
        assert!(AssertUnwindSafe(panics).catch_unwind().await.is_err());
        drop(held);
        assert_whole(&pool).await;
        assert_eq!(server.connected(), 1, "granted: {granted}");
    }
}

fn act(panics: bool) -> Act {
    if panics { Act::Panic } else { Act::Ok }
}

#[tokio::test(start_paused = true)]
async fn every_method_of_the_connector_may_panic() {
    type Set = fn(&mut Plan, bool);
    let methods: [(&str, Set); 6] = [
        ("connect", |plan, on| plan.connect = act(on)),
        ("check", |plan, on| plan.check = act(on)),
        ("reset", |plan, on| plan.reset = act(on)),
        ("close", |plan, on| plan.close = act(on)),
        ("verdict", |plan, on| plan.verdict_panics = on),
        ("is_open", |plan, on| plan.is_open_panics = on),
    ];
    for (method, set) in methods {
        let server = Server::default();
        let pool = server
            .builder()
            .max_size(2)
            .keepalive(secs(2))
            .idle_timeout(secs(8))
            .build()
            .unwrap();
        for turn in 0..6 {
            if let Ok(mut conn) = pool.get().await {
                conn.dirty = turn % 2 == 0;
                server.plan(|plan| set(plan, true));
            }
            pass(secs(3)).await;
            let _ = pool.try_get();
            pool.evict();
            pass(secs(10)).await;
            server.plan(|plan| set(plan, turn % 3 == 0));
        }
        server.plan(|plan| set(plan, false));
        assert_whole(&pool).await;
        assert!(server.most() <= 2, "{method}");
        assert_eq!(server.open(), pool.status().idle, "{method}");
    }
}

fn panics_at_once<'a>(_: &'a mut Conn, _: &cenote::ConnectionInfo) -> HookFuture<'a> {
    panic!("told to")
}

fn panics_later<'a>(_: &'a mut Conn, _: &cenote::ConnectionInfo) -> HookFuture<'a> {
    Box::pin(async {
        pass(ms(1)).await;
        panic!("told to")
    })
}

/// An error of a hook's that panics where it is to be shown.
#[derive(Debug)]
struct Unspeakable;

impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("told to")
    }
}

impl std::error::Error for Unspeakable {}

/// A lease may be dropped in unwinding, where a second panic would be the end of the process.
#[tokio::test(start_paused = true)]
async fn an_error_whose_text_panics_keeps_its_panic_from_the_drop_of_a_lease() {
    let server = Server::default();
    let fails = Arc::new(AtomicBool::new(true));
    let pool = {
        let fails = Arc::clone(&fails);
        let builder = server.builder().max_size(1);
        let builder = builder.after_return(move |_, _| {
            let outcome = if fails.load(SeqCst) {
                Err(Unspeakable.into())
            } else {
                Ok(())
            };
            Box::pin(async { outcome })
        });
        builder.build().unwrap()
    };
    let lease = pool.get().await.unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(lease))).is_ok());
    assert_eq!(pool.counters().closed_by(CloseReason::Hook), 1);
    fails.store(false, SeqCst);
    assert_whole(&pool).await;
}

/// Of a connection that was used before, the getter has another.
#[tokio::test(start_paused = true)]
async fn an_error_whose_text_panics_keeps_its_panic_from_the_getter() {
    let server = Server::default();
    let fails = Arc::new(AtomicBool::new(false));
    let pool = {
        let fails = Arc::clone(&fails);
        let builder = server.builder().max_size(1);
        let builder = builder.before_get(move |_, _| {
            let outcome = if fails.swap(false, SeqCst) {
                Err(Unspeakable.into())
            } else {
                Ok(())
            };
            Box::pin(async { outcome })
        });
        builder.build().unwrap()
    };
    drop(pool.get().await.unwrap());
    fails.store(true, SeqCst);
    assert_eq!(pool.get().await.unwrap().id, 1);
    assert_whole(&pool).await;
}

/// bb8 #211: every hook, before and after its first await.
#[tokio::test(start_paused = true)]
async fn every_hook_may_panic() {
    type Hook = for<'a> fn(&'a mut Conn, &cenote::ConnectionInfo) -> HookFuture<'a>;
    for hook in [panics_at_once as Hook, panics_later as Hook] {
        for which in ["after_connect", "before_get", "after_return"] {
            let server = Server::default();
            let builder = server.builder().max_size(1);
            let pool = match which {
                "after_connect" => builder.after_connect(hook),
                "before_get" => builder.before_get(hook),
                _ => builder.after_return(hook),
            };
            let pool = pool.build().unwrap();
            for _ in 0..3 {
                match pool.get().await {
                    Ok(lease) => drop(lease),
                    Err(error) => assert!(error.to_string().contains("told to"), "{error}"),
                }
            }
            pass(secs(20)).await;
            assert_quiet(&pool);
            assert_eq!(server.open(), 0, "{which}");
            assert_eq!(pool.close().await.abandoned, 0);
        }
    }
}

/// The handler of events sees every event, panicking at each.
#[tokio::test(start_paused = true)]
async fn an_event_handler_may_panic_at_every_event() {
    let server = Server::default();
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = seen.clone();
    let pool = server
        .builder()
        .max_size(1)
        .leak_threshold(secs(1))
        .connect_failures(ConnectFailures::FailAfter(3))
        .on_event(move |_| {
            counted.fetch_add(1, SeqCst);
            panic!("told to")
        })
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    pass(secs(5)).await;
    Lease::discard(held);
    server.plan(|plan| plan.connect = Act::Fail);
    pool.get().await.unwrap_err();
    server.plan(|plan| plan.connect = Act::Ok);
    // Opened, waited for, leaked, closed, three failed connects.
    assert_eq!(seen.load(SeqCst), 7);
    assert_whole(&pool).await;
}

/// Whoever waits may be woken by code that panics: the others are woken all the same.
#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_keeps_nobody_else_asleep() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("told to");
        }
    }
    struct Counts(AtomicUsize);
    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let server = Server::default();
    let pool = server.pool(1);
    let held = pool.get().await.unwrap();
    let counts = Arc::new(Counts(AtomicUsize::new(0)));
    let (panics, calm) = (Waker::from(Arc::new(Panics)), Waker::from(counts.clone()));
    let mut getters: Vec<_> = (0..3).map(|_| Box::pin(pool.get())).collect();
    for (getter, waker) in getters.iter_mut().zip([&panics, &calm, &calm]) {
        let polled = getter.as_mut().poll(&mut Context::from_waker(waker));
        assert!(polled.is_pending());
    }
    // A lease's drop hands over without a panic, ...
    assert!(catch_unwind(AssertUnwindSafe(|| drop(held))).is_ok());
    let lease = getters.remove(0).await.unwrap();
    let mut again = Box::pin(pool.get());
    assert!(
        again
            .as_mut()
            .poll(&mut Context::from_waker(&panics))
            .is_pending()
    );
    getters.insert(0, again);
    // ... and so does the end of all waiting.
    assert!(catch_unwind(AssertUnwindSafe(|| drop(pool.close()))).is_ok());
    assert_eq!(counts.0.load(SeqCst), 2);
    drop(getters);
    drop(lease);
}

/// A connection whose own drop panics.
struct Grenade {
    armed: Arc<AtomicBool>,
}

impl Drop for Grenade {
    fn drop(&mut self) {
        assert!(!self.armed.load(SeqCst), "told to");
    }
}

#[derive(Clone)]
struct Grenades(Arc<AtomicBool>);

impl Connect for Grenades {
    type Connection = Grenade;
    type Error = Infallible;

    async fn connect(&self, _: &Dial) -> Result<Grenade, Infallible> {
        let armed = self.0.clone();
        Ok(Grenade { armed })
    }

    fn verdict(&self, _: &mut Grenade) -> Verdict {
        Verdict::Reuse
    }
}

/// Dropping leases and pools never panics, whatever their connections do.
#[tokio::test(start_paused = true)]
async fn a_connection_may_panic_in_its_own_drop_wherever_it_ends() {
    let armed = Arc::new(AtomicBool::new(true));
    let pool = Pool::builder(Grenades(armed.clone()))
        .max_size(2)
        .build()
        .unwrap();
    // Discarded, evicted, closed with its pool: the panic stays inside.
    Lease::discard(pool.get().await.unwrap());
    drop(pool.get().await.unwrap());
    pool.evict();
    pass(ms(1)).await;
    drop(pool.get().await.unwrap());
    pool.retain(|_, _| false);
    pass(ms(1)).await;
    assert_eq!((pool.status().size, pool.counters().closed()), (0, 3));
    // While its holder unwinds, a second panic would be the end of the process.
    let lease = pool.get_owned().await.unwrap();
    let user = std::thread::spawn(move || {
        let _lease = lease;
        panic!("told to");
    });
    assert!(user.join().is_err());
    assert_eq!(pool.status().size, 0);
    OwnedLease::discard(pool.get_owned().await.unwrap());
    let lease = pool.get_owned().await.unwrap();
    drop(pool);
    drop(lease);
    pass(ms(1)).await;
    armed.store(false, SeqCst);
}

/// The same where no runtime is left to catch it.
#[test]
fn a_connection_that_panics_in_its_drop_does_not_escape_without_a_runtime() {
    let armed = Arc::new(AtomicBool::new(true));
    let pool = Pool::builder(Grenades(armed.clone())).build().unwrap();
    pool.add(Grenade {
        armed: armed.clone(),
    })
    .ok()
    .unwrap();
    drop(pool);
    armed.store(false, SeqCst);
}

/// A payload whose drop panics, with one whose drop panics, and so on.
struct Nested(u8);

impl Drop for Nested {
    fn drop(&mut self) {
        if self.0 > 0 {
            std::panic::panic_any(Nested(self.0 - 1));
        }
    }
}

struct PanicsInVerdict;

impl Connect for PanicsInVerdict {
    type Connection = ();
    type Error = Infallible;

    async fn connect(&self, _: &Dial) -> Result<(), Infallible> {
        Ok(())
    }

    fn verdict(&self, (): &mut ()) -> Verdict {
        std::panic::panic_any(Nested(5));
    }
}

/// What a connector panics with is code of its own, too.
#[tokio::test(start_paused = true)]
async fn a_panic_whose_payload_panics_when_it_is_dropped_costs_no_more_than_another() {
    let pool = Pool::new(PanicsInVerdict);
    let lease = pool.get().await.unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(lease))).is_ok());
    pass(ms(1)).await;
    assert_eq!(pool.counters().closed(), 1);
    drop(pool.get().await.unwrap());
}

/// A dial that panics while others hang: the place of the one is free, the others go on.
#[tokio::test(start_paused = true)]
async fn a_dial_that_panics_beside_one_that_hangs_frees_its_own_place() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Never);
    let pool = server
        .builder()
        .max_size(2)
        .connect_timeout(secs(1))
        .build()
        .unwrap();
    let mut getters = (pin!(pool.get()), pin!(pool.get()));
    assert!(poll!(&mut getters.0).is_pending());
    pass(ms(1)).await;
    server.plan(|plan| plan.connect = Act::Panic);
    assert!(poll!(&mut getters.1).is_pending());
    pass(ms(1)).await;
    assert_eq!(
        (pool.status().opening, pool.counters().connect_failed),
        (1, 1)
    );
    server.plan(|plan| plan.connect = Act::Ok);
    drop(getters.0.await.unwrap());
    drop(getters.1.await.unwrap());
}
