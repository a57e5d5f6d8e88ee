//! The stack of Noria's client: a `Buffer`, a limit on calls under way, and a choice between two connections by load.

use std::net::SocketAddr;

use tower::balance::p2c::Balance;
use tower::buffer::Buffer;
use tower::discover::ServiceList;
use tower::limit::ConcurrencyLimit;

use super::frame::{Frame, Payload};
use super::subject::Subject;
use super::tokio_tower::{Connection, call, connect};
use crate::callers::CallError;

/// As in Noria: requests that may wait for a connection, and calls that may be under way on all of them.
const QUEUE: usize = 1_024;
const UNDER_WAY: usize = 8_192;

/// Chosen by the number of calls under way, which the connection reports.
type Balanced = Balance<ServiceList<Vec<Connection>>, Frame>;

#[derive(Clone)]
pub struct NoriaStack {
    service: Buffer<ConcurrencyLimit<Balanced>, Frame>,
}

impl Subject for NoriaStack {
    const NAME: &'static str = "noria_stack";

    async fn open(server: SocketAddr) -> Result<Self, CallError> {
        let connections = vec![connect(server).await?, connect(server).await?];
        let balanced = Balance::new(ServiceList::new(connections));
        let limited = ConcurrencyLimit::new(balanced, UNDER_WAY);
        Ok(Self {
            service: Buffer::new(limited, QUEUE),
        })
    }

    async fn call(&mut self, payload: Payload) -> Result<Payload, CallError> {
        call(&mut self.service, payload).await
    }
}
