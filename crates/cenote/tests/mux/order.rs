//! In which order requests are sent by callers on many threads, and who encodes them.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use cenote::mux::MuxBuilder;
use futures::stream::FuturesUnordered;
use futures::{SinkExt, StreamExt};
use tokio::io::{duplex, split};
use tokio::task::{JoinSet, yield_now};
use tokio_util::codec::{Decoder, Encoder};

use crate::peer::{BUFFER, orderly, pair};

const CALLERS: u32 = 16;
const REQUESTS: u32 = 500;

/// A caller's number and that of its request.
fn numbered(caller: u32, request: u32) -> Bytes {
    let mut message = BytesMut::new();
    message.put_u32(caller);
    message.put_u32(request);
    message.freeze()
}

/// A caller goes from thread to thread, as the runtime takes tasks from the one to the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_sent_on_one_handle_arrives_in_order_whatever_threads_its_caller_runs_on() {
    let (client, mut peer) = pair(|settings| settings.max_in_flight(64));
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        // A handle of its own.
        let client = client.clone();
        callers.spawn(async move {
            let mut pending = FuturesUnordered::new();
            for request in 0..REQUESTS {
                let message = numbered(caller, request);
                if request % 3 == 0 {
                    client.send(message).await.unwrap();
                } else {
                    // The cap has room for four of each caller: none waits for its turn.
                    while pending.len() >= 4 {
                        let reply: Result<Bytes, _> = pending.next().await.unwrap();
                        assert_eq!(reply.unwrap().slice(..4), numbered(caller, 0).slice(..4));
                    }
                    let mut call = Box::pin(client.call(message));
                    assert!(futures::poll!(&mut call).is_pending());
                    pending.push(call);
                }
                yield_now().await;
            }
            while let Some(reply) = pending.next().await {
                reply.unwrap();
            }
        });
    }
    drop(client);
    let mut next = [0; CALLERS as usize];
    while let Some(Ok(frame)) = peer.0.next().await {
        let mut message = frame.message.clone();
        let (caller, request) = (message.get_u32(), message.get_u32());
        assert_eq!(request, next[caller as usize], "of caller {caller}");
        next[caller as usize] += 1;
        if frame.tag.is_some() {
            peer.0.send(frame).await.unwrap();
        }
    }
    assert_eq!(next, [REQUESTS; CALLERS as usize]);
    callers.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replies_in_order_reach_their_own_whatever_threads_their_callers_run_on() {
    let (client, mut peer) = orderly(|settings| settings.max_in_flight(64).encoders(8));
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let client = client.clone();
        callers.spawn(async move {
            for request in 0..REQUESTS {
                let message = numbered(caller, request);
                assert_eq!(client.call(message.clone()).await.unwrap(), message);
            }
        });
    }
    drop(client);
    while let Some(Ok(request)) = peer.next().await {
        peer.send(request.freeze()).await.unwrap();
    }
    callers.join_all().await;
}

/// Numbers the messages it encodes, as a cipher or a dictionary might.
#[derive(Clone)]
struct Counting(u32);

impl Encoder<u32> for Counting {
    type Error = io::Error;

    fn encode(&mut self, _: u32, buffer: &mut BytesMut) -> io::Result<()> {
        buffer.put_u32(self.0);
        self.0 += 1;
        Ok(())
    }
}

impl Decoder for Counting {
    type Item = u32;
    type Error = io::Error;

    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<u32>> {
        Ok((input.len() >= 4).then(|| input.get_u32()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_encoder_that_keeps_something_is_the_only_one_unless_told_otherwise() {
    let (near, far) = duplex(BUFFER);
    let (read, write) = split(near);
    let client = MuxBuilder::new()
        .in_order(read, write, Counting(0))
        .unwrap();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let client = client.clone();
        callers.spawn(async move {
            for _ in 0..REQUESTS {
                client.call(0).await.unwrap();
            }
        });
    }
    drop(client);
    let mut peer = tokio_util::codec::Framed::new(far, Counting(0));
    for expected in 0..CALLERS * REQUESTS {
        assert_eq!(peer.next().await.unwrap().unwrap(), expected);
        peer.send(0).await.unwrap();
    }
    callers.join_all().await;
}
