//! tokio-tower's multiplex client behind a tower `Buffer`, which is what makes it a client that callers can share.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::net::TcpStream;
use tokio_tower::multiplex::{Client, MultiplexTransport, TagStore};
use tokio_util::codec::Framed;
use tower::buffer::Buffer;
use tower::{Service, ServiceExt};

use super::frame::{Codec, Frame, Payload};
use super::subject::Subject;
use crate::callers::CallError;

pub type Transport = MultiplexTransport<Framed<TcpStream, Codec>, Tags>;

/// One connection, as a service of tower's.
pub type Connection = Client<Transport, tokio_tower::Error<Transport, Frame>, Frame>;

/// Requests that may wait for the connection.
const QUEUE: usize = 1_024;

#[derive(Clone)]
pub struct TokioTower {
    service: Buffer<Connection, Frame>,
}

/// The next tag; more calls than there are tags are never under way.
pub struct Tags(u32);

impl TagStore<Frame, Frame> for Tags {
    type Tag = u32;

    fn assign_tag(mut self: Pin<&mut Self>, request: &mut Frame) -> u32 {
        request.tag = self.0;
        self.0 = self.0.wrapping_add(1);
        request.tag
    }

    fn finish_tag(self: Pin<&mut Self>, response: &Frame) -> u32 {
        response.tag
    }
}

pub async fn connect(server: SocketAddr) -> io::Result<Connection> {
    let connection = TcpStream::connect(server).await?;
    connection.set_nodelay(true)?;
    let frames = Framed::new(connection, Codec);
    Ok(Client::new(MultiplexTransport::new(frames, Tags(0))))
}

/// Calls a service that assigns the tag itself.
pub async fn call<S>(service: &mut S, payload: Payload) -> Result<Payload, CallError>
where
    S: Service<Frame, Response = Frame, Error = CallError>,
{
    let request = Frame { tag: 0, payload };
    let response = service.ready().await?.call(request).await?;
    Ok(response.payload)
}

impl Subject for TokioTower {
    const NAME: &'static str = "tokio_tower";

    async fn open(server: SocketAddr) -> Result<Self, CallError> {
        let service = Buffer::new(connect(server).await?, QUEUE);
        Ok(Self { service })
    }

    async fn call(&mut self, payload: Payload) -> Result<Payload, CallError> {
        call(&mut self.service, payload).await
    }
}
