//! A pool seen from all sides: what is in force, who holds what, who waits, and why connecting fails.

use cenote::report::{ConnectionState, PoolState};
use cenote::{Budget, Lease};
use futures::poll;

use crate::server::{Act, Server, ms, pass, secs};

/// HikariCP #2019, #808: who holds the connections now.
#[tokio::test(start_paused = true)]
async fn each_connection_is_shown_with_what_it_does_and_who_holds_it() {
    let server = Server::default();
    let pool = server.builder().max_size(4).build().unwrap();
    let held = pool.get().await.unwrap();
    let line = line!() - 1;
    Lease::set_label(&held, "checkout");
    let idle = pool.get().await.unwrap();
    let mut dirty = pool.get().await.unwrap();
    drop(idle);
    server.plan(|plan| plan.reset = Act::Never);
    dirty.dirty = true;
    drop(dirty);
    pass(secs(3)).await;
    let snapshot = pool.inspect();
    let mut connections = snapshot.connections.iter();
    let first = connections.next().unwrap();
    assert_eq!((first.info.id, first.info.uses), (1, 1));
    assert!(first.info.age >= secs(3));
    match first.state {
        ConnectionState::Leased {
            held_for,
            call_site,
            label,
            ..
        } => {
            assert!(held_for >= secs(3));
            assert_eq!((call_site.file(), call_site.line()), (file!(), line));
            assert_eq!(label, Some("checkout"));
        }
        ref other => panic!("{other:?}"),
    }
    let states: Vec<_> = connections.map(|conn| conn.state.clone()).collect();
    assert_eq!(states, [ConnectionState::Idle, ConnectionState::Upkeep]);
    assert_eq!(snapshot.status, pool.status());
    assert_eq!(snapshot.counters, pool.counters());
}

#[tokio::test(start_paused = true)]
async fn who_holds_the_most_comes_first() {
    let server = Server::default();
    let pool = server.pool(5);
    let one = pool.get().await.unwrap();
    let mut kept = Vec::new();
    for _ in 0..3 {
        kept.push(pool.get().await.unwrap());
    }
    let leases: Vec<_> = pool
        .inspect()
        .holders()
        .iter()
        .map(|holder| holder.leases)
        .collect();
    assert_eq!(leases, [3, 1]);
    drop((one, kept));
    assert!(pool.inspect().holders().is_empty());
}

/// The number that `PgBouncer` tells people to watch.
#[tokio::test(start_paused = true)]
async fn the_oldest_waiter_s_age_is_shown() {
    let server = Server::default();
    let pool = server.pool(1);
    let _held = pool.get().await.unwrap();
    assert_eq!(pool.inspect().oldest_waiter, None);
    let mut first = Box::pin(pool.get());
    assert!(poll!(&mut first).is_pending());
    pass(ms(700)).await;
    let mut second = Box::pin(pool.get());
    assert!(poll!(&mut second).is_pending());
    pass(ms(300)).await;
    let snapshot = pool.inspect();
    assert_eq!(snapshot.oldest_waiter, Some(secs(1)));
    assert_eq!(snapshot.status.waiters, 2);
    drop(first);
    assert_eq!(pool.inspect().oldest_waiter, Some(ms(300)));
}

