//! A client that many callers share, and the caller that checks what it is answered.

use bytes::Bytes;
use http::{Response, Version};
use http_body::Body;

use super::reply;
use super::target::Target;
use crate::callers::{CallError, Caller};
use crate::measure::{Failure, Outcome};

/// A client; clones share its connections, unless it says otherwise.
pub trait Subject: Clone + Send + Sync + 'static {
    const NAME: &'static str;

    fn open(target: &Target) -> impl Future<Output = Result<Self, CallError>> + Send;

    /// The reply to a GET of the target's URI; its body may be still to come.
    fn get(&mut self) -> impl Future<Output = Result<Response<impl ReplyBody>, CallError>> + Send;
}

pub trait ReplyBody: Body<Data = Bytes, Error: Into<CallError>> + Send + Unpin {}

impl<B: Body<Data = Bytes, Error: Into<CallError>> + Send + Unpin> ReplyBody for B {}

#[derive(Clone)]
pub struct Asked<S> {
    subject: S,
    version: Option<Version>,
}

impl<S: Subject> Asked<S> {
    pub async fn open(target: Target) -> Outcome<Self> {
        let subject = S::open(&target)
            .await
            .map_err(|error| Failure::new(format!("cannot open: {error}")))?;
        Ok(Self {
            subject,
            version: target.protocol.version(),
        })
    }
}

impl<S: Subject> Caller for Asked<S> {
    async fn call(&mut self, _: u64) -> Result<(), CallError> {
        let response = self.subject.get().await?;
        if let Some(expected) = self.version
            && response.version() != expected
        {
            let version = response.version();
            return Err(format!("the reply is {version:?}, not {expected:?}").into());
        }
        reply::read(response.into_body()).await
    }
}
