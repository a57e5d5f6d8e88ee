//! The user's own code at the turns of a connection's life: when it runs, in which order, and what its refusal means.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use cenote::GetError;
use cenote::report::CloseReason;

use crate::server::{Act, Server, assert_quiet, ms, pass, secs};

/// What hooks and observers note, in order.
pub type Log = Arc<Mutex<Vec<String>>>;

pub fn note(log: &Log, what: impl Into<String>) {
    log.lock().unwrap().push(what.into());
}

#[tokio::test(start_paused = true)]
async fn hooks_run_in_the_order_of_a_connection_s_life() {
    let server = Server::default();
    let log = Log::default();
    let [a, b, c, d] = [(); 4].map(|()| log.clone());
    let pool = server
        .builder()
        .max_size(1)
        .after_connect(move |_, info| {
            note(&a, format!("after_connect {}", info.id));
            Box::pin(async { Ok(()) })
        })
        .before_get(move |_, info| {
            note(&b, format!("before_get, {} uses so far", info.uses));
            Box::pin(async { Ok(()) })
        })
        .after_return(move |_, info| {
            note(&c, format!("after_return, {} uses", info.uses));
            Box::pin(async { Ok(()) })
        })
        .before_close(move |_, _, reason| note(&d, format!("before_close: {reason}")))
        .build()
        .unwrap();
    drop(pool.get().await.unwrap());
    drop(pool.get().await.unwrap());
    pass(ms(1)).await;
    pool.close().await;
    assert_eq!(
        *log.lock().unwrap(),
        [
            "after_connect 1",
            "before_get, 0 uses so far",
            "after_return, 1 uses",
            "before_get, 1 uses so far",
            "after_return, 2 uses",
            "before_close: pool_closed",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_after_connect_hook_that_fails_is_a_failed_connect() {
    for act in [Act::Fail, Act::Never, Act::Panic] {
        let server = Server::default();
        let pool = server
            .builder()
            .connect_timeout(ms(100))
            .after_connect(move |_, _| Box::pin(async move { Ok(act.run().await?) }))
            .build()
            .unwrap();
        let error = pool.get().await.unwrap_err();
        assert!(
            matches!(error, GetError::Connect { .. }),
            "{act:?}: {error}"
        );
        pass(secs(1)).await;
        assert_eq!(server.open(), 0);
        assert_quiet(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn a_before_get_hook_refuses_an_old_connection_and_the_getter_is_given_another() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(1)
        .before_get(|conn, _| {
            let good = conn.id > 0 || !conn.dirty;
            Box::pin(async move { if good { Ok(()) } else { Err("stale".into()) } })
        })
        .build()
        .unwrap();
    server.plan(|plan| plan.verdict = Some(cenote::Verdict::Reuse));
    pool.get().await.unwrap().dirty = true;
    assert_eq!(pool.get().await.unwrap().id, 1);
    assert_eq!(pool.counters().closed_by(CloseReason::Hook), 1);
}

#[tokio::test(start_paused = true)]
async fn a_before_get_hook_that_refuses_a_new_connection_is_the_getter_s_error() {
    let server = Server::default();
    let pool = server
        .builder()
        .before_get(|_, _| Box::pin(async { Err("no".into()) }))
        .build()
        .unwrap();
    let error = pool.get().await.unwrap_err();
    assert!(
        matches!(error, GetError::Hook { .. }) && error.to_string().ends_with("no"),
        "{error}"
    );
    assert_quiet(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_before_it_returns_its_future_closes_the_connection() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(1)
        .after_return(|_, _| panic!("told to"))
        .build()
        .unwrap();
    drop(pool.get().await.unwrap());
    pass(ms(1)).await;
    assert_eq!(
        (pool.counters().closed_by(CloseReason::Hook), server.open()),
        (1, 0)
    );
    assert_quiet(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_hook_runs_once_for_each_lease() {
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
    for _ in 0..10 {
        drop(pool.get().await.unwrap());
    }
    pass(ms(1)).await;
    assert_eq!(runs.load(SeqCst), 10);
    assert_quiet(&pool);
}

#[tokio::test(start_paused = true)]
async fn hooks_of_one_turn_all_run_in_the_order_given() {
    let server = Server::default();
    let log = Log::default();
    let mut builder = server.builder().max_size(1);
    for which in ["first", "second"] {
        let [a, b, c, d] = [(); 4].map(|()| log.clone());
        builder = builder
            .after_connect(move |_, _| {
                note(&a, format!("after_connect, {which}"));
                Box::pin(async { Ok(()) })
            })
            .before_get(move |_, _| {
                note(&b, format!("before_get, {which}"));
                Box::pin(async { Ok(()) })
            })
            .after_return(move |_, _| {
                note(&c, format!("after_return, {which}"));
                Box::pin(async { Ok(()) })
            })
            .before_close(move |_, _, _| note(&d, format!("before_close, {which}")));
    }
    let pool = builder.build().unwrap();
    drop(pool.get().await.unwrap());
    pass(ms(1)).await;
    pool.close().await;
    let turns = [
        "after_connect",
        "before_get",
        "after_return",
        "before_close",
    ];
    let expected: Vec<_> = turns
        .iter()
        .flat_map(|turn| [format!("{turn}, first"), format!("{turn}, second")])
        .collect();
    assert_eq!(*log.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_first_hook_that_fails_ends_its_turn() {
    let server = Server::default();
    let log = Log::default();
    let later = log.clone();
    let pool = server
        .builder()
        .after_return(|_, _| Box::pin(async { Err("no".into()) }))
        .after_return(move |_, _| {
            note(&later, "the second ran");
            Box::pin(async { Ok(()) })
        })
        .build()
        .unwrap();
    drop(pool.get().await.unwrap());
    pass(ms(1)).await;
    assert_eq!(pool.counters().closed_by(CloseReason::Hook), 1);
    assert!(log.lock().unwrap().is_empty());
}
