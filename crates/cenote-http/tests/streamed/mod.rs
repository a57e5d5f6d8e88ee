//! The body of a request that a test makes while it is sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

type Part = io::Result<Frame<Bytes>>;

/// Ends when its [`Feed`] is dropped.
pub struct Streamed(UnboundedReceiver<Part>);

#[allow(dead_code, reason = "not every test feeds it everything")]
pub struct Feed(UnboundedSender<Part>);

impl Streamed {
    pub fn new() -> (Feed, Self) {
        let (feed, parts) = unbounded_channel();
        (Feed(feed), Self(parts))
    }
}

#[allow(dead_code, reason = "not every test feeds it everything")]
impl Feed {
    pub fn data(&self, data: impl Into<Bytes>) {
        let _ = self.0.send(Ok(Frame::data(data.into())));
    }

    pub fn trailers(&self, trailers: HeaderMap) {
        let _ = self.0.send(Ok(Frame::trailers(trailers)));
    }

    pub fn fail(&self, error: io::Error) {
        let _ = self.0.send(Err(error));
    }

    /// Whether nobody will send it.
    pub fn is_dropped(&self) -> bool {
        self.0.is_closed()
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(cx)
    }
}
