//! What a source makes of an answer of which a part is missing, a family of addresses or a target, or is behind an alias.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use cenote::endpoints::{Discovery, EndpointSet};
use cenote_dns::{Dns, Target};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType::{A, AAAA, SRV};

mod says;
#[allow(dead_code, reason = "other tests need the rest")]
mod scripted;
#[allow(dead_code, reason = "other tests need the rest")]
mod waiting;

use says::{DB, Says, host};
use scripted::{Say, Scripted, addresses, alias, target};
use waiting::{dns, failure, hosts, next, until};

const SERVICE: &str = "_sql._tcp.test";

fn service(dns: &Dns) -> Discovery<Target> {
    Discovery::start(dns.srv(SERVICE).unwrap()).unwrap()
}

/// The addresses of each endpoint, in the order of the targets.
fn reached_at(set: &EndpointSet<Target>) -> Vec<String> {
    let endpoints = set.endpoints().iter();
    endpoints
        .map(|endpoint| format!("{} {:?}", endpoint.key, endpoint.addresses))
        .collect()
}

/// reqwest #2378, scylla-rust-driver #1799: success of one family is success.
#[tokio::test]
async fn a_family_that_is_never_answered_does_not_hide_the_other() {
    for say in [Say::Nothing, Say::Code(ResponseCode::ServFail)] {
        let says = Says::default();
        says.at(DB, A, &["10.0.0.1"]).set(DB, AAAA, say);
        let server = says.serve().await;
        let discovery = &mut host(&dns(server.addr).timeout(Duration::from_millis(100)));
        assert_eq!(next(discovery).await, hosts(&["10.0.0.1:80"]));
    }
}

/// haproxy #1650, #1160: endpoints came and went with answers of which a part was missing.
#[tokio::test]
async fn a_family_that_fails_keeps_the_addresses_it_had() {
    let says = Says::default();
    says.at(DB, A, &["10.0.0.1"]).at(DB, AAAA, &["fd00::1"]);
    let server = says.serve().await;
    let discovery = &mut host(&dns(server.addr));
    assert_eq!(
        next(discovery).await,
        hosts(&["10.0.0.1:80", "[fd00::1]:80"])
    );
    says.set(DB, AAAA, Say::Code(ResponseCode::ServFail));
    says.at(DB, A, &["10.0.0.2"]);
    assert_eq!(
        next(discovery).await,
        hosts(&["10.0.0.2:80", "[fd00::1]:80"])
    );
    // That there is none is an answer.
    says.set(DB, AAAA, Say::NoData(0));
    assert_eq!(next(discovery).await, hosts(&["10.0.0.2:80"]));
    // Nothing of one and a failure of the other is no empty set.
    says.set(DB, AAAA, Say::Code(ResponseCode::ServFail));
    says.set(DB, A, Say::NoData(0));
    let error = failure(discovery, 1).await;
    assert!(error.starts_with("db.test. AAAA: "), "{error}");
    assert_eq!(discovery.set(), hosts(&["10.0.0.2:80"]));
}

/// mongo-rust-driver #1638: an answer without additional records.
#[tokio::test]
async fn targets_are_looked_up_as_far_as_additional_records_do_not_say() {
    let says = Says::default();
    let records = vec![
        target(SERVICE, 0, 1, 80, "A.test"),
        target(SERVICE, 0, 1, 80, "b.test"),
    ];
    // Of one family of one of them: that nothing is said of the rest means nothing.
    let beside = addresses("a.test", &["10.0.0.1"]);
    says.set(SERVICE, SRV, Say::With(0, records, beside));
    says.at("a.test", AAAA, &["fd00::1"])
        .at("b.test", A, &["10.0.0.2"]);
    let server = says.serve().await;
    let set = next(&mut service(&dns(server.addr))).await;
    let expected = [
        "a.test:80 [[fd00::1]:80, 10.0.0.1:80]",
        "b.test:80 [10.0.0.2:80]",
    ];
    assert_eq!(reached_at(&set), expected);
    let named = |name: &str| {
        let asked = server.asked().into_iter();
        asked
            .filter(|asked| asked.kind == A && asked.name == name)
            .count()
    };
    assert_eq!(named("a.test"), 0);
}

