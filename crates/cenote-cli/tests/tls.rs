//! TLS to databases: an authority of one's own can be trusted, and what goes wrong says what to do.

mod program;
#[path = "program/tls.rs"]
mod tls;

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use cenote_testkit::{PostgresServer, RedisServer};
use program::{Finished, closed_port, fresh_path, stress};
use tls::{Authority, Start};

const USAGE: i32 = 2;
const FAILED: i32 = 1;

const PATIENCE: [&str; 4] = ["--connect-timeout", "60s", "--acquire-timeout", "60s"];

fn trusting(pem: &str, target: &str) -> Finished {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = fresh_path(&format!("roots-{number}.pem"));
    fs::write(&path, pem).expect("it can be written");
    let roots = ["--root-certificates", path.to_str().expect("UTF-8")];
    stress(&[&roots[..], &PATIENCE, &[target]].concat())
}

/// Asserts that no part of a message is said twice.
fn is_said_once(finished: &Finished) {
    let mut parts: Vec<&str> = finished.stderr.trim().split(": ").collect();
    parts.sort_unstable();
    let said = parts.len();
    parts.dedup();
    assert_eq!(parts.len(), said, "{}", finished.stderr);
}

/// Situation: a server inside a company, whose certificate no system trusts.
#[test]
fn redis_behind_an_authority_of_ones_own_is_measured() {
    let (server, authority) = (
        RedisServer::start().expect("Redis starts"),
        Authority::new("ours"),
    );
    let front = authority.front("localhost", Start::AtOnce, server.addr());
    trusting(
        &authority.pem(),
        &format!("rediss://localhost:{}", front.port),
    )
    .succeeded();
}

/// The same of PostgreSQL. The target asks for no TLS: who says whom to trust wants it.
#[test]
fn postgres_behind_an_authority_of_ones_own_is_measured_over_tls_alone() {
    let server = PostgresServer::start().expect("PostgreSQL starts");
    let authority = Authority::new("ours");
    let front = authority.front("localhost", Start::OnRequest, server.addr());
    let target = server.url();
    let target = target.replace(
        &server.addr().to_string(),
        &format!("localhost:{}", front.port),
    );
    trusting(&authority.pem(), &target).succeeded();
    trusting(&authority.pem(), &server.url()).refused(FAILED, &["TLS"]);
}

/// A certificate that is refused is the first thing that people meet with TLS.
#[test]
fn a_certificate_that_nobody_vouches_for_is_refused_with_the_option_that_helps() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs").pem());
    let redis = RedisServer::start().expect("Redis starts");
    let postgres = PostgresServer::start().expect("PostgreSQL starts");
    let redis = ours.front("localhost", Start::AtOnce, redis.addr());
    let postgres = ours.front("localhost", Start::OnRequest, postgres.addr());
    for target in [
        format!("rediss://localhost:{}", redis.port),
        format!("postgres://app@localhost:{}?sslmode=require", postgres.port),
    ] {
        for finished in [
            trusting(&theirs, &target),
            stress(&[&PATIENCE[..], &[&target]].concat()),
        ] {
            let finished = finished.refused(FAILED, &["certificate", "--root-certificates FILE"]);
            is_said_once(&finished);
        }
    }
}

/// An address in the place of the name that the certificate is for.
#[test]
fn a_certificate_for_another_host_says_what_to_change() {
    let (server, authority) = (
        RedisServer::start().expect("Redis starts"),
        Authority::new("ours"),
    );
    let front = authority.front("elsewhere", Start::AtOnce, server.addr());
    let finished = trusting(
        &authority.pem(),
        &format!("rediss://localhost:{}", front.port),
    )
    .refused(
        FAILED,
        &[
            "elsewhere",
            "host must be one that the server's certificate names",
        ],
    );
    is_said_once(&finished);
}

/// Files given by mistake.
#[test]
fn a_file_without_certificates_is_refused() {
    let target = format!("rediss://127.0.0.1:{}", closed_port());
    let broken = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    for (pem, said) in [
        ("", "it has no certificate"),
        ("nothing of the kind", "it has no certificate"),
        ("-----BEGIN CERTIFICATE-----\nhello", "not valid PEM"),
        (broken, "certificate 1 in it cannot be read"),
    ] {
        trusting(pem, &target).refused(FAILED, &["--root-certificates", said]);
    }
    stress(&["--root-certificates", "/nonexistent", &target])
        .refused(FAILED, &["--root-certificates", "No such file"]);
}

/// Otherwise they would be ignored in silence, and the connection in clear.
#[test]
fn certificates_without_tls_are_refused() {
    for (target, said) in [
        ("redis://127.0.0.1:1", "rediss://"),
        (
            "postgres://a@127.0.0.1:1/b?sslmode=disable",
            "sslmode=disable",
        ),
        ("tcp://127.0.0.1:1", "for databases"),
    ] {
        stress(&["--root-certificates", "f", target])
            .refused(USAGE, &["--root-certificates", said]);
    }
}

/// Situations: `rediss` to a port without TLS, and the port of another server.
#[test]
fn a_server_that_speaks_something_else_is_doubted_in_one_line() {
    let redis = RedisServer::start().expect("Redis starts");
    let postgres = PostgresServer::start().expect("PostgreSQL starts");
    for (scheme, address, said) in [
        ("rediss", redis.addr(), "TLS"),
        ("rediss", postgres.addr(), "TLS"),
        ("redis", postgres.addr(), "closed the connection"),
        ("postgres", redis.addr(), "is this a PostgreSQL server?"),
    ] {
        let target = format!("{scheme}://{address}");
        let finished = stress(&["--connect-timeout", "5s", &target]).refused(
            FAILED,
            &["cannot use the target", &address.to_string(), said],
        );
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
        is_said_once(&finished);
    }
}
