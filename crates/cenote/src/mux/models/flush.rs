//! The hand-over of writing between callers and the driver: nothing stays unwritten while no write is requested.

use std::sync::OnceLock;

use super::line::Then;
use super::*;
use crate::error::BoxError;
use crate::mux::codec::{Decode, Reply};
use crate::mux::driver::Driver;

struct Numbers;

impl Decode<u32> for Numbers {
    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Reply<u32>>, BoxError> {
        Ok((input.len() >= FRAME).then(|| Reply {
            tag: Some(input.get_u32().into()),
            message: input.get_u32(),
        }))
    }

    fn decode_eof(&mut self, _: &mut BytesMut) -> Result<Option<Reply<u32>>, BoxError> {
        unreachable!("nothing is left at the end")
    }
}

fn driver(client: &Client, line: &Line) -> Driver<u32, u32, Numbers> {
    Driver::new(client, Box::new(line.clone()), Numbers, None)
}

/// Drives the connection until it has ended.
fn drive(client: &Client, line: &Line) -> impl FnOnce() + Send + use<> {
    until_closed(driver(client, line))
}

fn until_closed(mut driver: Driver<u32, u32, Numbers>) -> impl FnOnce() + Send {
    move || {
        let _timers = timers().enter();
        let lost = block_on(poll_fn(|cx| driver.poll(cx)));
        assert!(
            matches!(lost, Disconnected::Closed | Disconnected::PeerClosed),
            "{lost}"
        );
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

/// Callers that have begun and wait, until the model is over: were they to leave, that would wake the driver.
#[derive(Clone, Default)]
struct Waiting(Arc<std::sync::Mutex<Vec<Call<'static, u32, u32>>>>);

impl Waiting {
    fn begins(&self, call: Call<'_, u32, u32>) -> impl FnOnce() + Send + use<> {
        let mut call = call.into_owned();
        let waiting = self.clone();
        move || {
            begin(&mut call);
            waiting.0.lock().unwrap().push(call);
        }
    }
}

/// Requests from two threads, on a line that ends once both are written: no reply and no close wakes the
/// driver before.
fn two_requests(lanes: usize, takes: Option<usize>) {
    let line = Line::new(Then::Ends(2 * FRAME), takes);
    let client = with_lanes(lanes, 2, &line);
    let driver = drive(&client, &line);
    let waiting = Waiting::default();
    let [one, other] = [1, 2].map(|n| party(waiting.begins(client.call(n))));
    race([one, other, party(driver)]);
    assert_eq!(line.written(), 2 * FRAME);
}

/// The driver takes the buffer while one writes alone and another appends.
#[test]
fn what_two_append_is_written_by_somebody() {
    explore(|| two_requests(1, None));
}

/// The driver has passed one of the lanes when something is put there.
#[test]
fn what_two_append_to_their_own_lanes_is_written_by_somebody() {
    explore(|| two_requests(2, None));
}

/// The caller that began to write is not the task that is woken when there is room.
#[test]
fn what_two_append_is_written_though_the_line_is_blocked() {
    explore(|| two_requests(1, Some(3)));
}

/// A caller found the write half locked, and requests a write when the other has written its frame already: the next
/// caller must not take a write for requested.
#[test]
fn what_is_appended_after_an_idle_request_to_write_is_written() {
    explore(|| {
        let line = Line::new(Then::Ends(FRAME), None);
        let client = client(2, &line);
        let driver = drive(&client, &line);
        let waiting = Waiting::default();
        let next = waiting.begins(client.call(1));
        race([
            party(move || {
                client.engine.write_signal.request();
            }),
            party(next),
            party(driver),
        ]);
        assert_eq!(line.written(), FRAME);
    });
}

#[test]
fn a_call_is_answered_whoever_writes_it() {
    explore(|| {
        let line = Line::new(Then::Answers(FRAME), Some(3));
        let client = client(1, &line);
        let driver = drive(&client, &line);
        let call = client.call(1).into_owned();
        drop(client);
        race([
            party(move || assert_eq!(block_on(call).unwrap(), 1)),
            party(driver),
        ]);
    });
}

/// A caller that leaves while it writes alone.
#[test]
fn a_request_whose_caller_leaves_is_written() {
    explore(|| {
        let line = Line::new(Then::Answers(FRAME), Some(3));
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

/// A message and a close at once, on a line that takes the message in one piece or not. Nobody waits for a reply, so
/// that only the writing holds the close up.
fn a_message_and_a_close(takes: Option<usize>) {
    let line = Line::new(Then::Answers(usize::MAX), takes);
    let client = client(1, &line);
    let driver = drive(&client, &line);
    let closes = client.clone();
    let written = line.clone();
    let sent = Arc::new(std::sync::Mutex::new(false));
    let is_sent = Arc::clone(&sent);
    race([
        party(move || *is_sent.lock().unwrap() = block_on(client.send(1)).is_ok()),
        party(move || {
            closes
                .engine
                .drain(closes.engine.admission(), Disconnected::Closed)
        }),
        party(driver),
    ]);
    let expected = if *sent.lock().unwrap() { FRAME } else { 0 };
    assert_eq!(written.written(), expected);
}

#[test]
fn a_message_is_written_before_the_close_that_follows() {
    explore(|| a_message_and_a_close(Some(3)));
}

/// The driver has found the message unwritten, and waits for the caller that writes it.
#[test]
fn a_close_is_done_though_its_last_message_is_written_by_who_sends_it() {
    explore(|| a_message_and_a_close(None));
}

/// The line is full, and wakes the task that polled it last when there is room: a caller, which is not to write.
#[test]
fn callers_that_find_the_line_full_leave_the_driver_its_wake_up() {
    explore(|| {
        let line = Line::full(Then::Ends(3 * FRAME), 3);
        let client = client(3, &line);
        let mut driver = driver(&client, &line);
        let waiting = Waiting::default();
        // The driver writes the first in part, and waits for room.
        client.engine.write_signal.request();
        waiting.begins(client.call(0))();
        let mut cx = Context::from_waker(Waker::noop());
        while line.written() == 0 || client.engine.write_signal.is_requested() {
            assert!(driver.poll(&mut cx).is_pending());
        }
        let [one, other] = [1, 2].map(|n| waiting.begins(client.call(n)));
        let peer = line.clone();
        race([
            party(move || {
                one();
                peer.makes_room();
            }),
            party(other),
            party(until_closed(driver)),
        ]);
        assert_eq!(line.written(), 3 * FRAME);
    });
}

/// The last call ends as the close begins: the driver is told by one of the two.
#[test]
fn a_close_beside_the_last_caller_that_leaves_is_done() {
    explore(|| {
        let line = Line::new(Then::Answers(usize::MAX), None);
        let client = client(1, &line);
        let driver = drive(&client, &line);
        let mut call = client.call(1).into_owned();
        begin(&mut call);
        race([
            party(move || drop(call)),
            party(move || {
                client
                    .engine
                    .drain(client.engine.admission(), Disconnected::Closed)
            }),
            party(driver),
        ]);
    });
}
