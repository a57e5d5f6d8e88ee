//! Notifications and notices reach the holder of a lease, and nobody after it; a listener goes on over restarts.

mod fixture;

use std::time::Duration;

use cenote_postgres::{Heard, PgConnection, PgListener, PostgresConnector};
use cenote_testkit::PostgresServer;
use fixture::{DEADLINE, backend, connector, connector_to, eventually, single};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

async fn run(conn: &PgConnection, sql: &str) {
    conn.batch_execute(sql).await.expect("it runs");
}

#[tokio::test]
async fn a_lease_that_listens_hears_in_order() {
    let (pool, talking) = (single(), single());
    let mut conn = pool.get().await.expect("a lease");
    run(&conn, "LISTEN orders").await;
    let talker = talking.get().await.expect("a lease");
    for n in 0..100 {
        run(&talker, &format!("NOTIFY orders, '{n}'")).await;
    }
    for n in 0..100 {
        let heard = timeout(DEADLINE, conn.notification()).await;
        let heard = heard.expect("in time").expect("it is open");
        assert_eq!(
            (heard.channel(), heard.payload()),
            ("orders", n.to_string().as_str())
        );
    }
    assert!(conn.try_notification().expect("it is open").is_none());
}

/// What came while the connection was used for other things is kept.
#[tokio::test]
async fn notifications_that_come_during_a_query_are_kept() {
    let pool = single();
    let mut conn = pool.get().await.expect("a lease");
    run(&conn, "LISTEN own").await;
    run(&conn, "NOTIFY own, 'one'").await;
    run(&conn, "SELECT 1").await;
    let heard = timeout(DEADLINE, conn.notification()).await;
    assert_eq!(
        heard.expect("in time").expect("it is open").payload(),
        "one"
    );
}

#[tokio::test]
async fn the_next_user_hears_nothing_of_what_the_one_before_listened_to() {
    let (pool, talking) = (single(), single());
    let talker = talking.get().await.expect("a lease");
    let conn = pool.get().await.expect("a lease");
    let session = backend(&conn).await;
    run(&conn, "LISTEN secrets").await;
    run(&talker, "NOTIFY secrets, 'hush'").await;
    run(&conn, "SELECT 1").await;
    drop(conn);
    let mut conn = pool.get().await.expect("a lease");
    assert_eq!(backend(&conn).await, session, "the same session");
    run(&talker, "NOTIFY secrets, 'hush'").await;
    run(&conn, "SELECT 1").await;
    assert!(conn.try_notification().expect("it is open").is_none());
}

#[tokio::test]
async fn notices_are_the_user_s_who_caused_them() {
    let pool = single();
    let conn = pool.get().await.expect("a lease");
    run(&conn, "DO $$ BEGIN RAISE NOTICE 'look %', 1; END $$").await;
    let notices = conn.take_notices();
    let texts: Vec<_> = notices.iter().map(|notice| notice.message()).collect();
    assert_eq!(texts, ["look 1"]);
    run(
        &conn,
        "DO $$ BEGIN FOR i IN 1..300 LOOP RAISE NOTICE '%', i; END LOOP; END $$",
    )
    .await;
    let notices = conn.take_notices();
    assert_eq!(notices.len(), 100, "the latest");
    assert_eq!(notices.last().map(|notice| notice.message()), Some("300"));
    run(&conn, "DO $$ BEGIN RAISE NOTICE 'left behind'; END $$").await;
    drop(conn);
    assert!(pool.get().await.expect("a lease").take_notices().is_empty());
}

#[tokio::test]
async fn a_wait_for_notifications_that_is_dropped_loses_none() {
    let pool = single();
    let mut conn = pool.get().await.expect("a lease");
    run(&conn, "LISTEN dropped").await;
    let mut heard = 0;
    for n in 0..20 {
        let polled = fixture::cut_short(conn.notification(), n % 3).await;
        heard += polled.map_or(0, |heard| heard.map_or(0, |_| 1));
        run(&conn, "NOTIFY dropped").await;
    }
    for _ in heard..20 {
        let heard = timeout(DEADLINE, conn.notification()).await;
        heard.expect("in time").expect("it is open");
    }
}