#[tokio::test]
async fn a_target_that_cannot_be_found_stays_where_it_was_and_is_left_out_if_it_never_was() {
    let says = Says::default();
    let both = vec![
        target(SERVICE, 0, 1, 80, "a.test"),
        target(SERVICE, 0, 1, 80, "b.test"),
    ];
    says.set(SERVICE, SRV, Say::Records(0, both));
    says.at("a.test", A, &["10.0.0.1"]);
    let fails = |name| {
        for kind in [A, AAAA] {
            says.set(name, kind, Say::Code(ResponseCode::ServFail));
        }
    };
    fails("b.test");
    let server = says.serve().await;
    let discovery = &mut service(&dns(server.addr));
    let without = reached_at(&next(discovery).await);
    assert_eq!(without, ["a.test:80 [10.0.0.1:80]"]);
    says.at("b.test", A, &["10.0.0.2"])
        .set("b.test", AAAA, Say::NoData(0));
    let with = reached_at(&next(discovery).await);
    assert_eq!(with, ["a.test:80 [10.0.0.1:80]", "b.test:80 [10.0.0.2:80]"]);
    fails("b.test");
    says.at("a.test", A, &["10.0.0.3"]);
    let stays = reached_at(&next(discovery).await);
    assert_eq!(
        stays,
        ["a.test:80 [10.0.0.3:80]", "b.test:80 [10.0.0.2:80]"]
    );
    // One without addresses is none.
    for kind in [A, AAAA] {
        says.set("b.test", kind, Say::NoData(0));
    }
    let set = reached_at(&next(discovery).await);
    assert_eq!(set, ["a.test:80 [10.0.0.3:80]"]);
}

#[tokio::test]
async fn if_no_target_can_be_found_that_is_an_error_and_no_empty_set() {
    let says = Says::default();
    says.set(
        SERVICE,
        SRV,
        Say::Records(0, vec![target(SERVICE, 0, 1, 80, "a.test")]),
    );
    for kind in [A, AAAA] {
        says.set("a.test", kind, Say::Code(ResponseCode::ServFail));
    }
    let server = says.serve().await;
    let discovery = service(&dns(server.addr));
    let error = failure(&discovery, 1).await;
    assert_eq!(error, format!("a.test. A: {}: Server Failure", server.addr));
}

/// coredns #4960: answers in another order each time.
#[tokio::test]
async fn the_addresses_of_a_target_in_another_order_are_no_change() {
    let turn = AtomicUsize::new(0);
    let server = Scripted::start(move |asked| {
        let mut all = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
        match asked.kind {
            SRV => Say::Records(0, vec![target(SERVICE, 0, 1, 80, "a.test")]),
            A => {
                all.rotate_left(turn.fetch_add(1, SeqCst) % 3);
                Say::Records(0, addresses("a.test", &all))
            }
            _ => Say::NoData(0),
        }
    })
    .await;
    let discovery = &mut service(&dns(server.addr));
    next(discovery).await;
    until("ten more answers", || server.count(A) > 10).await;
    assert_eq!(discovery.status().version, 1);
}

/// As many resolvers answer: the alias, and what is behind it, in one message.
#[tokio::test]
async fn an_alias_of_a_service_is_followed_within_an_answer() {
    let says = Says::default();
    let records = vec![
        alias(SERVICE, "_pg._tcp.test"),
        target("_pg._tcp.test", 0, 1, 80, "a.test"),
        target("_pg._tcp.test", 0, 1, 80, "b.test"),
    ];
    says.set(SERVICE, SRV, Say::Records(0, records));
    says.at("a.test", A, &["10.0.0.1"])
        .at("b.test", A, &["10.0.0.2"]);
    let server = says.serve().await;
    assert_eq!(next(&mut service(&dns(server.addr))).await.len(), 2);
}
