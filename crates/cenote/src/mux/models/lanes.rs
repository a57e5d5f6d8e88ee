//! The lanes: the order of one handle's requests, and tags that wander between lanes and the admission.

use super::line::Then;
use super::*;
use crate::kernel::models::Party;

const LANES: usize = 2;

/// None of its requests is written: the model is the peer.
fn unwritten(max_in_flight: usize) -> Client {
    let line = Line::new(Then::Answers(0), None);
    let client = with_lanes(LANES, max_in_flight, &line);
    // As if the driver were on its way.
    client.engine.write_signal.request();
    client
}

/// What is taken now: the messages.
fn take(client: &Client, into: &mut BytesMut) {
    let lanes = &client.engine.lanes;
    lanes.take(into, &mut BytesMut::new(), usize::MAX);
}

fn messages(mut frames: BytesMut) -> Vec<u32> {
    let mut messages = Vec::new();
    while frames.remaining() >= FRAME {
        frames.advance(FRAME / 2);
        messages.push(frames.get_u32());
    }
    messages
}

/// Begins a call and lets it be, on a thread of the party's own.
fn begins(mut call: Call<'static, u32, u32>) -> Party {
    party(move || {
        begin(&mut call);
        std::mem::forget(call);
    })
}

/// The caller has come from a thread whose lane is taken last to one whose lane is taken first.
#[test]
fn requests_of_one_handle_keep_their_order_from_lane_to_lane() {
    explore(|| {
        let client = unwritten(2);
        let [first, second] = [1, 2].map(|n| client.call(n).into_owned());
        let taken = Arc::new(std::sync::Mutex::new(BytesMut::new()));
        let (frames, writer) = (Arc::clone(&taken), client.clone());
        race([begins(first)]);
        race([
            begins(second),
            party(move || take(&writer, &mut frames.lock().unwrap())),
        ]);
        let mut frames = std::mem::take(&mut *taken.lock().unwrap());
        take(&client, &mut frames);
        assert_eq!(messages(frames), [1, 2]);
    });
}

/// Two threads use the handle at once, and each of them comes after what was before.
#[test]
fn requests_of_one_handle_keep_their_order_beside_another_caller_of_it() {
    explore(|| {
        let client = unwritten(3);
        let [first, one, other] = [1, 2, 3].map(|n| client.call(n).into_owned());
        race([begins(first)]);
        race([begins(one), begins(other)]);
        let mut frames = BytesMut::new();
        take(&client, &mut frames);
        let messages = messages(frames);
        assert_eq!((messages.len(), messages[0]), (3, 1));
    });
}

/// Another thread uses the handle between the two, and its lane is taken first.
#[test]
fn two_requests_of_one_thread_keep_their_order_beside_another_caller_of_the_handle() {
    explore(|| {
        let client = unwritten(3);
        let [other, mut first, mut second] = [1, 2, 3].map(|n| client.call(n).into_owned());
        race([
            party(move || {
                begin(&mut first);
                begin(&mut second);
                std::mem::forget((first, second));
            }),
            begins(other),
        ]);
        let mut frames = BytesMut::new();
        take(&client, &mut frames);
        let mut messages = messages(frames);
        messages.retain(|message| *message != 1);
        assert_eq!(messages, [2, 3]);
    });
}

/// The tag goes into a lane's cache, or to the caller that queues: never the one beside the other.
#[test]
fn a_tag_put_in_a_cache_reaches_a_caller_that_queues_meanwhile() {
    explore(|| {
        let client = unwritten(1);
        let mut first = client.call(1).into_owned();
        begin(&mut first);
        let (tag, _) = appended(&client)[0];
        reply(&client, tag, 1);
        let waits = client.reserve();
        race([
            party(move || assert_eq!(block_on(first).unwrap(), 1)),
            party(move || drop(block_on(waits).unwrap())),
        ]);
        assert_eq!(load(&client), (0, 0, 0));
    });
}

/// Tags of which one is in another lane's cache.
#[test]
fn a_caller_that_finds_nothing_in_its_lane_has_the_tag_of_another() {
    explore(|| {
        let client = unwritten(2);
        let uses = [client.reserve(), client.reserve()].map(|reserve| {
            party(move || {
                let permit = block_on(reserve).unwrap();
                drop(permit);
            })
        });
        race(uses);
        let first = client.reserve();
        let second = client.reserve();
        drop([block_on(first).unwrap(), block_on(second).unwrap()]);
        assert_eq!(load(&client), (0, 0, 0));
    });
}
