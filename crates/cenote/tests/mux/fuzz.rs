//! What a peer may send, at random: valid replies, mutated ones, replies to requests of before, noise, in
//! pieces of any size. A naive reading of the same bytes says who must get what, and why it ends.
//!
//! The cases are the same in every run. `PROPTEST_CASES=100000` runs more, `PROPTEST_RNG_SEED=random` others.

use std::collections::{HashMap, VecDeque};
use std::marker::PhantomData;
use std::time::Duration;
use std::{fmt, io};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use cenote::mux::{Call, CallError, Disconnected, Frame, Mux, MuxBuilder, Tag};
use futures::future::join_all;
use futures::poll;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::task::yield_now;
use tokio_util::codec::{Decoder, Encoder};

use crate::peer::load;

/// How a message is tied to its request on the wire.
trait Label: Copy + fmt::Debug + PartialEq + Send + 'static {
    fn put(self, buffer: &mut BytesMut);
    fn get(input: &mut BytesMut) -> Self;
    /// The codec on this line.
    fn client(settings: MuxBuilder<Bytes>, near: DuplexStream) -> Client;
    fn value(self) -> Option<u64>;
}

type Client = Mux<Bytes, Bytes>;

macro_rules! tags {
    ($($tag:ty: $get:ident, $put:ident;)*) => {$(
        impl Label for $tag {
            fn put(self, buffer: &mut BytesMut) {
                buffer.$put(self);
            }

            fn get(input: &mut BytesMut) -> Self {
                input.$get()
            }

            fn client(settings: MuxBuilder<Bytes>, near: DuplexStream) -> Client {
                let (read, write) = split(near);
                let codec = Short::<Self>(PhantomData);
                settings.tagged(read, write, codec).unwrap()
            }

            fn value(self) -> Option<u64> {
                Some(Tag::raw(self))
            }
        }
    )*};
}

tags! {
    u8: get_u8, put_u8;
    u16: get_u16, put_u16;
    u32: get_u32, put_u32;
    u64: get_u64, put_u64;
}

/// Replies in order have none.
impl Label for () {
    fn put(self, _: &mut BytesMut) {}

    fn get(_: &mut BytesMut) {}

    fn client(settings: MuxBuilder<Bytes>, near: DuplexStream) -> Client {
        let (read, write) = split(near);
        settings.in_order(read, write, Tagless).unwrap()
    }

    fn value(self) -> Option<u64> {
        None
    }
}

/// A length of one byte, the tag, the message.
#[derive(Clone)]
struct Short<T>(PhantomData<T>);

/// A length of one byte and the message.
#[derive(Clone)]
struct Tagless;

/// A length that is refused.
const MALFORMED: u8 = 0xee;

fn encode<T: Label>(tag: T, message: &[u8], buffer: &mut BytesMut) {
    buffer.put_u8(message.len() as u8);
    tag.put(buffer);
    buffer.put(message);
}

fn decode<T: Label>(input: &mut BytesMut) -> io::Result<Option<(T, Bytes)>> {
    match input.first() {
        Some(&MALFORMED) => Err(io::Error::other("malformed")),
        Some(&length) if input.len() > size_of::<T>() + usize::from(length) => {
            input.advance(1);
            let tag = T::get(input);
            Ok(Some((tag, input.split_to(length.into()).freeze())))
        }
        _ => Ok(None),
    }
}

impl<T: Label + Tag> Encoder<Frame<Bytes, T>> for Short<T> {
    type Error = io::Error;

    fn encode(&mut self, frame: Frame<Bytes, T>, buffer: &mut BytesMut) -> io::Result<()> {
        encode(frame.tag.unwrap(), &frame.message, buffer);
        Ok(())
    }
}

impl<T: Label + Tag> Decoder for Short<T> {
    type Item = Frame<Bytes, T>;
    type Error = io::Error;

    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        let frame = decode(input)?;
        Ok(frame.map(|(tag, message)| Frame {
            tag: Some(tag),
            message,
        }))
    }
}

impl Encoder<Bytes> for Tagless {
    type Error = io::Error;

    fn encode(&mut self, message: Bytes, buffer: &mut BytesMut) -> io::Result<()> {
        encode((), &message, buffer);
        Ok(())
    }
}

impl Decoder for Tagless {
    type Item = Bytes;
    type Error = io::Error;

    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<Bytes>> {
        Ok(decode::<()>(input)?.map(|(_, message)| message))
    }
}

