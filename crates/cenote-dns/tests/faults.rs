//! What becomes of a source whose name servers fail, say nothing, or something else each time.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use cenote::endpoints::{Discovery, EmptySets};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType::{A, AAAA};
use tokio::time::sleep;

mod says;
#[allow(dead_code, reason = "other tests need the rest")]
mod scripted;
mod waiting;

use says::{DB, Says, host};
use scripted::{Asked, Say, Scripted, Transport, addresses, alias};
use waiting::{dns, failure, hosts, next, until};

#[tokio::test]
async fn a_name_server_that_fails_or_refuses_takes_nothing_away() {
    let says = Says::default();
    let server = says.at(DB, A, &["10.0.0.1"]).serve().await;
    let discovery = &mut host(&dns(server.addr));
    let there = next(discovery).await;
    for (code, text) in [
        (ResponseCode::ServFail, "Server Failure"),
        (ResponseCode::Refused, "Query Refused"),
    ] {
        for kind in [A, AAAA] {
            says.set(DB, kind, Say::Code(code));
        }
        let expected = format!("db.test. A: {}: {text}", server.addr);
        until(text, || {
            let failing = discovery.status().failing;
            failing.is_some_and(|failing| *failing.error == expected)
        })
        .await;
    }
    assert_eq!(discovery.set(), there);
    says.set(DB, AAAA, Say::NoData(0)).at(DB, A, &["10.0.0.2"]);
    assert_eq!(next(discovery).await, hosts(&["10.0.0.2:80"]));
}

#[tokio::test]
async fn a_name_server_that_knows_only_others_has_not_said_that_there_is_nothing() {
    let says = Says::default();
    says.set(DB, A, Say::Referral).set(DB, AAAA, Say::Referral);
    let server = says.serve().await;
    let source = dns(server.addr).host("db.test:80").unwrap();
    let obeyed = Discovery::builder(source).empty_sets(EmptySets::Obeyed);
    let discovery = obeyed.start().unwrap();
    let error = failure(&discovery, 1).await;
    assert!(
        error.ends_with(": it refers to other name servers"),
        "{error}"
    );
    assert_eq!(discovery.status().version, 0);
}

#[tokio::test]
async fn a_silent_name_server_is_named_with_how_long_it_was_waited_for() {
    let says = Says::default();
    says.set(DB, A, Say::Nothing).set(DB, AAAA, Say::Nothing);
    let server = says.serve().await;
    let discovery = host(&dns(server.addr).timeout(Duration::from_millis(50)));
    let error = failure(&discovery, 1).await;
    let start = format!("db.test. A: {}: no answer in ", server.addr);
    assert!(error.starts_with(&start), "{error}");
    let Asked { name, over, .. } = &server.asked()[0];
    assert_eq!((name.as_str(), *over), (DB, Transport::Udp));
}

#[tokio::test]
async fn a_datagram_that_is_lost_is_sent_again() {
    let asked = AtomicUsize::new(0);
    let server = Scripted::start(move |question| match question.kind {
        A if asked.fetch_add(1, SeqCst) == 0 => Say::Nothing,
        A => Say::Records(60, addresses(DB, &["10.0.0.1"])),
        _ => Say::NoData(0),
    })
    .await;
    let discovery = &mut host(&dns(server.addr).timeout(Duration::from_secs(30)));
    assert_eq!(next(discovery).await, hosts(&["10.0.0.1:80"]));
    assert_eq!(discovery.status().failing, None);
}

#[tokio::test]
async fn a_name_server_that_does_not_answer_is_passed_over_for_the_next() {
    let (sick, well) = (Says::default(), Says::default());
    let well = well.at(DB, A, &["10.0.0.1"]).serve().await;
    for say in [
        Say::Nothing,
        Say::Code(ResponseCode::ServFail),
        Say::Referral,
    ] {
        sick.set(DB, A, say.clone()).set(DB, AAAA, say);
        let sick = sick.serve().await;
        let dns = dns(well.addr).name_servers([sick.addr, well.addr]);
        let discovery = &mut host(&dns.timeout(Duration::from_secs(1)));
        assert_eq!(next(discovery).await, hosts(&["10.0.0.1:80"]));
        // Once it has been passed over it is not the first any more; unless the other is late, on a slow machine.
        let (before, asked) = (sick.count(A), well.count(A));
        until("twenty more questions", || well.count(A) > asked + 20).await;
        assert!(sick.count(A) < before + 10);
    }
}

/// haproxy #1650: of an answer that was cut short the rest was taken for removed.
#[tokio::test]
async fn an_answer_that_is_cut_short_is_none_if_tcp_has_no_other() {
    let is_cut = Arc::new(AtomicBool::new(true));
    let server = Scripted::start({
        let is_cut = Arc::clone(&is_cut);
        move |asked| match (asked.kind, is_cut.load(SeqCst), asked.over) {
            (A, true, Transport::Udp) => Say::Truncated(addresses(DB, &["10.0.0.1"])),
            (A, true, Transport::Tcp) => Say::Code(ResponseCode::ServFail),
            (A, false, _) => Say::Records(0, addresses(DB, &["10.0.0.1", "10.0.0.2"])),
            _ => Say::NoData(0),
        }
    })
    .await;
    let over_tcp = || {
        let asked = server.asked().into_iter();
        asked.filter(|asked| asked.over == Transport::Tcp).count()
    };
    let discovery = &mut host(&dns(server.addr));
    failure(discovery, 1).await;
    is_cut.store(false, SeqCst);
    let both = next(discovery).await;
    assert_eq!(both, hosts(&["10.0.0.1:80", "10.0.0.2:80"]));
    is_cut.store(true, SeqCst);
    let before = over_tcp();
    until("three such answers", || over_tcp() > before + 3).await;
    assert_eq!(discovery.set(), both);
}

