//! The pending table: replies, callers that wait for them, callers that leave, and the end.

use super::line::Then;
use super::*;

/// A client with so many tags, none of whose requests is written: the model is the peer.
fn unwritten(max_in_flight: usize) -> Client {
    let client = client(max_in_flight, &Line::new(Then::Answers(0), None));
    assert!(appended(&client).is_empty());
    client
}

/// redis-py #2665: the reply is dropped by the party that comes second, and the tag is free once.
#[test]
fn a_reply_and_a_caller_that_leaves_free_the_tag_once() {
    explore(|| {
        let client = unwritten(1);
        let mut call = client.call(1).into_owned();
        begin(&mut call);
        let (tag, _) = appended(&client)[0];
        let peer = client.clone();
        race([
            party(move || drop(call)),
            party(move || reply(&peer, tag, 1)),
        ]);
        assert_eq!(load(&client), (0, 0, 0));
    });
}

#[test]
fn a_caller_that_looks_while_its_reply_comes_has_it() {
    explore(|| {
        let client = unwritten(1);
        let mut call = client.call(1).into_owned();
        begin(&mut call);
        let (tag, _) = appended(&client)[0];
        let peer = client.clone();
        race([
            party(move || assert_eq!(block_on(call).unwrap(), 7)),
            party(move || reply(&peer, tag, 7)),
        ]);
        assert_eq!(load(&client), (0, 0, 0));
    });
}

/// The tag goes from one caller to the next while a reply to the first comes.
#[test]
fn the_next_in_line_never_has_the_reply_to_the_one_before() {
    explore(|| {
        let client = unwritten(1);
        let mut leaves = client.call(1).into_owned();
        let mut waits = client.call(2).into_owned();
        begin(&mut leaves);
        begin(&mut waits);
        let (tag, _) = appended(&client)[0];
        let peer = client.clone();
        race([
            party(move || drop(leaves)),
            party(move || reply(&peer, tag, 1)),
        ]);
        begin(&mut waits);
        let frames = appended(&client);
        assert!(matches!(frames[..], [(own, 2)] if own != tag));
        assert_eq!(load(&client), (1, 0, 0));
        drop(waits);
    });
}

#[test]
fn a_call_that_begins_as_the_connection_ends_is_told() {
    explore(|| {
        let client = unwritten(1);
        let call = client.call(1).into_owned();
        let driver = client.clone();
        race([
            party(move || {
                let error = block_on(call).unwrap_err();
                let CallError::Disconnected { cause, .. } = error else {
                    panic!("{error}");
                };
                assert!(matches!(cause, Disconnected::PeerClosed), "{cause}");
            }),
            party(move || driver.engine.end(Disconnected::PeerClosed)),
        ]);
        assert_eq!(load(&client), (0, 0, 0));
    });
}

#[test]
fn a_call_that_queues_as_the_connection_ends_is_told() {
    explore(|| {
        let client = unwritten(1);
        let mut pending = client.call(1).into_owned();
        begin(&mut pending);
        let queues = client.call(2).into_owned();
        let driver = client.clone();
        race([
            party(move || assert!(block_on(queues).is_err())),
            party(move || driver.engine.end(Disconnected::PeerClosed)),
            party(move || assert!(block_on(pending).is_err())),
        ]);
        assert_eq!(load(&client), (0, 0, 0));
    });
}

/// sqlx #622: a turn that is left goes to the next, whether it had come or not.
#[test]
fn a_turn_that_is_left_as_it_comes_goes_to_the_next() {
    explore(|| {
        let client = unwritten(1);
        let mut first = client.call(1).into_owned();
        let mut leaves = client.call(2).into_owned();
        let mut waits = client.reserve();
        begin(&mut first);
        begin(&mut leaves);
        begin(&mut waits);
        let (tag, _) = appended(&client)[0];
        reply(&client, tag, 1);
        race([
            party(move || assert_eq!(block_on(first).unwrap(), 1)),
            party(move || drop(leaves)),
            party(move || drop(block_on(waits).unwrap())),
        ]);
        assert_eq!(load(&client), (0, 0, 0));
    });
}

/// The peer is suspected, and speaks again, while a caller comes.
#[test]
fn a_caller_that_comes_while_tags_are_withheld_has_one_once_they_are_given_again() {
    explore(|| {
        let client = unwritten(1);
        let comes = client.reserve();
        let driver = client.clone();
        race([
            party(move || drop(block_on(comes).unwrap())),
            party(move || {
                driver.engine.suspect_peer();
                driver.engine.record_activity();
            }),
        ]);
        assert_eq!(load(&client), (0, 0, 0));
    });
}

#[test]
fn a_turn_that_comes_as_the_connection_ends_leaves_no_tag_taken() {
    explore(|| {
        let client = unwritten(1);
        let mut first = client.call(1).into_owned();
        let mut waits = client.call(2).into_owned();
        begin(&mut first);
        begin(&mut waits);
        let driver = client.clone();
        race([
            party(move || drop(first)),
            party(move || assert!(block_on(waits).is_err())),
            party(move || driver.engine.end(Disconnected::PeerClosed)),
        ]);
        // A caller that left before the end waits for a reply that will never come.
        assert_eq!(client.in_flight(), client.abandoned());
        assert_eq!(client.queued(), 0);
    });
}