#[derive(Clone, Debug)]
enum Piece {
    /// To the nth request, counted round.
    Reply(usize),
    /// With one byte of it changed.
    Mutated {
        to: usize,
        at: usize,
        by: u8,
    },
    /// To a request that was answered before all this.
    Stale(usize),
    Cut {
        to: usize,
        keep: usize,
    },
    Noise(Vec<u8>),
}

#[derive(Clone, Debug)]
struct Script {
    /// Calls answered before all this.
    before: usize,
    /// Whether each of the calls stays until the end.
    stays: Vec<bool>,
    pieces: Vec<Piece>,
    /// The lengths of the peer's writes, one after the other, and from the first again.
    writes: Vec<usize>,
}

fn scripts() -> impl Strategy<Value = Script> {
    let piece = prop_oneof![
        12 => (0..16usize).prop_map(Piece::Reply),
        2 => (0..16usize, 0..16usize, 1..=255u8).prop_map(|(to, at, by)| Piece::Mutated { to, at, by }),
        1 => (0..40usize).prop_map(Piece::Stale),
        1 => (0..16usize, 0..16usize).prop_map(|(to, keep)| Piece::Cut { to, keep }),
        1 => vec(any::<u8>(), 1..20).prop_map(Piece::Noise),
    ];
    let stays = vec(prop::bool::weighted(0.8), 1..12);
    let parts = (0..40usize, stays, vec(piece, 0..24), vec(1..24usize, 1..4));
    parts.prop_map(|(before, stays, pieces, writes)| Script {
        before,
        stays,
        pieces,
        writes,
    })
}

fn message(call: usize) -> Bytes {
    Bytes::from(format!("call {call}"))
}

/// The peer's end.
struct Far<T> {
    line: DuplexStream,
    input: BytesMut,
    tags: PhantomData<T>,
}

impl<T: Label> Far<T> {
    async fn request(&mut self) -> (T, Bytes) {
        loop {
            if let Some(request) = decode(&mut self.input).unwrap() {
                return request;
            }
            self.line.read_buf(&mut self.input).await.unwrap();
        }
    }

    /// In pieces of these lengths, as far as the client takes them.
    async fn write(&mut self, mut bytes: &[u8], lengths: &[usize]) {
        for &length in lengths.iter().cycle() {
            let (now, later) = bytes.split_at(length.min(bytes.len()));
            if now.is_empty() || self.line.write_all(now).await.is_err() {
                return;
            }
            yield_now().await;
            bytes = later;
        }
    }
}

/// What the peer says.
fn stream<T: Label>(pieces: &[Piece], stale: &[T], pending: &[(T, Bytes)]) -> BytesMut {
    let mut bytes = BytesMut::new();
    let reply = |to: usize| {
        let mut frame = BytesMut::new();
        let (tag, message) = &pending[to % pending.len()];
        encode(*tag, message, &mut frame);
        frame
    };
    for piece in pieces {
        match piece {
            Piece::Reply(to) => bytes.put(reply(*to)),
            Piece::Mutated { to, at, by } => {
                let mut frame = reply(*to);
                let at = at % frame.len();
                frame[at] ^= by;
                bytes.put(frame);
            }
            Piece::Stale(to) => {
                if let Some(tag) = stale.get(*to) {
                    encode(*tag, b"stale", &mut bytes);
                }
            }
            Piece::Cut { to, keep } => {
                let frame = reply(*to);
                bytes.put(&frame[..keep % frame.len()]);
            }
            Piece::Noise(noise) => bytes.put(&noise[..]),
        }
    }
    bytes
}

#[derive(Debug, PartialEq)]
enum End {
    PeerClosed,
    CutShort,
    Malformed,
    UnknownTag(u64),
    NoRequest,
}

/// What each request is answered, and how it ends, by a reading without cells or uses.
fn reading<T: Label>(mut bytes: BytesMut, pending: &[(T, Bytes)]) -> (Vec<Option<Bytes>>, End) {
    let mut answers = vec![None; pending.len()];
    let mut in_order: VecDeque<_> = (0..pending.len()).collect();
    let mut by_tag: HashMap<_, _> = (0..)
        .zip(pending)
        .map(|(n, (tag, _))| (tag.value(), n))
        .collect();
    let end = loop {
        match decode::<T>(&mut bytes) {
            Err(_) => break End::Malformed,
            Ok(None) if bytes.is_empty() => break End::PeerClosed,
            Ok(None) => break End::CutShort,
            Ok(Some((tag, message))) => {
                let (call, unknown) = match tag.value() {
                    Some(tag) => (by_tag.remove(&Some(tag)), End::UnknownTag(tag)),
                    None => (in_order.pop_front(), End::NoRequest),
                };
                match call {
                    Some(call) => answers[call] = Some(message),
                    None => break unknown,
                }
            }
        }
    };
    (answers, end)
}