/// sqlx #2276: why nobody is served.
#[tokio::test(start_paused = true)]
async fn an_outage_is_shown_with_its_error_and_when_the_pool_dials_again() {
    let server = Server::default();
    server.plan(|plan| (plan.connect, plan.endpoint) = (Act::Fail, Some("localhost:5432")));
    let pool = server.builder().seed(3).build().unwrap();
    pool.get().await.unwrap_err();
    let snapshot = pool.inspect();
    assert_eq!(snapshot.endpoint.as_deref(), Some("localhost:5432"));
    assert_eq!(
        snapshot.connect_error.unwrap().to_string(),
        "the server refused"
    );
    assert_eq!(snapshot.connect_failures, 3);
    let retry_in = snapshot.retry_in.unwrap();
    assert!(retry_in <= ms(400), "{retry_in:?}");
    pass(retry_in).await;
    assert_eq!(pool.inspect().retry_in, None);
    server.plan(|plan| plan.connect = Act::Ok);
    let _lease = pool.get().await.unwrap();
    let snapshot = pool.inspect();
    assert!(snapshot.connect_error.is_none());
    assert_eq!(snapshot.connect_failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_single_failure_is_shown_without_a_count() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Fail);
    let pool = server.builder().seed(3).build().unwrap();
    pool.get().timeout(ms(1)).await.unwrap_err();
    let text = pool.inspect().to_string();
    assert!(
        text.contains("connecting  failed: the server refused"),
        "{text}"
    );
    assert!(
        text.contains("1 connect failed, 0 checks, 0 resets"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dial_under_way_is_shown() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Never);
    let pool = server.pool(1);
    let mut get = Box::pin(pool.get());
    assert!(poll!(&mut get).is_pending());
    pass(secs(2)).await;
    assert_eq!(pool.inspect().dialling.unwrap().elapsed, secs(2));
}

#[tokio::test(start_paused = true)]
async fn the_settings_shown_are_those_in_force() {
    let server = Server::default();
    let budget = Budget::new(7).named("database");
    let builder = server.builder().name("orders").max_size(3).min_idle(1);
    let pool = builder.idle_timeout(None).budget(&budget).build().unwrap();
    pool.resize(5).unwrap();
    let snapshot = pool.inspect();
    assert_eq!(&*snapshot.pool, "orders");
    let settings = &snapshot.settings;
    assert_eq!((settings.max_size, settings.min_idle), (5, 1));
    assert_eq!(settings.idle_timeout, None);
    assert_eq!(settings.acquire_timeout, Some(secs(5)), "by default");
    assert!(settings.sharing.is_none());
    assert_eq!(&*snapshot.budget.unwrap().name, "database");
    let text = settings.to_string();
    assert!(
        text.starts_with("max_size 5, min_size 0, min_idle 1, max_idle none, "),
        "{text}"
    );
    assert!(text.contains(", acquire_timeout 5s, "), "{text}");
}

#[tokio::test(start_paused = true)]
async fn its_text_tells_the_whole_story_to_a_terminal() {
    let server = Server::default();
    let pool = server.builder().name("orders").max_size(2).build().unwrap();
    let one = pool.get().await.unwrap();
    let line = line!() - 1;
    Lease::set_label(&one, "checkout");
    let two = pool.get().await.unwrap();
    Lease::discard(two);
    let _two = pool.get().await.unwrap();
    let mut waiter = Box::pin(pool.get());
    assert!(poll!(&mut waiter).is_pending());
    pass(secs(2)).await;
    let text = pool.inspect().to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "pool orders: open, 2 of 2 connections: 0 idle, 2 leased, 0 in upkeep; 0 opening, 1 waiting",
            "  waiting     the oldest for 2.0s",
            &format!(
                "  held        1 for \"checkout\" at {}:{line} for up to 2.0s",
                file!()
            ),
        ]
    );
    for words in [
        "so far      3 leases, 4 callers waited, 0 timed out, 0 rejected, 0 abandoned; 3 connections opened",
        "1 closed: 1 discarded",
        "waits       3, mean ",
        "connects    3, mean ",
        "settings    max_size 2, ",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(lines.iter().all(|line| !line.contains('\t')));
}

#[tokio::test(start_paused = true)]
async fn a_closed_pool_can_be_looked_at() {
    let server = Server::default();
    let pool = server.pool(2);
    let _held = pool.get_owned().await.unwrap();
    drop(pool.close());
    let snapshot = pool.inspect();
    assert_eq!(snapshot.status.state, PoolState::Closed);
    assert_eq!(snapshot.holders()[0].leases, 1);
}

#[test]
fn a_pool_can_be_looked_at_where_there_is_no_runtime() {
    let server = Server::default();
    let pool = server.pool(2);
    pool.add(server.conn()).ok().unwrap();
    let snapshot = pool.inspect();
    assert_eq!(snapshot.connections.len(), 1);
    assert!(snapshot.to_string().contains("1 idle"));
}

/// Under way, whatever the moment: it is for that that it is there.
#[test]
fn a_pool_in_use_can_be_looked_at_at_any_moment() {
    let server = Server::default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let pool = server.pool(3);
        let users: Vec<_> = (0..8)
            .map(|user| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    for i in 0..500 {
                        let lease = pool.get().await.unwrap();
                        Lease::set_label(&lease, ["one", "other"][i % 2]);
                        match (user, i % 10) {
                            (0, 0) => Lease::discard(lease),
                            _ => drop(lease),
                        }
                    }
                })
            })
            .collect();
        while users.iter().any(|user| !user.is_finished()) {
            let snapshot = pool.inspect();
            assert!(snapshot.connections.len() <= 3);
            assert!(!snapshot.to_string().is_empty());
            tokio::task::yield_now().await;
        }
        for user in users {
            user.await.unwrap();
        }
    });
}
