//! What is refused before anything is asked, and what needs no asking.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::net::SocketAddr;
use std::time::Duration;

use cenote::endpoints::{Discover, Discovery};
use cenote_dns::{Dns, host, srv};

#[allow(dead_code, reason = "other tests need the rest")]
mod waiting;

use waiting::{hosts, next};

#[test]
fn what_is_no_host_and_port_is_refused() {
    let long = format!("{}:80", "a".repeat(64));
    for text in [
        "", ":80", "db", "db:", "db:http", "db:65536", "::1:80", ".:80", "a..b:80", &long,
    ] {
        let error = host(text).unwrap_err();
        assert_eq!(error.setting, "host_and_port");
        assert!(error.value.contains(text), "{error}");
    }
    for text in [
        "db:80",
        "db.internal.:80",
        "my_db.internal:80",
        "[::1]:80",
        "xn--bcher-kva.example:80",
    ] {
        assert!(host(text).is_ok(), "{text}");
    }
}

#[test]
fn what_is_no_name_of_a_service_is_refused() {
    for text in ["", ".", "_sql._tcp.prod:5432", "_sql.._tcp"] {
        let error = srv(text).unwrap_err();
        assert_eq!(
            (error.setting, error.value),
            ("service", format!("{text:?}"))
        );
    }
    assert!(srv("_sql._tcp.prod.").is_ok());
}

#[test]
fn no_name_servers_at_all_are_refused() {
    let dns = Dns::new().name_servers([]);
    assert_eq!(dns.host("db:80").unwrap_err().setting, "name_servers");
    assert_eq!(dns.srv("_sql._tcp").unwrap_err().setting, "name_servers");
}

#[tokio::test]
async fn intervals_and_time_outs_of_any_length_are_taken() {
    for length in [Duration::ZERO, Duration::MAX] {
        let dns = Dns::new().min_interval(length).max_interval(length);
        let source = dns.timeout(length).host("localhost:80").unwrap();
        let mut discovery = Discovery::start(source).unwrap();
        next(&mut discovery).await;
        discovery.refresh();
    }
}

#[test]
fn the_maximum_interval_is_never_below_the_minimum() {
    let dns = Dns::new().max_interval(Duration::from_secs(1));
    let source = dns.min_interval(Duration::from_secs(60)).host("db:80");
    let shown = format!("{:?}", source.unwrap());
    assert!(shown.contains("max: 60s"), "{shown}");
}

#[tokio::test]
async fn an_address_in_the_place_of_a_name_is_asked_of_nobody() {
    // A name server that is none.
    let dns = Dns::new().name_servers([SocketAddr::from(([127, 0, 0, 1], 1))]);
    for (text, all) in [
        ("10.0.0.1:80", &["10.0.0.1:80"] as &[_]),
        ("[fd00::1]:80", &["[fd00::1]:80"]),
        ("localhost:80", &["127.0.0.1:80", "[::1]:80"]),
    ] {
        let mut discovery = Discovery::start(dns.host(text).unwrap()).unwrap();
        assert_eq!(next(&mut discovery).await, hosts(all));
    }
}

#[test]
fn a_source_says_what_it_asks_for() {
    assert_eq!(
        host("db.internal:80").unwrap().name(),
        "DNS name db.internal:80"
    );
    assert_eq!(
        srv("_sql._tcp.prod").unwrap().name(),
        "DNS SRV _sql._tcp.prod"
    );
}