fn end(lost: &Disconnected) -> End {
    match lost {
        Disconnected::PeerClosed => End::PeerClosed,
        Disconnected::CutShort => End::CutShort,
        Disconnected::Malformed(_) => End::Malformed,
        Disconnected::UnknownTag { tag, .. } => End::UnknownTag(*tag),
        Disconnected::NoRequest => End::NoRequest,
        other => panic!("{other}"),
    }
}

async fn play<T: Label>(script: Script) {
    let (near, line) = duplex(1 << 16);
    let calls = script.stays.len();
    let settings = MuxBuilder::new()
        .max_in_flight(calls)
        .max_abandoned(usize::MAX);
    let client = T::client(settings, near);
    let mut far = Far::<T> {
        line,
        input: BytesMut::new(),
        tags: PhantomData,
    };
    let mut stale = Vec::new();
    for n in 0..script.before {
        let answer = async {
            let (tag, message) = far.request().await;
            let mut frame = BytesMut::new();
            encode(tag, &message, &mut frame);
            far.write(&frame, &[frame.len()]).await;
            tag
        };
        let (reply, tag) = tokio::join!(client.call(message(n)), answer);
        assert_eq!(reply.unwrap(), message(n));
        stale.push(tag);
    }
    let mut staying: Vec<Option<Call<'_, _, _>>> = Vec::new();
    for (n, stays) in script.stays.iter().enumerate() {
        let mut call = client.call(message(n));
        assert!(poll!(&mut call).is_pending());
        staying.push(stays.then_some(call));
    }
    let mut pending = Vec::new();
    for _ in 0..calls {
        pending.push(far.request().await);
    }
    let bytes = stream(&script.pieces, &stale, &pending);
    let (answers, expected) = reading(bytes.clone(), &pending);
    let peer = async {
        far.write(&bytes, &script.writes).await;
        drop(far);
    };
    let (replies, ()) = tokio::join!(join_all(staying.iter_mut().flatten()), peer);
    let stayed = (0..calls).filter(|&call| script.stays[call]);
    for (reply, call) in replies.into_iter().zip(stayed) {
        match (reply, &answers[call]) {
            (Ok(reply), Some(answer)) => assert_eq!(reply, answer, "call {call}"),
            (Err(CallError::Disconnected { cause, .. }), None) => assert_eq!(end(&cause), expected),
            (reply, answer) => panic!("call {call}: {reply:?} and not {answer:?}"),
        }
    }
    assert_eq!(end(&client.closed().await), expected);
    drop(staying);
    let left = answers
        .iter()
        .zip(&script.stays)
        .filter(|(answer, stays)| answer.is_none() && !**stays);
    assert_eq!(load(&client), (left.clone().count(), left.count(), 0));
}

fn explore<T: Label>() {
    let mut config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(122);
    }
    let played = TestRunner::new(config).run(&scripts(), |script| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(play::<T>(script));
        Ok(())
    });
    if let Err(breach) = played {
        panic!("{breach}");
    }
}

/// A ping has a tag of its own.
#[tokio::test]
async fn no_more_may_be_pending_than_there_are_tags() {
    for (cap, is_pinged, works) in [
        (256, false, true),
        (257, false, false),
        (255, true, true),
        (256, true, false),
    ] {
        let mut settings = MuxBuilder::new().max_in_flight(cap);
        if is_pinged {
            settings = settings.ping(Duration::from_secs(1), Bytes::new);
        }
        let (read, write) = split(duplex(64).0);
        let client = settings.tagged(read, write, Short::<u8>(PhantomData));
        assert_eq!(client.is_ok(), works, "{cap}, {is_pinged}");
    }
}

#[test]
fn tags_of_8_bits_reach_their_own_whatever_the_peer_sends() {
    explore::<u8>();
}

#[test]
fn tags_of_16_bits_reach_their_own_whatever_the_peer_sends() {
    explore::<u16>();
}

#[test]
fn tags_of_32_bits_reach_their_own_whatever_the_peer_sends() {
    explore::<u32>();
}

#[test]
fn tags_of_64_bits_reach_their_own_whatever_the_peer_sends() {
    explore::<u64>();
}

#[test]
fn replies_in_order_reach_their_own_whatever_the_peer_sends() {
    explore::<()>();
}