#[tokio::test]
async fn one_who_waits_for_notifications_is_told_when_the_session_ends() {
    let (pool, observing) = (single(), single());
    let observer = observing.get().await.expect("a lease");
    let mut conn = pool.get().await.expect("a lease");
    run(&conn, "LISTEN ends").await;
    let sql = "SELECT pg_terminate_backend($1)";
    let session = backend(&conn).await;
    observer.query(sql, &[&session]).await.expect("it runs");
    let ended = timeout(DEADLINE, conn.notification()).await;
    let ended = ended
        .expect("in time")
        .expect_err("it has ended")
        .to_string();
    assert!(ended.contains("terminating connection"), "{ended}");
}

/// The end that the server announces is told as it comes, not when the next sign of life is due.
#[tokio::test]
async fn one_who_looks_for_notifications_sees_that_the_session_has_ended() {
    let (pool, observing) = (single(), single());
    let observer = observing.get().await.expect("a lease");
    let mut conn = pool.get().await.expect("a lease");
    run(&conn, "LISTEN ends").await;
    let session = backend(&conn).await;
    let sql = "SELECT pg_terminate_backend($1)";
    observer.query(sql, &[&session]).await.expect("it runs");
    eventually("the end is seen", async || conn.is_closed()).await;
    tokio::task::yield_now().await;
    let ended = conn.try_notification().expect_err("it has ended");
    assert!(
        ended.to_string().contains("terminating connection"),
        "{ended}"
    );
}

/// Who waits in a loop with other things to do, or under a time-out of its own, leaves each wait early.
#[tokio::test]
async fn a_silent_server_is_found_out_by_waits_that_are_all_short() {
    let server = PostgresServer::start().expect("PostgreSQL starts");
    let pool = fixture::single_of(connector_to(&server));
    let mut conn = pool.get().await.expect("a lease");
    run(&conn, "LISTEN quiet").await;
    server.stop().expect("it is frozen");
    let silent = async {
        loop {
            let wait = Duration::from_millis(500);
            if let Ok(heard) = timeout(wait, conn.notification()).await {
                return heard;
            }
        }
    };
    let told = timeout(DEADLINE, silent).await.expect("it is found out");
    let told = told.expect_err("nothing was sent").to_string();
    assert!(told.contains("silent"), "{told}");
    assert_eq!(conn.end_reason(), Some(told), "and it is known later on");
    server.cont().expect("it goes on");
}

/// Who listens is told of a gap after a restart, and hears on.
#[tokio::test]
async fn a_listener_goes_on_after_a_restart_and_tells_of_the_gap() {
    let server = PostgresServer::start().expect("PostgreSQL starts");
    let mut listener = PgListener::new(connector_to(&server));
    listener.listen("Orders \"new\"").await.expect("it listens");
    listener.listen("other").await.expect("it listens");
    listener
        .unlisten("other")
        .await
        .expect("it listens no more");
    let notify = async |server: &PostgresServer| {
        let pool = fixture::single_of(connector_to(server));
        let conn = pool.get().await.expect("a lease");
        run(&conn, "NOTIFY other; NOTIFY \"Orders \"\"new\"\"\", 'x'").await;
    };
    notify(&server).await;
    let heard = async |listener: &mut PgListener| {
        let heard = timeout(DEADLINE, listener.next()).await;
        match heard.expect("in time").expect("there is a connection") {
            Heard::Notification(heard) => heard.payload().to_owned(),
            Heard::Gap => "gap".to_owned(),
        }
    };
    assert_eq!(heard(&mut listener).await, "x");
    server.kill().expect("it is killed");
    server.restart().expect("it is started again");
    assert_eq!(heard(&mut listener).await, "gap");
    notify(&server).await;
    assert_eq!(heard(&mut listener).await, "x");
}

/// A server that shuts down still lets one in, and ends the session before it listens.
#[tokio::test]
async fn a_connection_that_ends_before_it_listens_is_passed() {
    let way = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = way.local_addr().expect("it has one");
    let server = fixture::server().addr();
    tokio::spawn(async move {
        let mut is_first = true;
        while let Ok((client, _)) = way.accept().await {
            let there = TcpStream::connect(server).await.expect("the server");
            tokio::spawn(pass(client, there, std::mem::take(&mut is_first)));
        }
    });
    let url = format!("postgres://postgres@{address}/postgres?sslmode=disable");
    let mut listener = PgListener::new(PostgresConnector::new(&url).expect("it is valid"));
    let listening = timeout(DEADLINE, listener.listen("passed")).await;
    listening.expect("in time").expect("it listens");
    let talking = single();
    let talker = talking.get().await.expect("a lease");
    run(&talker, "NOTIFY passed, 'x'").await;
    let heard = timeout(DEADLINE, listener.next()).await;
    let heard = heard.expect("in time").expect("there is a connection");
    assert!(matches!(heard, Heard::Notification(heard) if heard.payload() == "x"));
}

