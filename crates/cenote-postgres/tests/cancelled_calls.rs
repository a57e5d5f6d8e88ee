//! A call dropped at any point costs its own reply and nobody else's.

mod fixture;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cenote::report::CloseReason;
use cenote::{Lease, Pool};
use cenote_postgres::{PgConnection, PostgresConnector};
use fixture::{
    backend, connector, cut_short, eventually, named, patient, server, sessions, single, text,
};
use tokio_postgres::SimpleQueryMessage;

/// A number that no other query of this process has.
fn tag() -> i64 {
    static NEXT: AtomicI64 = AtomicI64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The ways to ask the server for a number. Each returns what the server answered.
#[derive(Clone, Copy, Debug)]
enum Way {
    Text,
    Cached,
    Typed,
    Batch,
    Transaction,
    ManyRows,
}

const WAYS: [Way; 6] = [
    Way::Text,
    Way::Cached,
    Way::Typed,
    Way::Batch,
    Way::Transaction,
    Way::ManyRows,
];

async fn ask(conn: &mut PgConnection, way: Way, tag: i64) -> i64 {
    const SQL: &str = "SELECT $1::int8";
    let failed = "the query succeeds";
    match way {
        Way::Text => conn.query_one(SQL, &[&tag]).await.expect(failed).get(0),
        Way::Cached => conn
            .query_one_cached(SQL, &[&tag])
            .await
            .expect(failed)
            .get(0),
        Way::Typed => {
            let params: [(&(dyn tokio_postgres::types::ToSql + Sync), _); 1] =
                [(&tag, tokio_postgres::types::Type::INT8)];
            conn.query_typed(SQL, &params).await.expect(failed)[0].get(0)
        }
        Way::Batch => {
            let messages = conn
                .simple_query(&format!("SELECT {tag}"))
                .await
                .expect(failed);
            let rows = messages.iter().filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            });
            rows.last().expect("a row").parse().expect("a number")
        }
        Way::Transaction => {
            let transaction = conn.transaction().await.expect(failed);
            let row = transaction
                .query_one_cached(SQL, &[&tag])
                .await
                .expect(failed);
            transaction.commit().await.expect(failed);
            row.get(0)
        }
        Way::ManyRows => {
            let sql = "SELECT $1::int8, repeat('x', 1000) FROM generate_series(1, 2000)";
            let rows = conn.query_cached(sql, &[&tag]).await.expect(failed);
            assert_eq!(rows.len(), 2000);
            rows[1999].get(0)
        }
    }
}

async fn assert_in_no_transaction(conn: &PgConnection) {
    let error = conn
        .execute("SAVEPOINT here", &[])
        .await
        .expect_err("not in a transaction");
    assert_eq!(error.code().map(|code| code.code()), Some("25P01"));
}

/// Prior art: redis-py #2624 (the ChatGPT leak of March 2023), deadpool #97, diesel_async #198,
/// async-bb8-diesel #47.
#[tokio::test]
async fn the_next_user_never_reads_the_reply_to_a_call_dropped_at_any_poll() {
    let pool = single();
    for way in WAYS {
        for polls in 0.. {
            let mut conn = pool.get().await.expect("a lease");
            let mine = tag();
            let answer = cut_short(ask(&mut conn, way, mine), polls).await;
            drop(conn);
            let mut next = pool.get().await.expect("the next lease");
            for next_way in WAYS {
                let theirs = tag();
                let answer = ask(&mut next, next_way, theirs).await;
                assert_eq!(
                    answer, theirs,
                    "{next_way:?} after {way:?} dropped at poll {polls}"
                );
            }
            assert_in_no_transaction(&next).await;
            if let Some(answer) = answer {
                assert_eq!(answer, mine);
                break;
            }
        }
    }
    assert_eq!(
        pool.counters().opened,
        1,
        "no connection had to be replaced"
    );
}

/// Prior art: as above; here the same user goes on with the same connection.
#[tokio::test]
async fn the_same_user_never_reads_the_reply_to_a_call_dropped_before() {
    let pool = single();
    let mut conn = pool.get().await.expect("a lease");
    for way in WAYS {
        for polls in 0.. {
            let finished = cut_short(ask(&mut conn, way, tag()), polls).await.is_some();
            for next_way in WAYS {
                let mine = tag();
                assert_eq!(ask(&mut conn, next_way, mine).await, mine);
            }
            if finished {
                break;
            }
        }
    }
}

