//! The user's own code at the turns of a connection's life, and what the pool tells.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use cenote::report::{CloseReason, EventKind};
use cenote::settings::ReturnEvents;
use cenote::{GetError, Lease};

use crate::server::{Act, Server, Told, assert_quiet, ms, pass, secs, words};

type Log = Arc<Mutex<Vec<String>>>;

fn note(log: &Log, what: impl Into<String>) {
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
async fn panics_in_before_close_and_in_the_event_handler_are_ignored() {
    let server = Server::default();
    let pool = server
        .builder()
        .before_close(|_, _, _| panic!("told to"))
        .on_event(|_| panic!("told to"))
        .build()
        .unwrap();
    Lease::discard(pool.get().await.unwrap());
    assert_eq!(server.open(), 0);
    drop(pool.get().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn every_open_and_every_close_is_told_with_its_reason() {
    let server = Server::default();
    let log = Log::default();
    let told = log.clone();
    let pool = server
        .builder()
        .max_size(1)
        .on_event(move |event| match &event.kind {
            EventKind::Opened { info, .. } => note(&told, format!("opened {}", info.id)),
            EventKind::Closed { info, reason, .. } => {
                note(&told, format!("closed {}: {reason}", info.id))
            }
            _ => {}
        })
        .build()
        .unwrap();
    Lease::discard(pool.get().await.unwrap());
    drop(Lease::detach(pool.get().await.unwrap()));
    pool.get().await.unwrap().alive.store(false, SeqCst);
    drop(pool.get().await.unwrap());
    pool.close().await;
    assert_eq!(
        *log.lock().unwrap(),
        [
            "opened 1",
            "closed 1: discarded",
            "opened 2",
            "closed 2: detached",
            "opened 3",
            "closed 3: broken",
            "opened 4",
            "closed 4: pool_closed",
        ]
    );
    let counters = pool.counters();
    assert_eq!(
        (counters.opened, counters.closed(), counters.gets),
        (4, 4, 4)
    );
}

/// Hikari: a lease held too long is reported once, with the place of its get.
#[tokio::test(start_paused = true)]
async fn a_lease_held_too_long_is_reported_once_with_the_place_of_its_get() {
    let server = Server::default();
    let places = Arc::new(Mutex::new(Vec::new()));
    let told = places.clone();
    let pool = server
        .builder()
        .leak_threshold(secs(10))
        .on_event(move |event| {
            if let EventKind::Leaked {
                call_site,
                held_for,
                ..
            } = &event.kind
            {
                assert!(*held_for >= secs(10));
                told.lock()
                    .unwrap()
                    .push((call_site.file(), call_site.line()));
            }
        })
        .build()
        .unwrap();
    let line = line!() + 1;
    let held = pool.get().await.unwrap();
    pass(secs(8)).await;
    assert!(places.lock().unwrap().is_empty());
    pass(secs(30)).await;
    assert_eq!(*places.lock().unwrap(), [(file!(), line)]);
    assert_eq!(pool.counters().leaks, 1);
    drop(held);
    // The next lease of the same connection is another matter.
    let _held = pool.get().await.unwrap();
    pass(secs(5)).await;
    assert_eq!(pool.counters().leaks, 1);
}

/// `mem::forget` costs one place, and is reported.
#[tokio::test(start_paused = true)]
async fn a_forgotten_lease_costs_one_place_and_is_reported() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(2)
        .leak_threshold(secs(1))
        .build()
        .unwrap();
    std::mem::forget(pool.get().await.unwrap());
    drop(pool.get().await.unwrap());
    pass(secs(3)).await;
    assert_eq!((pool.counters().leaks, pool.status().leased), (1, 1));
    assert_eq!(pool.close().timeout(secs(1)).await.abandoned, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_a_connection_is_told() {
    let server = Server::default();
    let pool = server.pool(1);
    drop(pool.get().await.unwrap());
    pass(secs(10)).await;
    let conn = pool.get().await.unwrap();
    let info = Lease::info(&conn);
    assert_eq!((info.id, info.uses), (1, 2));
    assert!(info.age >= secs(10) && info.age < secs(11));
    assert!(info.idle_for >= secs(9) && info.idle_for < secs(11));
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

/// A slow check before a lease is nobody's leak.
#[tokio::test(start_paused = true)]
async fn a_connection_being_checked_is_not_a_leak() {
    let server = Server::default();
    let pool = server.builder().leak_threshold(ms(40)).build().unwrap();
    drop(pool.get().await.unwrap());
    pass(secs(10)).await;
    server.plan(|plan| plan.check = Act::Slow);
    let held = pool.get().await.unwrap();
    assert_eq!(pool.counters().leaks, 0);
    drop(held);
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

#[tokio::test(start_paused = true)]
async fn all_observers_hear_what_happens_though_the_first_of_them_panics() {
    let server = Server::default();
    let log = Log::default();
    let [a, b] = [(); 2].map(|()| log.clone());
    let pool = server
        .builder()
        .before_close(|_, _, _| panic!("told to"))
        .before_close(move |_, _, _| note(&a, "before_close"))
        .on_event(|_| panic!("told to"))
        .on_event(move |event| {
            if let EventKind::Closed { .. } = event.kind {
                note(&b, "closed");
            }
        })
        .build()
        .unwrap();
    Lease::discard(pool.get().await.unwrap());
    assert_eq!(*log.lock().unwrap(), ["before_close", "closed"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_names_its_pool_and_what_that_connects_to() {
    let server = Server::default();
    server.plan(|plan| plan.endpoint = Some("db.example:5432"));
    let log = Log::default();
    let told = log.clone();
    let pool = server
        .builder()
        .name("orders")
        .on_event(move |event| note(&told, format!("{}, {:?}", event.pool, event.endpoint)))
        .build()
        .unwrap();
    drop(pool.get().await.unwrap());
    assert_eq!(log.lock().unwrap()[0], r#"orders, Some("db.example:5432")"#);
}

/// HikariCP tells how long each connection was used, where that is asked for.
#[tokio::test(start_paused = true)]
async fn leases_that_end_are_told_of_with_their_call_site_where_that_is_asked_for() {
    for events in [ReturnEvents::None, ReturnEvents::Each] {
        let server = Server::default();
        let told = Arc::<Mutex<Vec<_>>>::default();
        let log = told.clone();
        let builder = server.builder().max_size(1).return_events(events);
        let observed = builder.on_event(move |event| {
            if let EventKind::Returned {
                held_for,
                call_site,
                label,
                ..
            } = event.kind
            {
                log.lock()
                    .unwrap()
                    .push((held_for, call_site.line(), label));
            }
        });
        let pool = observed.build().unwrap();
        let line = line!() + 1;
        let mut lease = pool.get().await.unwrap();
        Lease::set_label(&lease, "report");
        lease.dirty = true;
        pass(secs(20)).await;
        drop(lease);
        Lease::discard(pool.get().await.unwrap());
        let expected = match events {
            ReturnEvents::Each => vec![(secs(20), line, Some("report"))],
            _ => vec![],
        };
        assert_eq!(*told.lock().unwrap(), expected);
        assert_eq!(pool.counters().resets, 1, "reset all the same");
    }
}

#[tokio::test(start_paused = true)]
async fn callers_that_wait_that_give_up_and_that_are_sent_away_are_told() {
    let server = Server::default();
    let told = Told::default();
    let log = told.clone();
    let builder = server.builder().max_size(1).max_waiters(1);
    let observed = builder.on_event(move |event| log.note(&words(event)));
    let pool = observed.build().unwrap();
    let held = pool.get().await.unwrap();
    assert_eq!(told.take(), ["opened 1", "waited 0ns"], "for the dial");
    let waiter = pool.get().timeout(secs(1));
    let (waited, rejected) = tokio::join!(waiter, async {
        pass(ms(10)).await;
        pool.get().await
    });
    assert!(waited.unwrap_err().is_timeout());
    assert!(matches!(rejected, Err(GetError::QueueFull { .. })));
    assert_eq!(
        told.take(),
        ["rejected", "timed out after 1s", "slow get of 1s: Failed"]
    );
    let (lease, ()) = tokio::join!(pool.get(), async {
        pass(ms(20)).await;
        drop(held);
    });
    drop(lease.unwrap());
    assert_eq!(told.take(), ["waited 20ms"]);
    drop(pool.get().await.unwrap());
    assert_eq!(told.take(), [""; 0], "nothing of those served at once");
}
