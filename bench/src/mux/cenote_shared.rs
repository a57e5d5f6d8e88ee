//! Cenote's shared pool of two connections, each with a mux on it; a lease for each call.

use std::io;
use std::net::SocketAddr;

use cenote::mux::{MuxConnect, Transport};
use cenote::{Dial, SharedPool};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::cenote_mux::MuxCodec;
use super::frame::Payload;
use super::subject::Subject;
use crate::callers::CallError;

/// As `noria_stack` has.
const CONNECTIONS: usize = 2;

#[derive(Clone)]
pub struct CenoteShared(SharedPool<MuxConnect<Server, Payload, Payload>>);

struct Server(SocketAddr);

impl Transport for Server {
    type Read = OwnedReadHalf;
    type Write = OwnedWriteHalf;
    type Error = io::Error;

    async fn open(&self, _: &Dial) -> io::Result<(OwnedReadHalf, OwnedWriteHalf)> {
        let connection = TcpStream::connect(self.0).await?;
        connection.set_nodelay(true)?;
        Ok(connection.into_split())
    }
}

impl Subject for CenoteShared {
    const NAME: &'static str = "cenote_shared";

    async fn open(server: SocketAddr) -> Result<Self, CallError> {
        let pool = SharedPool::builder(MuxConnect::tagged(Server(server), MuxCodec))
            .min_size(CONNECTIONS)
            .max_size(CONNECTIONS)
            .build()?;
        Ok(Self(pool))
    }

    async fn call(&mut self, payload: Payload) -> Result<Payload, CallError> {
        let lease = self.0.get().await?;
        Ok(lease.call(payload).await?)
    }
}
