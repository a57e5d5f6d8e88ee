//! What real name servers say: Knot, whose zone changes while clients run, and NSD once.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::net::SocketAddr;
use std::time::Duration;

use cenote::endpoints::{Discovery, EmptySets, Endpoint, EndpointSet};
use cenote_dns::{Dns, Target};
use cenote_testkit::{KnotServer, NsdServer};

#[allow(dead_code, reason = "other tests need the rest")]
mod waiting;

use waiting::{dns, failure, hosts, next, until};

const ZONE: &str = "prod.test";

fn knot(records: &str) -> KnotServer {
    KnotServer::start(ZONE, records).unwrap()
}

/// An endpoint of a service, as a record says it.
fn target(priority: u16, weight: u32, host: &str, addresses: &[&str]) -> Endpoint<Target> {
    let addresses: Vec<SocketAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    let target = Target::new(host, addresses[0].port());
    let endpoint = Endpoint::new(target).addresses(addresses);
    endpoint.priority(priority).weight(weight)
}

/// reqwest #2378, iroh #4299, scylla-rust-driver #1799: of a host with both families, one was asked for.
#[tokio::test]
async fn the_addresses_of_both_families_are_endpoints() {
    let server = knot("db 60 A 10.0.0.1\ndb 60 A 10.0.0.2\ndb 60 AAAA fd00::1");
    let source = dns(server.addr()).host("db.prod.test:5432").unwrap();
    let mut discovery = Discovery::start(source).unwrap();
    let all = ["10.0.0.1:5432", "10.0.0.2:5432", "[fd00::1]:5432"];
    assert_eq!(next(&mut discovery).await, hosts(&all));
}

/// haproxy #573, vertx-sql-client #6251, okhttp #9218: a name was looked up once, or when a connection broke (grpc
/// #12295).
#[tokio::test]
async fn a_zone_that_changes_is_followed_though_nobody_calls() {
    let server = knot("db 1 A 10.0.0.1");
    let source = dns(server.addr()).host("db.prod.test:80").unwrap();
    let mut discovery = Discovery::start(source).unwrap();
    assert_eq!(next(&mut discovery).await, hosts(&["10.0.0.1:80"]));
    server.change(&[], &["db 1 A 10.0.0.2"]).unwrap();
    let both = hosts(&["10.0.0.1:80", "10.0.0.2:80"]);
    assert_eq!(next(&mut discovery).await, both);
    server.change(&["db A 10.0.0.1"], &[]).unwrap();
    assert_eq!(next(&mut discovery).await, hosts(&["10.0.0.2:80"]));
}

/// scylla-rust-driver #756, #386, #770: all nodes changed their addresses at once, and were never found again.
#[tokio::test]
async fn all_addresses_replaced_at_once_are_one_change() {
    let server = knot("db 0 A 10.0.0.1\ndb 0 A 10.0.0.2");
    let source = dns(server.addr()).host("db.prod.test:80").unwrap();
    let mut discovery = Discovery::start(source).unwrap();
    assert_eq!(next(&mut discovery).await.len(), 2);
    server
        .change(&["db A"], &["db 0 A 10.0.1.1", "db 0 A 10.0.1.2"])
        .unwrap();
    let moved = hosts(&["10.0.1.1:80", "10.0.1.2:80"]);
    assert_eq!(next(&mut discovery).await, moved);
}

/// fred #56, #232, #358: a cluster moved, and its name was not looked up again for minutes.
#[tokio::test]
async fn a_refresh_is_not_put_off_until_the_end_of_the_time_to_live() {
    let server = knot("db 86400 A 10.0.0.1");
    let source = dns(server.addr()).host("db.prod.test:80").unwrap();
    let mut discovery = Discovery::start(source).unwrap();
    assert_eq!(next(&mut discovery).await, hosts(&["10.0.0.1:80"]));
    server.change(&["db A"], &["db 86400 A 10.0.0.2"]).unwrap();
    discovery.refresh();
    assert_eq!(next(&mut discovery).await, hosts(&["10.0.0.2:80"]));
}

