use std::collections::VecDeque;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::names::{Awaited, Naming, Requests};
use super::replies::Replies;
use super::*;

const STARTUP: &[u8] = &[0, 0, 0, 9, 0, 3, 0, 0, 0];

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("short");
    [&[kind], &length.to_be_bytes()[..], body].concat()
}

fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{sql}\0\x01\x02").as_bytes())
}

fn bind(portal: &str, name: &str) -> Vec<u8> {
    message(b'B', format!("{portal}\0{name}\0values").as_bytes())
}

fn named(kind: u8, target: char, name: &str) -> Vec<u8> {
    message(kind, format!("{target}{name}\0").as_bytes())
}

fn sync() -> Vec<u8> {
    message(b'S', b"")
}

/// What the driver sends for one statement, from its preparation to its end.
fn requests() -> Vec<u8> {
    [
        STARTUP.to_vec(),
        message(b'p', b"secret\0"),
        message(b'Q', b"SELECT 's0'\0"),
        parse("s0", "SELECT $1"),
        named(b'D', 'S', "s0"),
        sync(),
        bind("", "s0"),
        message(b'E', b"\0\0\0\0\0"),
        sync(),
        parse("", "SELECT 2"),
        bind("p1", ""),
        named(b'D', 'P', "p1"),
        named(b'C', 'P', "p1"),
        bind("p2", "s0"),
        named(b'C', 'S', "s0"),
        sync(),
        message(b'X', b""),
    ]
    .concat()
}

fn passed(
    naming: &Naming,
    parts: impl IntoIterator<Item = Vec<u8>>,
) -> (Vec<u8>, VecDeque<Awaited>) {
    let mut requests = Requests::new(naming.clone(), Status::default());
    let mut out = Vec::new();
    for part in parts {
        requests.pass(&part, &mut out);
    }
    (out, requests.awaited)
}

fn prefixed() -> Naming {
    Naming::Prefixed(b"me_".to_vec().into())
}

#[test]
fn every_name_of_a_statement_gets_the_prefix_and_nothing_else_changes() {
    let expected = [
        STARTUP.to_vec(),
        message(b'p', b"secret\0"),
        message(b'Q', b"SELECT 's0'\0"),
        parse("me_s0", "SELECT $1"),
        named(b'D', 'S', "me_s0"),
        sync(),
        bind("", "me_s0"),
        message(b'E', b"\0\0\0\0\0"),
        sync(),
        parse("", "SELECT 2"),
        bind("p1", ""),
        named(b'D', 'P', "p1"),
        named(b'C', 'P', "p1"),
        bind("p2", "me_s0"),
        named(b'C', 'S', "me_s0"),
        sync(),
        message(b'X', b""),
    ];
    assert_eq!(passed(&prefixed(), [requests()]).0, expected.concat());
}

#[test]
fn without_names_a_statement_is_parsed_where_it_is_run() {
    let expected = [
        STARTUP.to_vec(),
        message(b'p', b"secret\0"),
        message(b'Q', b"SELECT 's0'\0"),
        parse("", "SELECT $1"),
        named(b'D', 'S', ""),
        sync(),
        parse("", "SELECT $1"),
        bind("", ""),
        message(b'E', b"\0\0\0\0\0"),
        sync(),
        parse("", "SELECT 2"),
        bind("p1", ""),
        named(b'D', 'P', "p1"),
        named(b'C', 'P', "p1"),
        parse("", "SELECT $1"),
        bind("p2", ""),
        named(b'C', 'S', ""),
        sync(),
        message(b'X', b""),
    ];
    let (out, awaited) = passed(&Naming::Nameless, [requests()]);
    assert_eq!(out, expected.concat());
    use Awaited::{Parsed, ParsedAs, ParsedUnasked, ReadyAfterQuery, ReadyAfterSync};
    let expected = [
        ReadyAfterQuery,
        ParsedAs(b"s0\0".to_vec().into()),
        ReadyAfterSync,
        ParsedUnasked,
        ReadyAfterSync,
        Parsed,
        ParsedUnasked,
        ReadyAfterSync,
    ];
    assert_eq!(awaited, expected);
}

#[test]
fn messages_may_be_cut_anywhere() {
    let whole = requests();
    for naming in [prefixed(), Naming::Nameless] {
        let (expected, awaited) = passed(&naming, [whole.clone()]);
        for length in 1..whole.len() {
            let parts = whole.chunks(length).map(<[u8]>::to_vec);
            let (out, waits) = passed(&naming, parts);
            assert_eq!(
                (out, waits),
                (expected.clone(), awaited.clone()),
                "{length}"
            );
        }
    }
}

