//! Wrong settings are told early and clearly, and never with the password.

mod fixture;

use std::error::Error as _;
use std::sync::OnceLock;

use cenote::GetError;
use cenote_postgres::{Error, PostgresConnector};
use cenote_testkit::PostgresServer;
use fixture::{DEADLINE, patient};

const PASSWORD: &str = "correct-horse";

fn guarded() -> &'static PostgresServer {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    SERVER.get_or_init(|| {
        PostgresServer::builder()
            .password(PASSWORD)
            .start()
            .expect("PostgreSQL starts")
    })
}

/// The error of a `get` from a pool with this URL; it must not be a time-out.
async fn refusal(url: &str) -> String {
    let connector = PostgresConnector::new(url).expect("the URL is valid");
    let debug = format!("{connector:?} {connector}");
    assert!(
        !debug.contains(PASSWORD) && !debug.contains("wrong-pony"),
        "{debug}"
    );
    let pool = patient(connector)
        .acquire_timeout(DEADLINE)
        .build()
        .expect("settings are valid");
    let error = pool
        .get()
        .await
        .map(drop)
        .expect_err("there is no connection");
    assert!(matches!(error, GetError::Connect { .. }), "{error:?}");

    let own = error
        .connect_error()
        .and_then(|error| error.downcast_ref::<Error>());
    assert!(matches!(own, Some(Error::Connect { .. })), "{error:?}");
    let mut all = format!("{error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        all += &format!("{error} {error:?}");
        cause = error.source();
    }
    assert!(
        !all.contains(PASSWORD) && !all.contains("wrong-pony"),
        "{all}"
    );
    error.to_string()
}

/// Prior art: bb8 #102: a wrong address gave only a time-out after 30 s.
#[tokio::test]
async fn a_port_where_nothing_listens_is_named() {
    // Port 1 is privileged and unused.
    let error = refusal("postgres://me:wrong-pony@127.0.0.1:1/orders").await;
    assert!(
        error.contains("127.0.0.1:1") && error.contains("refused"),
        "{error}"
    );
}

/// Prior art: bb8 #102.
#[tokio::test]
async fn a_wrong_password_is_told_as_such() {
    let server = guarded();
    let url = server.url().replace(PASSWORD, "wrong-pony");
    let error = refusal(&url).await;
    let endpoint = server.addr().to_string();
    assert!(error.contains("password authentication failed"), "{error}");
    assert!(
        error.contains(&endpoint) && error.contains("28P01"),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_password_is_told_as_such() {
    let server = guarded();
    let error = refusal(&server.url().replace(&format!(":{PASSWORD}"), "")).await;
    assert!(error.contains("password missing"), "{error}");
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_named() {
    let server = guarded();
    let error = refusal(&format!(
        "postgres://postgres:{PASSWORD}@{}/no_such",
        server.addr()
    ))
    .await;
    assert!(
        error.contains("database \"no_such\" does not exist"),
        "{error}"
    );
}

#[tokio::test]
async fn a_host_that_does_not_resolve_is_named() {
    let error = refusal("postgres://me@no-such-host.invalid/orders").await;
    assert!(error.contains("no-such-host.invalid:5432"), "{error}");
}

#[tokio::test]
async fn setup_that_fails_is_told_as_such() {
    let connector = PostgresConnector::new(&guarded().url()).expect("the URL is valid");
    let pool = patient(connector.setup("SET no_such_setting = 1"))
        .build()
        .expect("valid");
    let error = pool
        .get()
        .await
        .map(drop)
        .expect_err("setting up fails")
        .to_string();
    assert!(
        error.contains("setting up") && error.contains("no_such_setting"),
        "{error}"
    );
}

#[tokio::test]
async fn the_right_password_is_accepted() {
    let connector = PostgresConnector::new(&guarded().url()).expect("the URL is valid");
    let pool = patient(connector).build().expect("settings are valid");
    drop(pool.get().await.expect("a lease"));
}