/// Prior art: deadpool #97/#102, Go CVE-2025-47907.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_users_who_drop_calls_at_random_never_read_each_others_replies() {
    let pool = patient(connector())
        .max_size(3)
        .build()
        .expect("settings are valid");
    let users = (0..24_usize).map(|user| {
        let pool = pool.clone();
        tokio::spawn(async move {
            for round in 0..60 {
                let mut conn = pool.get().await.expect("a lease");
                let (mine, way) = (tag(), WAYS[(user + round) % WAYS.len()]);
                // From "never polled" to "always finishes", differently for each user.
                let polls = (user * 7 + round * 3) % 9;
                if let Some(answer) = cut_short(ask(&mut conn, way, mine), polls).await {
                    assert_eq!(answer, mine);
                }
                if round % 3 == 0 {
                    let mine = tag();
                    assert_eq!(ask(&mut conn, Way::Cached, mine).await, mine);
                }
            }
        })
    });
    for user in users.collect::<Vec<_>>() {
        user.await.expect("no user read a reply of another");
    }
    eventually("every connection is idle again", async || {
        pool.status().idle == pool.status().size
    })
    .await;
}

#[tokio::test]
async fn a_forgotten_call_means_a_reset() {
    let pool = single();
    let conn = pool.get().await.expect("a lease");
    {
        let mut call = Box::pin(conn.query("SELECT 1", &[]));
        assert!(futures_util::poll!(&mut call).is_pending());
        std::mem::forget(call);
    }
    // A forgotten call borrows the lease for ever only on paper.
    drop(conn);
    drop(pool.get().await.expect("the next lease"));
    assert_eq!(pool.counters().resets, 1);
}

/// Starts a statement that takes ten minutes and drops the call once the server runs it.
async fn leave_running(conn: &PgConnection, observer: &PgConnection, application: &str) {
    let running = "SELECT count(*) FROM pg_stat_activity \
                   WHERE application_name = $1 AND state = 'active'";
    let is_running = async || {
        let row = observer.query_one_cached(running, &[&application]).await;
        row.expect("the observer's query succeeds").get::<_, i64>(0) == 1
    };
    tokio::select! {
        _ = conn.execute("SELECT pg_sleep(600)", &[]) => panic!("it cannot be over"),
        () = eventually("the statement runs", is_running) => {}
    }
}

async fn observer(pool: &Pool<PostgresConnector>) -> Lease<'_, PostgresConnector> {
    pool.get().await.expect("a lease for the observer")
}

/// Prior art: PgBouncer #717, PgDog #1505. The cancel request goes out only for a connection that
/// nobody will use again.
#[tokio::test]
async fn a_statement_that_outlasts_the_reset_is_cancelled_and_its_connection_closed() {
    let (watching, application) = (single(), "outlasts");
    let observer = observer(&watching).await;
    let pool = patient(named(server(), application))
        .max_size(1)
        .reset_timeout(Duration::from_millis(100))
        .build()
        .expect("settings are valid");
    let conn = pool.get().await.expect("a lease");
    let busy = backend(&conn).await;
    leave_running(&conn, &observer, application).await;
    drop(conn);

    let next = pool.get().await.expect("a lease on a new connection");
    assert_ne!(backend(&next).await, busy);
    assert_eq!(pool.counters().closed_by(CloseReason::ResetFailed), 1);
    eventually("the server ended the old session", async || {
        sessions(&observer, application).await == 1
    })
    .await;
    assert_eq!(text(&next, "SELECT 'undisturbed'").await, "undisturbed");
}

#[tokio::test]
async fn discarding_a_connection_cancels_what_it_runs() {
    let (watching, application) = (single(), "discarded");
    let observer = observer(&watching).await;
    let pool = patient(named(server(), application))
        .max_size(1)
        .build()
        .expect("valid");
    let conn = pool.get().await.expect("a lease");
    leave_running(&conn, &observer, application).await;
    Lease::discard(conn);
    eventually("the server ended the session", async || {
        sessions(&observer, application).await == 0
    })
    .await;
}

/// Prior art: PgBouncer #717: a cancel request that comes late hits the next user.
#[tokio::test]
async fn a_connection_that_gave_a_cancel_token_away_is_closed_at_its_return() {
    let pool = single();
    let conn = pool.get().await.expect("a lease");
    let (first, token) = (backend(&conn).await, conn.cancel_token());
    drop(conn);
    let next = pool.get().await.expect("the next lease");
    assert_ne!(backend(&next).await, first);
    // However late it comes, it finds nobody.
    token.cancel_query().await.expect("the request is sent");
    assert_eq!(
        text(&next, "SELECT 'undisturbed' FROM pg_sleep(0.1)").await,
        "undisturbed"
    );
}

/// Prior art: PgBouncer #717.
#[tokio::test]
async fn a_connection_whose_transaction_gave_a_cancel_token_away_is_closed_at_its_return() {
    let pool = single();
    let mut conn = pool.get().await.expect("a lease");
    let first = backend(&conn).await;
    let transaction = conn.transaction().await.expect("it begins");
    let _token = transaction.cancel_token();
    transaction.commit().await.expect("it commits");
    drop(conn);
    let next = pool.get().await.expect("the next lease");
    assert_ne!(backend(&next).await, first);
}
