//! The echo protocol with many requests under way on one connection: all are of one size, and the answers come
//! in the order of the requests.

use std::io;

use bytes::{Bytes, BytesMut};
use cenote::mux::{Mux, MuxBuilder};
use cenote::{Connect, ConnectionInfo, Dial, Multiplex, Verdict};
use tokio_util::codec::{Decoder, Encoder};

use super::echo::EchoConnector;

/// Opens connections to an echo server that many users share.
pub struct PipelinedEcho {
    connector: EchoConnector,
    request_size: usize,
    max_in_flight: usize,
}

impl PipelinedEcho {
    pub fn new(connector: EchoConnector, request_size: usize, max_in_flight: usize) -> Self {
        Self {
            connector,
            request_size,
            max_in_flight,
        }
    }
}

impl Connect for PipelinedEcho {
    type Connection = Mux<Bytes, Bytes>;
    type Error = io::Error;

    async fn connect(&self, dial: &Dial) -> io::Result<Mux<Bytes, Bytes>> {
        let (read, write) = tokio::io::split(self.connector.open(dial).await?);
        let codec = FixedSize(self.request_size);
        MuxBuilder::new()
            .max_in_flight(self.max_in_flight)
            // In the other modes no request has a time-out either.
            .call_timeout(None)
            .in_order(read, write, codec)
            .map_err(io::Error::other)
    }

    fn is_open(&self, connection: &Mux<Bytes, Bytes>) -> bool {
        connection.is_open()
    }

    fn verdict(&self, _: &mut Mux<Bytes, Bytes>) -> Verdict {
        Verdict::Reuse
    }

    async fn close(&self, connection: Mux<Bytes, Bytes>, _: &ConnectionInfo) {
        connection.close().await;
    }
}

impl Multiplex for PipelinedEcho {
    fn capacity(&self, connection: &Mux<Bytes, Bytes>) -> usize {
        connection.max_in_flight()
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
