//! A codec with length, tag and message, and a peer whose other end a test holds.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use cenote::SettingsError;
use cenote::mux::{Frame, Mux, MuxBuilder};
use futures::{SinkExt, StreamExt};
use tokio::io::{DuplexStream, duplex, split};
use tokio_util::codec::{Decoder, Encoder, Framed};

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
        if length == 0xdead {
            return Err(io::Error::other("a length nobody has"));
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

pub fn try_pair(
    settings: impl FnOnce(MuxBuilder<Bytes>) -> MuxBuilder<Bytes>,
) -> Result<(Client, Peer), SettingsError> {
    let (near, far) = duplex(64 << 10);
    let (read, write) = split(near);
    let client = settings(MuxBuilder::new()).tagged(read, write, Codec)?;
    Ok((client, Peer(Framed::new(far, Codec))))
}

pub fn pair(settings: impl FnOnce(MuxBuilder<Bytes>) -> MuxBuilder<Bytes>) -> (Client, Peer) {
    try_pair(settings).expect("good settings")
}