#[test]
fn the_tag_of_a_preparation_is_taken_off_and_its_name_noted() {
    for sql in ["SELECT $1", ""] {
        let status = Status::default();
        let preparations = status.preparations();
        let (ended, left) = (preparations.begin(), preparations.begin());
        let whole = [
            STARTUP.to_vec(),
            parse("s0", &ended.tagged(sql)),
            parse("s1", &left.tagged(sql)),
            parse("s2", sql),
        ];
        let whole = whole.concat();
        let expected = [
            STARTUP.to_vec(),
            parse("me_s0", sql),
            parse("me_s1", sql),
            parse("me_s2", sql),
        ];
        for length in 1..whole.len() {
            let mut requests = Requests::new(prefixed(), status.clone());
            let mut out = Vec::new();
            for part in whole.chunks(length) {
                requests.pass(part, &mut out);
            }
            assert_eq!(out, expected.concat(), "{length}");
        }
        ended.end();
        assert_eq!(preparations.left(), ["me_s1".into()]);
        preparations.forget(&["me_s1".into()]);
        assert!(preparations.left().is_empty());
    }
}

#[test]
fn a_statement_of_another_connection_keeps_its_name_for_the_server_to_refuse() {
    let (out, _) = passed(&Naming::Nameless, [STARTUP.to_vec(), bind("", "s9")]);
    assert_eq!(out, [STARTUP.to_vec(), bind("", "s9")].concat());
}

#[test]
fn names_are_unique_to_a_connection() {
    let prefix = || match Naming::unique() {
        Naming::Prefixed(prefix) => prefix,
        Naming::Nameless => unreachable!("it is a prefix"),
    };
    let known: std::collections::HashSet<_> = (0..1_000).map(|_| prefix()).collect();
    assert_eq!(known.len(), 1_000);
}

/// Passes replies in parts of this length, and returns what the driver reads and the server's last word.
fn replied(replies: &[u8], length: usize, awaited: &[Awaited]) -> (Vec<u8>, Option<bool>, usize) {
    let status = Status::default();
    let mut filter = Replies::new(status.clone());
    let mut requests = Requests::new(Naming::Nameless, Status::default());
    requests.awaited = awaited.iter().cloned().collect();
    let mut out = Vec::new();
    for part in replies.chunks(length) {
        let mut part = part.to_vec();
        let kept = filter
            .pass(&mut part, &mut requests)
            .expect("short messages");
        out.extend_from_slice(&part[..kept]);
    }
    (out, status.in_transaction(), requests.awaited.len())
}

#[test]
fn only_what_the_driver_did_not_ask_for_is_kept_from_it() {
    use Awaited::{Parsed, ParsedUnasked, ReadyAfterSync};
    let awaited = [
        Parsed,
        ReadyAfterSync,
        ParsedUnasked,
        ReadyAfterSync,
        Parsed,
        ReadyAfterSync,
    ];
    let parsed = message(b'1', b"");
    let row = message(b'D', b"\0\x01 1 1 Z1");
    let ready = message(b'Z', b"T");
    let replies = [
        parsed.clone(),
        ready.clone(),
        parsed.clone(),
        row.clone(),
        ready.clone(),
        parsed.clone(),
        ready.clone(),
    ];
    let expected = [
        parsed.clone(),
        ready.clone(),
        row,
        ready.clone(),
        parsed,
        ready,
    ];
    let replies = replies.concat();
    for length in 1..=replies.len() {
        let (out, in_transaction, left) = replied(&replies, length, &awaited);
        assert_eq!(out, expected.concat(), "{length}");
        assert_eq!((in_transaction, left), (Some(true), 0));
    }
}

#[test]
fn what_an_error_skips_is_not_awaited_any_more() {
    use Awaited::{Parsed, ParsedUnasked, ReadyAfterSync};
    let awaited = [
        ParsedUnasked,
        Parsed,
        ReadyAfterSync,
        Parsed,
        ReadyAfterSync,
    ];
    let replies = [
        message(b'E', b"MNo\0\0"),
        message(b'Z', b"I"),
        message(b'1', b""),
        message(b'Z', b"I"),
    ];
    let (out, in_transaction, left) = replied(&replies.concat(), 1_000, &awaited);
    assert_eq!(out, replies.concat());
    assert_eq!((in_transaction, left), (Some(false), 0));
}

/// The driver sends one Sync with the statement and one with the end of the data; the server heeds the second.
#[test]
fn a_copy_swallows_the_sync_that_came_with_its_statement() {
    use Awaited::{ParsedUnasked, ReadyAfterSync};
    let awaited = [
        ParsedUnasked,
        ReadyAfterSync,
        ReadyAfterSync,
        ParsedUnasked,
        ReadyAfterSync,
    ];
    let parsed = message(b'1', b"");
    let rest = [
        message(b'2', b""),
        message(b'G', b"\0\0\0"),
        message(b'C', b"COPY 1\0"),
        message(b'Z', b"I"),
    ]
    .concat();
    let replies = [&parsed[..], &rest, &parsed, &message(b'Z', b"E")].concat();
    let (out, in_transaction, left) = replied(&replies, 3, &awaited);
    assert_eq!(out, [&rest[..], &message(b'Z', b"E")].concat());
    assert_eq!((in_transaction, left), (Some(true), 0));
}

