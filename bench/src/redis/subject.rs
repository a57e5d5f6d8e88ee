//! A client that many callers share, and the caller that checks what it is answered.

use std::net::SocketAddr;

use crate::callers::{CallError, Caller};
use crate::measure::{Failure, Outcome};

/// What everybody asks for, and gets.
pub const KEY: &str = "key";
pub const VALUE: [u8; 64] = [b'v'; 64];

/// Where the server is.
#[derive(Clone)]
pub struct Target {
    pub addr: SocketAddr,
    pub url: String,
}

/// A client with one connection; clones share it.
pub trait Subject: Clone + Send + Sync + 'static {
    const NAME: &'static str;

    fn open(target: &Target) -> impl Future<Output = Result<Self, CallError>> + Send;

    /// The value of [`KEY`].
    fn get(&mut self) -> impl Future<Output = Result<impl AsRef<[u8]>, CallError>> + Send;
}

#[derive(Clone)]
pub struct Answered<S> {
    subject: S,
}

impl<S: Subject> Answered<S> {
    pub async fn open(target: &Target) -> Outcome<Self> {
        let subject = S::open(target)
            .await
            .map_err(|error| Failure::new(format!("cannot open: {error}")))?;
        Ok(Self { subject })
    }
}

impl<S: Subject> Caller for Answered<S> {
    async fn call(&mut self, _: u64) -> Result<(), CallError> {
        if self.subject.get().await?.as_ref() != VALUE {
            return Err("the reply is not the key's value".into());
        }
        Ok(())
    }
}