/// Passes bytes between the two until one leaves, or the client asks to listen where that ends it.
async fn pass(mut client: TcpStream, mut server: TcpStream, ends_at_listen: bool) {
    let (mut asked, mut said) = ([0; 4096], [0; 4096]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let bytes = &asked[..read.unwrap_or(0)];
                let listens = bytes.windows(6).any(|part| part == b"LISTEN");
                if bytes.is_empty() || listens && ends_at_listen || server.write_all(bytes).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut said) => {
                let bytes = &said[..read.unwrap_or(0)];
                if bytes.is_empty() || client.write_all(bytes).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// `terminating connection due to administrator command` came while the session was idle, and its user saw only
/// that the connection was closed.
#[tokio::test]
async fn the_first_call_on_a_session_that_the_server_ended_says_why() {
    let (pool, observing) = (single(), single());
    let observer = observing.get().await.expect("a lease");
    let conn = pool.get().await.expect("a lease");
    let session = backend(&conn).await;
    let sql = "SELECT pg_terminate_backend($1)";
    observer.query(sql, &[&session]).await.expect("it runs");
    eventually("the end is seen", async || conn.is_closed()).await;
    let error = conn.query("SELECT 1", &[]).await.expect_err("it has ended");
    assert_eq!(
        error.code().map(|code| code.code()),
        Some("57P01"),
        "{error}"
    );
    let again = conn.query("SELECT 1", &[]).await.expect_err("it has ended");
    assert!(again.is_closed(), "{again}");
    let reason = conn.end_reason().expect("the server said why");
    assert!(reason.contains("administrator command"), "{reason}");
    drop(conn);
    let conn = pool.get().await.expect("a lease");
    assert_ne!(backend(&conn).await, session);
}

/// A failover that leaves the connections open: writes are refused on each of them once.
#[tokio::test]
async fn a_session_on_a_server_that_became_read_only_is_not_handed_on() {
    let server = PostgresServer::start().expect("PostgreSQL starts");
    let (pool, admin) = (
        fixture::single_of(connector_to(&server)),
        fixture::single_of(connector_to(&server)),
    );
    let conn = pool.get().await.expect("a lease");
    run(&conn, "CREATE TABLE orders (id int)").await;
    let session = backend(&conn).await;
    let admin = admin.get().await.expect("a lease");
    run(
        &admin,
        "ALTER SYSTEM SET default_transaction_read_only = on",
    )
    .await;
    run(&admin, "SELECT pg_reload_conf()").await;
    let refused = async || {
        let write = conn.execute("INSERT INTO orders VALUES (1)", &[]).await;
        write.is_err_and(|error| error.code().map(|code| code.code()) == Some("25006"))
    };
    eventually("writes are refused", refused).await;
    drop(conn);
    let conn = pool.get().await.expect("a lease");
    assert_ne!(backend(&conn).await, session);
}

/// `BEGIN READ ONLY` is the user's own wish, and says nothing of the server.
#[tokio::test]
async fn a_write_in_a_read_only_transaction_costs_no_session() {
    let pool = single();
    let mut conn = pool.get().await.expect("a lease");
    let session = backend(&conn).await;
    let transaction = conn.build_transaction().read_only(true).start().await;
    let transaction = transaction.expect("it begins");
    let write = transaction.execute("CREATE TABLE t (id int)", &[]).await;
    assert!(write.is_err());
    drop(transaction);
    drop(conn);
    let conn = pool.get().await.expect("a lease");
    assert_eq!(backend(&conn).await, session);
}

#[tokio::test]
async fn a_connector_is_named_by_what_it_dials() {
    let named = cenote::Connect::endpoint(&connector());
    assert_eq!(named, Some(fixture::server().addr().to_string()));
}

#[tokio::test]
async fn nobody_listens_in_vain_behind_a_transaction_pooler() {
    let mut listener = PgListener::new(connector().behind_transaction_pooler());
    let refused = listener.listen("orders").await;
    assert!(
        matches!(refused, Err(cenote_postgres::ListenError::BehindPooler)),
        "{refused:?}"
    );
}
