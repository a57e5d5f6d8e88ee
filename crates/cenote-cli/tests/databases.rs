//! PostgreSQL and Redis as targets, real servers of the test's own.

mod program;

use cenote_testkit::{PostgresServer, RedisServer};
use program::Finished;
use serde_json::Value;

/// With patience: busy machines open sessions slowly.
fn stress(arguments: &[&str]) -> Finished {
    program::stress(
        &[
            &["--connect-timeout", "60s", "--acquire-timeout", "60s"],
            arguments,
        ]
        .concat(),
    )
}

fn results(finished: Finished) -> Value {
    serde_json::from_str(&finished.succeeded().stdout).expect("the output is JSON")
}

#[test]
fn postgres_is_measured_in_every_mode() {
    let server = PostgresServer::start().expect("PostgreSQL starts");
    let results = results(stress(&["--json", "-", &server.url()]));
    for run in 0..3 {
        let run = &results["runs"][run];
        assert!(run["total_us"].is_object(), "nothing was answered: {run}");
        assert_eq!(run["errors"], Value::Array(Vec::new()));
    }
    assert!(
        results["runs"][1]["connections_opened"].as_u64() <= Some(10),
        "{results}"
    );
    assert_eq!(results["runs"][2]["connections_opened"], 1);
}

#[test]
fn redis_is_measured_in_every_mode() {
    let server = RedisServer::start().expect("Redis starts");
    let results = results(stress(&[
        "--json",
        "-",
        "--request-size",
        "10KiB",
        &server.url(),
    ]));
    for run in 0..3 {
        let run = &results["runs"][run];
        assert!(run["total_us"].is_object(), "nothing was answered: {run}");
        assert_eq!(run["errors"], Value::Array(Vec::new()));
    }
}

#[test]
fn users_that_postgres_has_no_room_for_are_counted() {
    let server = PostgresServer::builder()
        .max_connections(1)
        .start()
        .expect("PostgreSQL starts");
    let results = results(stress(&["--json", "-", "--mode", "no-pool", &server.url()]));
    let errors = results["runs"][0]["errors"].as_array().expect("a list");
    assert!(
        errors
            .iter()
            .any(|error| error["kind"] == "connect: too many connections"),
        "{errors:?}"
    );
}

#[test]
fn users_that_redis_has_no_room_for_are_counted() {
    let server = RedisServer::builder()
        .max_clients(5)
        .start()
        .expect("Redis starts");
    let results = results(stress(&["--json", "-", "--mode", "no-pool", &server.url()]));
    let errors = results["runs"][0]["errors"].as_array().expect("a list");
    assert!(
        errors
            .iter()
            .any(|error| error["kind"] == "connect: too many connections"),
        "{errors:?}"
    );
}

#[test]
fn a_wrong_password_is_refused_at_once_and_not_repeated() {
    let postgres = PostgresServer::builder()
        .password("right")
        .start()
        .expect("PostgreSQL starts");
    let redis = RedisServer::builder()
        .password("right")
        .start()
        .expect("Redis starts");
    for url in [postgres.url(), redis.url()] {
        let finished = stress(&[&url.replace("right", "hunter2")])
            .refused(1, &["cannot use the target", "password"]);
        assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);
        let said = finished.stderr.matches("authentication failed").count();
        assert!(said <= 1, "{}", finished.stderr);
    }
}