/// mongo-rust-driver #1638: targets with their last dots, each with its own port.
#[tokio::test]
async fn a_service_is_its_targets_with_port_priority_weight_and_all_addresses() {
    let server = knot(
        "_sql._tcp 60 SRV 0 3 5432 db1\n_sql._tcp 60 SRV 0 1 5433 DB2.prod.test.\n_sql._tcp 60 SRV 7 0 5432 spare\n\
         db1 60 A 10.0.0.1\ndb1 60 AAAA fd00::1\ndb2 60 A 10.0.0.2\nspare 60 A 10.0.0.3",
    );
    let source = dns(server.addr()).srv("_sql._tcp.prod.test").unwrap();
    let mut discovery = Discovery::start(source).unwrap();
    let expected = EndpointSet::from([
        target(
            0,
            300,
            "db1.prod.test",
            &["[fd00::1]:5432", "10.0.0.1:5432"],
        ),
        target(0, 100, "db2.prod.test", &["10.0.0.2:5433"]),
        target(7, 1, "spare.prod.test", &["10.0.0.3:5432"]),
    ]);
    assert_eq!(next(&mut discovery).await, expected);
}

/// haproxy #841: who came into a place of the list kept the address of who was there before.
#[tokio::test]
async fn two_targets_replaced_by_two_leave_no_old_address() {
    let server = knot(
        "_sql._tcp 0 SRV 0 1 80 a\n_sql._tcp 0 SRV 0 1 80 b\na 0 A 10.0.0.1\nb 0 A 10.0.0.2\n\
         c 0 A 10.0.0.3\nd 0 A 10.0.0.4",
    );
    let source = dns(server.addr()).srv("_sql._tcp.prod.test").unwrap();
    let mut discovery = Discovery::start(source).unwrap();
    assert_eq!(next(&mut discovery).await.len(), 2);
    let others = ["_sql._tcp 0 SRV 0 1 80 c", "_sql._tcp 0 SRV 0 1 80 d"];
    server.change(&["_sql._tcp SRV"], &others).unwrap();
    let expected = EndpointSet::from([
        target(0, 100, "c.prod.test", &["10.0.0.3:80"]),
        target(0, 100, "d.prod.test", &["10.0.0.4:80"]),
    ]);
    assert_eq!(next(&mut discovery).await, expected);
}

#[tokio::test]
async fn a_target_that_moves_is_the_same_endpoint_at_another_address() {
    let server = knot("_sql._tcp 86400 SRV 0 1 80 a\na 0 A 10.0.0.1");
    let source = dns(server.addr()).srv("_sql._tcp.prod.test").unwrap();
    let mut discovery = Discovery::start(source).unwrap();
    let at = |address| EndpointSet::from([target(0, 100, "a.prod.test", &[address])]);
    assert_eq!(next(&mut discovery).await, at("10.0.0.1:80"));
    server.change(&["a A"], &["a 0 A 10.0.0.2"]).unwrap();
    assert_eq!(next(&mut discovery).await, at("10.0.0.2:80"));
}

#[tokio::test]
async fn a_service_whose_target_is_the_root_is_decidedly_not_there() {
    let server = knot("_sql._tcp 0 SRV 0 1 80 a\na 0 A 10.0.0.1");
    let source = dns(server.addr()).srv("_sql._tcp.prod.test").unwrap();
    let discovery = Discovery::builder(source).empty_sets(EmptySets::Obeyed);
    let mut discovery = discovery.start().unwrap();
    assert_eq!(next(&mut discovery).await.len(), 1);
    let not_there = ["_sql._tcp 0 SRV 0 0 0 ."];
    server.change(&["_sql._tcp SRV"], &not_there).unwrap();
    assert_eq!(next(&mut discovery).await, EndpointSet::default());
}

#[tokio::test]
async fn a_name_that_is_taken_away_is_an_empty_set_for_who_obeys_such() {
    let server = knot("db 0 A 10.0.0.1\n@ 0 TXT there");
    let source = || dns(server.addr()).host("db.prod.test:80").unwrap();
    let mut kept = Discovery::start(source()).unwrap();
    let obeyed = Discovery::builder(source()).empty_sets(EmptySets::Obeyed);
    let mut obeyed = obeyed.start().unwrap();
    let there = next(&mut kept).await;
    assert_eq!(next(&mut obeyed).await, there);
    server.change(&["db"], &[]).unwrap();
    assert_eq!(next(&mut obeyed).await, EndpointSet::default());
    let error = failure(&kept, 1).await;
    assert_eq!(error, "it told a set without endpoints");
    assert_eq!(kept.set(), there);
    // A name that is there, with no address, is as good as none.
    server
        .change(&[], &["db 0 TXT there", "db 0 A 10.0.0.2"])
        .unwrap();
    assert_eq!(next(&mut obeyed).await, hosts(&["10.0.0.2:80"]));
    server.change(&["db A"], &[]).unwrap();
    assert_eq!(next(&mut obeyed).await, EndpointSet::default());
}