#[tokio::test]
async fn an_answer_that_is_cut_short_is_asked_for_over_tcp() {
    let server = Scripted::start(|asked| match (asked.kind, asked.over) {
        (A, Transport::Udp) => Say::Truncated(addresses(DB, &["10.0.0.1"])),
        (A, Transport::Tcp) => Say::Records(60, addresses(DB, &["10.0.0.1", "10.0.0.2"])),
        _ => Say::NoData(0),
    })
    .await;
    let both = hosts(&["10.0.0.1:80", "10.0.0.2:80"]);
    assert_eq!(next(&mut host(&dns(server.addr))).await, both);
}

#[tokio::test]
async fn what_was_not_asked_for_is_no_answer() {
    let says = Says::default();
    let forged = addresses(DB, &["10.6.6.6"]);
    says.set(DB, A, Say::WrongId(60, forged))
        .set(DB, AAAA, Say::Nothing);
    let server = says.serve().await;
    let discovery = &mut host(&dns(server.addr).timeout(Duration::from_millis(100)));
    failure(discovery, 1).await;
    // Nor are records of another name.
    says.set(
        DB,
        A,
        Say::Records(60, addresses("other.test", &["10.6.6.6"])),
    );
    until("an error that says so", || {
        let failing = discovery.status().failing;
        failing.is_some_and(|failing| failing.error.ends_with(": records of other names only"))
    })
    .await;
    says.at(DB, A, &["10.0.0.1"]);
    assert_eq!(next(discovery).await, hosts(&["10.0.0.1:80"]));
}

/// MySqlConnector #1648: answers went new, old, new, and who had looked at the wrong moment stayed with the old.
#[tokio::test]
async fn answers_that_flicker_are_each_told_and_the_last_one_stays() {
    let says = Says::default();
    let server = says.at(DB, A, &["10.0.0.1"]).serve().await;
    let discovery = &mut host(&dns(server.addr));
    for last in ["10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.2"] {
        says.at(DB, A, &[last]);
        let expected = format!("{last}:80");
        assert_eq!(next(discovery).await, hosts(&[&expected]));
    }
}

/// kong #5477, coredns #4960: a time to live of 0, and answers in another order each time, were changes.
#[tokio::test]
async fn the_same_addresses_in_another_order_are_no_change() {
    let turn = AtomicUsize::new(0);
    let server = Scripted::start(move |asked| {
        let mut all = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
        all.rotate_left(turn.fetch_add(1, SeqCst) % 3);
        match asked.kind {
            A => Say::Records(0, addresses(DB, &all)),
            _ => Say::NoData(0),
        }
    })
    .await;
    let discovery = &mut host(&dns(server.addr));
    next(discovery).await;
    until("ten more answers", || server.count(A) > 10).await;
    assert_eq!(discovery.status().version, 1);
}

/// linkerd2-proxy #4449, hickory #3563: what is good for no time at all, or failed, was asked for without a pause.
#[tokio::test]
async fn whatever_the_answer_the_minimum_interval_passes_before_the_next_question() {
    let nothing = Says::default();
    let zero = Says::default();
    zero.at(DB, A, &["10.0.0.1"]);
    let failing = Says::default();
    for kind in [A, AAAA] {
        failing.set(DB, kind, Say::Code(ResponseCode::ServFail));
    }
    for says in [nothing, zero, failing] {
        let server = says.serve().await;
        let discovery = host(&dns(server.addr).min_interval(Duration::from_secs(3600)));
        until("an answer", || {
            let status = discovery.status();
            status.age.is_some() || status.failing.is_some()
        })
        .await;
        let asked = server.asked();
        for _ in 0..20 {
            discovery.refresh();
            sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(server.asked(), asked);
    }
}

#[tokio::test]
async fn what_is_good_for_long_is_asked_for_after_the_maximum_interval() {
    let says = Says::default();
    says.set(DB, A, Say::Records(86_400, addresses(DB, &["10.0.0.1"])));
    let server = says.serve().await;
    let discovery = &mut host(&dns(server.addr).max_interval(Duration::from_millis(30)));
    next(discovery).await;
    until("ten more questions", || server.count(A) > 10).await;
}

#[tokio::test]
async fn aliases_in_a_circle_are_an_error() {
    let says = Says::default();
    for kind in [A, AAAA] {
        let circle = vec![alias(DB, "other.test"), alias("other.test", DB)];
        says.set(DB, kind, Say::Records(60, circle));
        says.set(
            "other.test",
            kind,
            Say::Records(60, vec![alias("other.test", DB)]),
        );
    }
    let server = says.serve().await;
    let error = failure(&host(&dns(server.addr)), 1).await;
    let expected = "db.test. A: more than eight aliases one behind the other";
    assert_eq!(error, expected);
}

#[tokio::test]
async fn a_source_that_is_dropped_asks_no_more() {
    let says = Says::default();
    let server = says.at(DB, A, &["10.0.0.1"]).serve().await;
    let mut discovery = host(&dns(server.addr));
    next(&mut discovery).await;
    // This one goes on: time passes in its questions.
    let _other = Discovery::start(dns(server.addr).host("other.test:80").unwrap()).unwrap();
    let asked = |name: &str| {
        let asked = server.asked();
        asked.iter().filter(|asked| asked.name == name).count()
    };
    drop(discovery);
    // What was sent before may still arrive: at some time nothing does any more.
    let mut since = (asked("other.test"), asked(DB));
    until("ten questions of the other, and none of this", || {
        let now = (asked("other.test"), asked(DB));
        if now.1 != since.1 {
            since = now;
        }
        now.0 >= since.0 + 10
    })
    .await;
}
