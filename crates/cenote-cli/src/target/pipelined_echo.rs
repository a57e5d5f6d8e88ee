//! The echo protocol with many requests under way on one connection: all are of one size, and the answers come
//! in the order of the requests.

use std::io;

use bytes::{Bytes, BytesMut};
use cenote::mux::{MuxBuilder, MuxConnect, Transport};
use cenote::{Connect, Dial};
use tokio::io::{ReadHalf, WriteHalf, split};
use tokio_util::codec::{Decoder, Encoder};

use super::echo::{EchoConnector, Stream};

/// Opens connections to an echo server that many users share.
pub type PipelinedEcho = MuxConnect<EchoConnector, Bytes, Bytes>;

/// A connector for requests of this size, so many of which may be under way on a connection.
pub fn pipelined(
    connector: EchoConnector,
    request_size: usize,
    max_in_flight: usize,
) -> PipelinedEcho {
    let settings = MuxBuilder::new()
        .max_in_flight(max_in_flight)
        // In the other modes no request has a time-out either.
        .call_timeout(None);
    MuxConnect::in_order(connector, FixedSize(request_size)).settings(settings)
}

impl Transport for EchoConnector {
    type Read = ReadHalf<Box<dyn Stream>>;
    type Write = WriteHalf<Box<dyn Stream>>;
    type Error = io::Error;

    async fn open(&self, dial: &Dial) -> io::Result<(Self::Read, Self::Write)> {
        Ok(split(self.stream(dial).await?))
    }

    fn endpoint(&self) -> Option<String> {
        Connect::endpoint(self)
    }
}

/// Messages of so many bytes, one after the other.
#[derive(Clone, Copy)]
struct FixedSize(usize);

impl Encoder<Bytes> for FixedSize {
    type Error = io::Error;

    fn encode(&mut self, message: Bytes, buffer: &mut BytesMut) -> io::Result<()> {
        buffer.extend_from_slice(&message);
        Ok(())
    }
}

impl Decoder for FixedSize {
    type Item = Bytes;
    type Error = io::Error;

    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<Bytes>> {
        let Self(size) = *self;
        Ok((input.len() >= size).then(|| input.split_to(size).freeze()))
    }
}
