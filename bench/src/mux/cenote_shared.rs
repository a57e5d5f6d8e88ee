//! Cenote's shared pool of two connections, each with a mux on it; a lease for each call.

use std::io;
use std::net::SocketAddr;

use cenote::mux::Mux;
use cenote::{Connect, Dial, Multiplex, SharedPool, Verdict};

use super::cenote_mux;
use super::frame::Payload;
use super::subject::Subject;
use crate::callers::CallError;

/// As `noria_stack` has.
const CONNECTIONS: usize = 2;

#[derive(Clone)]
pub struct CenoteShared(SharedPool<Dialler>);

struct Dialler(SocketAddr);

impl Connect for Dialler {
    type Connection = Mux<Payload, Payload>;
    type Error = io::Error;

    async fn connect(&self, _: &Dial) -> io::Result<Mux<Payload, Payload>> {
        cenote_mux::connect(self.0).await
    }

    fn is_open(&self, mux: &Mux<Payload, Payload>) -> bool {
        mux.is_open()
    }

    fn verdict(&self, _: &mut Mux<Payload, Payload>) -> Verdict {
        Verdict::Reuse
    }
}

impl Multiplex for Dialler {
    fn capacity(&self, mux: &Mux<Payload, Payload>) -> usize {
        mux.max_in_flight() - mux.abandoned()
    }
}

impl Subject for CenoteShared {
    const NAME: &'static str = "cenote_shared";

    async fn open(server: SocketAddr) -> Result<Self, CallError> {
        let pool = SharedPool::builder(Dialler(server))
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
