//! A client that many callers share, and the caller that checks what it is answered.

use std::net::SocketAddr;

use super::frame::Payload;
use crate::callers::{CallError, Caller};
use crate::measure::{Failure, Outcome};

/// A client of the echo server; clones share its connections.
pub trait Subject: Clone + Send + Sync + 'static {
    const NAME: &'static str;

    fn open(server: SocketAddr) -> impl Future<Output = Result<Self, CallError>> + Send;

    /// Sends the payload under a tag of the client's choice and returns the reply's.
    fn call(&mut self, payload: Payload)
    -> impl Future<Output = Result<Payload, CallError>> + Send;
}

/// A caller: no two payloads are alike, and each must come back to whoever sent it.
#[derive(Clone)]
pub struct Echoed<S> {
    subject: S,
}

impl<S: Subject> Echoed<S> {
    pub async fn open(server: SocketAddr) -> Outcome<Self> {
        let subject = S::open(server)
            .await
            .map_err(|error| Failure::new(format!("cannot open: {error}")))?;
        Ok(Self { subject })
    }
}

impl<S: Subject> Caller for Echoed<S> {
    async fn call(&mut self, number: u64) -> Result<(), CallError> {
        let mut payload: Payload = [0x5a; _];
        payload[..8].copy_from_slice(&number.to_be_bytes());
        let reply = self.subject.call(payload).await?;
        if reply != payload {
            return Err("the reply belongs to another call".into());
        }
        Ok(())
    }
}
