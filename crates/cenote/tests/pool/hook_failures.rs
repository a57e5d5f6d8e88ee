//! Hooks that refuse, dawdle, hang or panic: what becomes of the connection, and what the getter learns.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use cenote::error::{BoxError, TryGetError};
use cenote::report::CloseReason;
use cenote::settings::HookFuture;
use cenote::{ConnectionInfo, GetError, Lease};
use futures::poll;
use tokio::time::Instant;

use crate::server::{Act, Conn, Refused, SLOW, Server, Told, assert_quiet, ms, pass, secs};

/// A hook that does as the plan says when it is called.
fn hook(
    plan: &Arc<Mutex<Act>>,
) -> impl for<'a> Fn(&'a mut Conn, &ConnectionInfo) -> HookFuture<'a> + Send + Sync + 'static {
    let plan = plan.clone();
    move |_, _| {
        let act = *plan.lock().unwrap();
        Box::pin(async move { act.run().await.map_err(BoxError::from) })
    }
}

fn plan(act: Act) -> Arc<Mutex<Act>> {
    Arc::new(Mutex::new(act))
}

#[tokio::test(start_paused = true)]
async fn a_used_connection_that_before_get_does_not_pass_is_replaced_for_the_getter() {
    for (act, error) in [
        (Act::Fail, "the server refused"),
        (Act::Never, "timed out"),
        (Act::Panic, "panicked: told to"),
    ] {
        let server = Server::default();
        let before_get = plan(Act::Ok);
        let (builder, told) = Told::by(server.builder());
        let pool = builder
            .max_size(1)
            .check_timeout(secs(1))
            .before_get(hook(&before_get))
            .build()
            .unwrap();
        drop(pool.get().await.unwrap());
        *before_get.lock().unwrap() = act;
        let mut getter = pin!(pool.get());
        assert!(poll!(&mut getter).is_pending());
        *before_get.lock().unwrap() = Act::Ok;
        assert_eq!(getter.await.unwrap().id, 1);
        assert!(
            told.take().contains(&format!("closed 1: hook, {error}")),
            "{act:?}"
        );
        assert_quiet(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_that_before_get_does_not_pass_is_the_getter_s_error_with_its_cause() {
    for act in [Act::Fail, Act::Never, Act::Panic] {
        let server = Server::default();
        let pool = server
            .builder()
            .name("orders")
            .check_timeout(secs(1))
            .before_get(hook(&plan(act)))
            .build()
            .unwrap();
        let error = pool.get().await.unwrap_err();
        assert!(matches!(error, GetError::Hook { .. }), "{error}");
        assert!(
            error
                .to_string()
                .starts_with("pool orders: the before_get hook failed: ")
        );
        assert_eq!(error.downcast_ref::<Refused>().is_some(), act == Act::Fail);
        assert_eq!(server.open(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_before_get_delays_its_getter_and_nobody_else() {
    let server = Server::default();
    let before_get = plan(Act::Ok);
    let pool = server
        .builder()
        .max_size(2)
        .before_get(hook(&before_get))
        .build()
        .unwrap();
    drop((pool.get().await.unwrap(), pool.get().await.unwrap()));
    *before_get.lock().unwrap() = Act::Slow;
    let began = Instant::now();
    let mut slow = pin!(pool.get());
    assert!(poll!(&mut slow).is_pending());
    *before_get.lock().unwrap() = Act::Ok;
    drop(pool.get().await.unwrap());
    assert!(began.elapsed() < ms(5));
    drop(slow.await.unwrap());
    assert!(began.elapsed() >= SLOW);
}

/// The getter leaves; the hook goes on, and its connection is not lost.
#[tokio::test(start_paused = true)]
async fn a_getter_that_leaves_during_before_get_loses_nothing() {
    for act in [Act::Slow, Act::Never] {
        let server = Server::default();
        let before_get = plan(act);
        let pool = server
            .builder()
            .max_size(1)
            .check_timeout(secs(1))
            .before_get(hook(&before_get))
            .build()
            .unwrap();
        assert!(pool.get().timeout(ms(10)).await.is_err());
        pass(secs(5)).await;
        assert_quiet(&pool);
        let kept = usize::from(act == Act::Slow);
        assert_eq!((pool.status().idle, server.open()), (kept, kept), "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_nobody_s_until_after_return_has_passed_it() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(1)
        .after_return(hook(&plan(Act::Slow)))
        .build()
        .unwrap();
    drop(pool.get().await.unwrap());
    assert_eq!((pool.status().upkeep, pool.status().idle), (1, 0));
    assert_eq!(pool.try_get().err(), Some(TryGetError::NoneIdle));
    let began = Instant::now();
    assert_eq!(pool.get().await.unwrap().id, 0);
    assert!(began.elapsed() >= SLOW && began.elapsed() < SLOW + ms(10));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_after_return_does_not_pass_is_closed_within_reset_timeout() {
    for (act, within) in [
        (Act::Fail, ms(1)),
        (Act::Panic, ms(1)),
        (Act::Never, ms(2_005)),
    ] {
        let server = Server::default();
        let pool = server
            .builder()
            .max_size(1)
            .reset_timeout(secs(2))
            .after_return(hook(&plan(act)))
            .build()
            .unwrap();
        drop(pool.get().await.unwrap());
        pass(within).await;
        assert_eq!(pool.counters().closed_by(CloseReason::Hook), 1, "{act:?}");
        assert_eq!(server.open(), 0);
        assert_quiet(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn after_return_sees_the_connection_after_its_reset() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(1)
        .after_return(|conn, _| {
            let clean = !conn.dirty;
            Box::pin(async move { if clean { Ok(()) } else { Err("dirty".into()) } })
        })
        .build()
        .unwrap();
    pool.get().await.unwrap().dirty = true;
    assert_eq!(pool.get().await.unwrap().id, 0);
    assert_eq!(pool.counters().resets, 1);
}

/// A connection that will not come back is none of after_return's business.
#[tokio::test(start_paused = true)]
async fn after_return_is_not_asked_about_what_leaves_the_pool() {
    let server = Server::default();
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let pool = server
        .builder()
        .after_return(move |_, _| {
            counted.fetch_add(1, SeqCst);
            Box::pin(async { Ok(()) })
        })
        .build()
        .unwrap();
    Lease::discard(pool.get().await.unwrap());
    drop(Lease::detach(pool.get().await.unwrap()));
    pool.get().await.unwrap().alive.store(false, SeqCst);
    server.plan(|plan| plan.verdict = Some(cenote::Verdict::Close));
    drop(pool.get().await.unwrap());
    pass(ms(1)).await;
    assert_eq!(runs.load(SeqCst), 0);
}

/// `connect_timeout` is over both together.
#[tokio::test(start_paused = true)]
async fn a_dial_and_its_after_connect_hook_share_one_time_out() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let pool = server
        .builder()
        .connect_timeout(SLOW + SLOW / 2)
        .after_connect(hook(&plan(Act::Slow)))
        .build()
        .unwrap();
    let error = pool.get().await.unwrap_err();
    assert!(error.to_string().contains("connect_timeout"), "{error}");
    assert_eq!(server.open(), 0);
}

/// What `after_connect` did is there when anyone gets the connection.
#[tokio::test(start_paused = true)]
async fn nobody_gets_a_connection_before_after_connect_is_through() {
    let server = Server::default();
    server.plan(|plan| plan.verdict = Some(cenote::Verdict::Reuse));
    let pool = server
        .builder()
        .after_connect(|conn, info| {
            assert_eq!((info.id, info.uses), (1, 0));
            Box::pin(async move {
                pass(SLOW).await;
                conn.dirty = true;
                Ok(())
            })
        })
        .build()
        .unwrap();
    assert!(pool.get().await.unwrap().dirty);
}

/// The hook may still speak to the connection, and it comes before the event and before the goodbye.
#[tokio::test(start_paused = true)]
async fn before_close_comes_first_with_the_connection_still_whole() {
    let server = Server::default();
    let (builder, told) = Told::by(server.builder());
    let log = told.clone();
    let seen = server.seen.clone();
    let pool = builder
        .before_close(move |conn, info, reason| {
            assert!(conn.alive.load(SeqCst) && info.uses == 1);
            assert_eq!(seen.goodbyes.load(SeqCst), 0);
            log.note(&format!("before_close: {reason}"));
        })
        .build()
        .unwrap();
    drop(pool.get().await.unwrap());
    pool.close().await;
    assert_eq!(
        told.take(),
        [
            "opened 1",
            "before_close: pool_closed",
            "closed 1: pool_closed"
        ]
    );
}

/// A hook may use the pool it belongs to, short of waiting for the connection in its own hands.
#[tokio::test(start_paused = true)]
async fn hooks_and_handlers_may_ask_the_pool_about_itself() {
    let server = Server::default();
    let cell = Arc::new(std::sync::OnceLock::<cenote::Pool<Server>>::new());
    let [a, b, c] = [(); 3].map(|()| cell.clone());
    let ask = |cell: &std::sync::OnceLock<cenote::Pool<Server>>| {
        if let Some(pool) = cell.get() {
            let _ = (pool.status(), pool.counters());
            pool.retain(|_, _| true);
            pool.pause();
            pool.resize(3).unwrap();
            pool.resume();
        }
    };
    let pool = server
        .builder()
        .max_size(3)
        .after_return(move |_, _| {
            ask(&a);
            Box::pin(async { Ok(()) })
        })
        .before_close(move |_, _, _| ask(&b))
        .on_event(move |_| ask(&c))
        .build()
        .unwrap();
    cell.set(pool.clone()).unwrap();
    drop(pool.get().await.unwrap());
    pass(ms(1)).await;
    Lease::discard(pool.get().await.unwrap());
    pool.evict();
    pass(ms(1)).await;
    assert_quiet(&pool);
}
