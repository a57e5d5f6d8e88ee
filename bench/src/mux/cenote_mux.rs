//! Cenote's mux: its default settings, time-outs included.

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use cenote::mux::{self, Mux, MuxBuilder};
use tokio::net::TcpStream;
use tokio_util::codec::{Decoder, Encoder};

use super::frame::{FRAME, Frame, Payload};
use super::subject::Subject;
use crate::callers::CallError;

#[derive(Clone)]
pub struct CenoteMux(Mux<Payload, Payload>);

/// The frames of this bench, as the mux hands them over.
#[derive(Clone)]
pub struct MuxCodec;

impl Encoder<mux::Frame<Payload>> for MuxCodec {
    type Error = io::Error;

    fn encode(&mut self, frame: mux::Frame<Payload>, out: &mut BytesMut) -> io::Result<()> {
        let tag = frame
            .tag
            .ok_or_else(|| io::Error::other("every request of this protocol has a tag"))?;
        let payload = frame.message;
        out.reserve(FRAME);
        Frame { tag, payload }.put(out);
        Ok(())
    }
}

impl Decoder for MuxCodec {
    type Item = mux::Frame<Payload>;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        let frame = Frame::take(bytes)?;
        Ok(frame.map(|Frame { tag, payload }| mux::Frame {
            tag: Some(tag),
            message: payload,
        }))
    }
}

/// A connection to the server with a mux on it.
pub async fn connect(server: SocketAddr) -> io::Result<Mux<Payload, Payload>> {
    let connection = TcpStream::connect(server).await?;
    connection.set_nodelay(true)?;
    let (read, write) = connection.into_split();
    MuxBuilder::new()
        .tagged(read, write, MuxCodec)
        .map_err(io::Error::other)
}

impl Subject for CenoteMux {
    const NAME: &'static str = "cenote_mux";

    async fn open(server: SocketAddr) -> Result<Self, CallError> {
        Ok(Self(connect(server).await?))
    }

    async fn call(&mut self, payload: Payload) -> Result<Payload, CallError> {
        Ok(self.0.call(payload).await?)
    }
}
