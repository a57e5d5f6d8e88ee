//! A codec with length, tag and message, one without tags, and peers whose other end a test holds.

use std::io;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use cenote::error::SettingsError;
use cenote::mux::{Frame, Mux, MuxBuilder};
use futures::{FutureExt, SinkExt, StreamExt};
use tokio::io::{DuplexStream, duplex, split};
use tokio::task::yield_now;
use tokio::time::sleep;
use tokio_util::codec::{Decoder, Encoder, Framed, LengthDelimitedCodec};

/// A length that the decoder refuses.
pub const MALFORMED: usize = 0xdead;
/// A length that it can't bear.
pub const PANICS: usize = 0xbeef;

/// A length of 32 bits, then a tag of 32, then the message.
#[derive(Clone, Debug)]
pub struct Codec;

impl Encoder<Frame<Bytes>> for Codec {
    type Error = io::Error;

    fn encode(&mut self, frame: Frame<Bytes>, buffer: &mut BytesMut) -> io::Result<()> {
        if frame.message.starts_with(b"unspeakable") {
            buffer.put_u32(17);
            return Err(io::Error::other("unspeakable"));
        }
        if frame.message.starts_with(b"panic") {
            buffer.put_u32(17);
            panic!("the encoder");
        }
        buffer.put_u32(u32::try_from(frame.message.len()).expect("small"));
        buffer.put_u32(frame.tag.unwrap_or(u32::MAX));
        buffer.put(frame.message);
        Ok(())
    }
}

impl Decoder for Codec {
    type Item = Frame<Bytes>;
    type Error = io::Error;

    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<Frame<Bytes>>> {
        let Some((mut head, _)) = input.split_at_checked(8) else {
            return Ok(None);
        };
        let (length, tag) = (head.get_u32() as usize, head.get_u32());
        match length {
            MALFORMED => return Err(io::Error::other("a length nobody has")),
            PANICS => panic!("the decoder"),
            _ => {}
        }
        if input.len() < 8 + length {
            return Ok(None);
        }
        input.advance(8);
        let message = input.split_to(length).freeze();
        Ok(Some(Frame {
            tag: (tag != u32::MAX).then_some(tag),
            message,
        }))
    }
}

pub type Client = Mux<Bytes, Bytes>;

/// The server's end: reads requests, writes replies, as the test says.
pub struct Peer(pub Framed<DuplexStream, Codec>);

impl Peer {
    pub async fn request(&mut self) -> Frame<Bytes> {
        self.0.next().await.expect("a request").expect("whole")
    }

    pub async fn reply(&mut self, tag: Option<u32>, message: impl Into<Bytes>) {
        let message = message.into();
        self.0
            .send(Frame { tag, message })
            .await
            .expect("the client reads");
    }

    /// Answers each request with itself, until the client goes.
    pub async fn echo(mut self) {
        while let Some(Ok(frame)) = self.0.next().await {
            if self.0.send(frame).await.is_err() {
                break;
            }
        }
    }
}

type Set = MuxBuilder<Bytes>;

/// A client and the other end of its line, whose bytes are the test's to make.
pub fn raw(settings: impl FnOnce(Set) -> Set) -> (Client, DuplexStream) {
    try_raw(settings).expect("good settings")
}

pub fn try_raw(settings: impl FnOnce(Set) -> Set) -> Result<(Client, DuplexStream), SettingsError> {
    let (near, far) = duplex(BUFFER);
    let (read, write) = split(near);
    let client = settings(MuxBuilder::new()).tagged(read, write, Codec)?;
    Ok((client, far))
}

/// What a line holds in each direction before its writer has to wait.
pub const BUFFER: usize = 64 << 10;

pub fn pair(settings: impl FnOnce(Set) -> Set) -> (Client, Peer) {
    let (client, far) = raw(settings);
    (client, Peer(Framed::new(far, Codec)))
}

/// A client whose replies come in order.
pub type Orderly = Mux<Bytes, BytesMut>;

/// The server's end of a line without tags.
pub type OrderlyPeer = Framed<DuplexStream, LengthDelimitedCodec>;

pub fn orderly(settings: impl FnOnce(Set) -> Set) -> (Orderly, OrderlyPeer) {
    let (near, far) = duplex(BUFFER);
    let (read, write) = split(near);
    let codec = LengthDelimitedCodec::new();
    let client = settings(MuxBuilder::new())
        .in_order(read, write, codec.clone())
        .expect("good settings");
    (client, Framed::new(far, codec))
}

/// How often others have their turn while a server thinks.
const THINKING: usize = 3;

/// Answers each request with itself, late, and the last of several first.
pub async fn think(mut peer: Peer) {
    while let Some(Ok(first)) = peer.0.next().await {
        let mut asked = vec![first];
        for _ in 0..THINKING {
            while let Some(Some(Ok(next))) = peer.0.next().now_or_never() {
                asked.push(next);
            }
            yield_now().await;
        }
        for reply in asked.into_iter().rev() {
            if peer.0.send(reply).await.is_err() {
                return;
            }
        }
    }
}

/// Answers each request with itself, late.
pub async fn think_in_order(mut peer: OrderlyPeer) {
    while let Some(Ok(request)) = peer.next().await {
        for _ in 0..THINKING {
            yield_now().await;
        }
        if peer.send(request.freeze()).await.is_err() {
            return;
        }
    }
}

/// Lets all tasks come to rest; for tests on paused time.
pub async fn rest() {
    sleep(Duration::from_millis(1)).await;
}

/// How many requests have no reply, how many of their callers have left, and how many wait for their turn.
pub fn load<Resp>(client: &Mux<Bytes, Resp>) -> (usize, usize, usize) {
    (client.in_flight(), client.abandoned(), client.queued())
}

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