/// The driver closes only what it has prepared: the texts of statements that the server refuses would pile up.
#[test]
fn a_statement_that_was_not_parsed_is_forgotten() {
    let mut requests = Requests::new(Naming::Nameless, Status::default());
    let mut out = Vec::new();
    for part in [
        STARTUP.to_vec(),
        parse("s0", "SELECT $1"),
        sync(),
        parse("s1", "SELEC $1"),
        sync(),
    ] {
        requests.pass(&part, &mut out);
    }
    let replies = [
        message(b'1', b""),
        message(b'Z', b"I"),
        message(b'E', b"MNo\0\0"),
        message(b'Z', b"I"),
    ];
    Replies::new(Status::default())
        .pass(&mut replies.concat(), &mut requests)
        .expect("short messages");
    for (name, expected) in [
        ("s0", [parse("", "SELECT $1"), bind("", "")].concat()),
        ("s1", bind("", "s1")),
    ] {
        out.clear();
        requests.pass(&bind("", name), &mut out);
        assert_eq!(out, expected, "{name}");
    }
}

/// An error without the field `V`, as servers before 9.6 and some poolers send it.
fn error_called(severity: &str) -> Vec<u8> {
    let body = format!("S{severity}\0C57P01\0Mthe end\0\0");
    message(b'E', body.as_bytes())
}

/// What the session's end is taken to be when this error comes after these requests, all answered but the last.
fn end_after(requests: &[&[u8]], error: &[u8]) -> Option<String> {
    let status = Status::default();
    let mut replies = Replies::new(status.clone());
    let mut asked = Requests::new(Naming::Nameless, Status::default());
    let ready = message(b'Z', b"I");
    asked.pass(STARTUP, &mut Vec::new());
    for request in requests {
        replies
            .pass(&mut ready.clone(), &mut asked)
            .expect("short messages");
        asked.pass(request, &mut Vec::new());
    }
    replies
        .pass(&mut error.to_vec(), &mut asked)
        .expect("short messages");
    status.end_reason().map(str::to_owned)
}

#[test]
fn a_fatal_error_ends_the_session_also_without_the_field_that_is_not_translated() {
    let asked: &[&[u8]] = &[&message(b'Q', b"SELECT 1\0")];
    for severity in ["FATAL", "PANIC"] {
        let end = end_after(asked, &error_called(severity));
        assert_eq!(end.as_deref(), Some("the end (SQLSTATE 57P01)"));
    }
}

#[test]
fn an_error_that_nobody_asked_for_ends_the_session_whatever_it_is_called() {
    let answered: &[&[u8]] = &[&message(b'Q', b"SELECT 1\0"), &[]];
    for severity in ["ВАЖНО", "FATAL"] {
        let end = end_after(answered, &error_called(severity));
        assert_eq!(end.as_deref(), Some("the end (SQLSTATE 57P01)"));
    }
}

/// The server may answer before the Sync is on its way.
#[test]
fn an_error_in_the_answer_to_a_request_does_not_end_the_session() {
    let whole = [parse("s0", "SELEC $1"), sync()].concat();
    let begun = parse("s0", "SELEC $1");
    let query = message(b'Q', b"SELEC 1\0");
    for asked in [&whole, &begun, &query] {
        for severity in ["ОШИБКА", "ERROR"] {
            let end = end_after(&[&query, asked], &error_called(severity));
            assert_eq!(end, None, "{severity}");
        }
    }
}

/// The next call finds them, and not only that the connection is closed.
#[tokio::test]
async fn the_last_words_wait_for_the_next_call_whatever_they_are_called() {
    let (mut server, client) = tokio::io::duplex(1024);
    let mut wire = Wire::new(client, prefixed(), Status::default());
    let words = error_called("ВАЖНО");
    let mut buffer = [0; 1024];
    wire.write_all(STARTUP).await.expect("it is taken");
    let ready = message(b'Z', b"I");
    server.write_all(&ready).await.expect("it is taken");
    assert_eq!(
        wire.read(&mut buffer).await.expect("it is read"),
        ready.len()
    );
    server.write_all(&words).await.expect("it is taken");
    drop(server);
    assert!(futures_util::poll!(Box::pin(wire.read(&mut buffer))).is_pending());
    wire.write_all(&message(b'Q', b"SELECT 1\0"))
        .await
        .expect("nobody is there to read it");
    let read = wire.read(&mut buffer).await.expect("they are read");
    assert_eq!(buffer[..read], words);
    assert_eq!(wire.read(&mut buffer).await.expect("the end"), 0);
}
