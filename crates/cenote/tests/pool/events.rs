//! What the pool tells those who observe it: of its connections, its leases and its callers.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use cenote::report::EventKind;
use cenote::settings::ReturnEvents;
use cenote::{GetError, Lease};

use crate::hooks::{Log, note};
use crate::server::{Server, Told, ms, pass, secs, words};

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
