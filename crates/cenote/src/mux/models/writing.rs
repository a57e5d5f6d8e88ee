//! The hand-over of writing between callers and the driver: nothing stays unwritten while nobody is asked.

use std::sync::OnceLock;

use super::*;
use crate::error::BoxError;
use crate::mux::driver::{Decode, Driver, Reply};

struct Numbers;

impl Decode<u32> for Numbers {
    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Reply<u32>>, BoxError> {
        Ok((input.len() >= FRAME).then(|| Reply {
            tag: Some(input.get_u32().into()),
            message: input.get_u32(),
        }))
    }

    fn decode_eof(&mut self, _: &mut BytesMut) -> Result<Option<Reply<u32>>, BoxError> {
        unreachable!("the line has no end")
    }
}

/// Drives the connection until it has ended.
fn drive(client: &Client, line: &Line) -> impl FnOnce() + Send + 'static {
    let mut driver = Driver::new(client, Box::new(line.clone()), Box::new(Numbers), None);
    move || {
        let _timers = timers().enter();
        let lost = block_on(poll_fn(|cx| driver.poll(cx)));
        assert!(matches!(lost, Lost::Closed), "{lost}");
    }
}

/// For the drain's timer, which never ends.
fn timers() -> &'static tokio::runtime::Runtime {
    static TIMERS: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    TIMERS.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().build().unwrap()
    })
}

/// Calls from two threads on a line that answers after both; whoever is last closes.
fn two_callers(line: &Line) {
    let client = client(2, line);
    let driver = drive(&client, line);
    let calls = [1, 2].map(|n| (n, client.call(n).into_owned()));
    drop(client);
    let [one, other] = calls.map(|(n, call)| {
        party(move || {
            assert_eq!(block_on(call).unwrap(), n);
        })
    });
    race([one, other, party(driver)]);
}

/// The driver takes the buffer while one writes alone and another appends.
#[test]
fn every_request_is_written_though_none_is_answered_before_the_other() {
    explore_within(2, || two_callers(&Line::new(2 * FRAME, None)));
}

#[test]
fn a_request_that_blocks_its_caller_is_written_to_its_end() {
    explore_within(1, || two_callers(&Line::new(2 * FRAME, Some(3))));
}

/// A caller that leaves while it writes alone.
#[test]
fn a_request_whose_caller_leaves_is_written() {
    explore(|| {
        let line = Line::new(FRAME, Some(3));
        let client = client(2, &line);
        let driver = drive(&client, &line);
        let mut leaves = client.call(1).into_owned();
        drop(client);
        race([
            party(move || {
                begin(&mut leaves);
                drop(leaves);
            }),
            party(driver),
        ]);
        assert_eq!(line.written(), FRAME);
    });
}

/// Nobody waits for its reply, so that only the writing holds the close up.
#[test]
fn a_message_is_written_before_the_close_that_follows() {
    explore(|| {
        let line = Line::new(usize::MAX, Some(3));
        let client = client(1, &line);
        let driver = drive(&client, &line);
        let closes = client.clone();
        let written = line.clone();
        let sent = Arc::new(std::sync::Mutex::new(false));
        let is_sent = Arc::clone(&sent);
        race([
            party(move || *is_sent.lock().unwrap() = block_on(client.send(1)).is_ok()),
            party(move || closes.engine.drain(closes.engine.desk(), Lost::Closed)),
            party(driver),
        ]);
        let expected = if *sent.lock().unwrap() { FRAME } else { 0 };
        assert_eq!(written.written(), expected);
    });
}

/// The last call ends as the close begins: the driver is told by one of the two.
#[test]
fn a_close_beside_the_last_caller_that_leaves_is_done() {
    explore(|| {
        let line = Line::new(usize::MAX, None);
        let client = client(1, &line);
        let driver = drive(&client, &line);
        let mut call = client.call(1).into_owned();
        begin(&mut call);
        race([
            party(move || drop(call)),
            party(move || client.engine.drain(client.engine.desk(), Lost::Closed)),
            party(driver),
        ]);
    });
}