fn many(count: u32) -> (String, EndpointSet<SocketAddr>) {
    let records = (0..count).map(|last| format!("db 60 A 10.0.0.{last}\n"));
    let addresses: Vec<_> = (0..count).map(|last| format!("10.0.0.{last}:80")).collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    (records.collect(), hosts(&addresses))
}

/// coredns #4960: with more than ten records or so, answers differed, and the first were favoured.
#[tokio::test]
async fn more_addresses_than_fit_a_datagram_come_whole() {
    let (records, all) = many(200);
    let server = knot(&records);
    let source = dns(server.addr()).host("db.prod.test:80").unwrap();
    let mut discovery = Discovery::start(source).unwrap();
    assert_eq!(next(&mut discovery).await, all);
}

/// firezone #2939: once a name server had been away, look-ups timed out for ever.
#[tokio::test]
async fn a_name_server_that_was_away_is_asked_again() {
    let server = knot("db 0 A 10.0.0.1");
    let source = dns(server.addr()).timeout(Duration::from_millis(100));
    let source = source.host("db.prod.test:80").unwrap();
    let mut discovery = Discovery::start(source).unwrap();
    let before = next(&mut discovery).await;
    server.kill().unwrap();
    // Often enough that the settings are read anew, more than once.
    let error = failure(&discovery, 8).await;
    let start = format!("db.prod.test. A: {}: ", server.addr());
    assert!(error.starts_with(&start), "{error}");
    assert_eq!(discovery.set(), before);
    server.restart().unwrap();
    server.change(&["db A"], &["db 0 A 10.0.0.2"]).unwrap();
    assert_eq!(next(&mut discovery).await, hosts(&["10.0.0.2:80"]));
}

#[tokio::test]
async fn aliases_are_followed_of_hosts_targets_and_services() {
    let server = knot(
        "db 60 CNAME db1\ndb1 60 CNAME db2\ndb2 60 A 10.0.0.1\n_sql._tcp 60 CNAME _pg._tcp\n_pg._tcp 60 SRV 0 1 80 db",
    );
    let dns = dns(server.addr());
    let mut host = Discovery::start(dns.host("db.prod.test:80").unwrap()).unwrap();
    assert_eq!(next(&mut host).await, hosts(&["10.0.0.1:80"]));
    let mut service = Discovery::start(dns.srv("_sql._tcp.prod.test").unwrap()).unwrap();
    let expected = EndpointSet::from([target(0, 100, "db.prod.test", &["10.0.0.1:80"])]);
    assert_eq!(next(&mut service).await, expected);
}

#[tokio::test]
async fn an_alias_that_moves_is_followed_though_the_addresses_are_good_for_long() {
    let server = knot(
        "db 0 CNAME a\na 86400 A 10.0.0.1\na 86400 AAAA fd00::1\nb 86400 A 10.0.0.2\nb 86400 AAAA fd00::2",
    );
    let source = dns(server.addr()).host("db.prod.test:80").unwrap();
    let mut discovery = Discovery::start(source).unwrap();
    let before = hosts(&["10.0.0.1:80", "[fd00::1]:80"]);
    assert_eq!(next(&mut discovery).await, before);
    server.change(&["db CNAME"], &["db 0 CNAME b"]).unwrap();
    let after = hosts(&["10.0.0.2:80", "[fd00::2]:80"]);
    until("the others", || discovery.set() == after).await;
}

/// That nothing of this is Knot's own.
#[tokio::test]
async fn another_name_server_s_answers_mean_the_same() {
    let (records, all) = many(200);
    let service =
        "_sql._tcp 60 SRV 0 2 80 a\n_none._tcp 60 SRV 0 0 0 .\na 60 A 10.0.1.1\na 60 AAAA fd00::1";
    let server = NsdServer::start(ZONE, &format!("{records}{service}")).unwrap();
    let dns: Dns = dns(server.addr());
    let mut host = Discovery::start(dns.host("db.prod.test:80").unwrap()).unwrap();
    assert_eq!(next(&mut host).await, all);
    let mut there = Discovery::start(dns.srv("_sql._tcp.prod.test").unwrap()).unwrap();
    let expected = target(0, 200, "a.prod.test", &["[fd00::1]:80", "10.0.1.1:80"]);
    assert_eq!(next(&mut there).await, EndpointSet::from([expected]));
    for name in ["_none._tcp.prod.test", "_other._tcp.prod.test"] {
        let none = Discovery::builder(dns.srv(name).unwrap()).empty_sets(EmptySets::Obeyed);
        let mut none = none.start().unwrap();
        assert_eq!(next(&mut none).await, EndpointSet::default(), "{name}");
    }
}
