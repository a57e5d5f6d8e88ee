//! Bodies: those of replies, which hold their connection until they end, and those that are there as a whole.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use cenote::error::{BoxError, with_causes};
use cenote::time::{Instant, Sleep, sleep_until};
use http_body::{Body as _, Frame, SizeHint};

use crate::error::{Error, Stage};
use crate::exclusive::Exclusive;
use crate::leased::{Hold, Leased};
use crate::upgraded::Upgraded;
use crate::wire::{Incoming, OnUpgrade, Outgoing};

/// The body of a reply, read frame by frame; or one that is there as a whole, for a request.
///
/// That of a reply has its place on a connection until it ends, by itself or because it is dropped. Over HTTP/1.1 that is the
/// whole connection: dropped early, what is left of the body is read in the background, 64 KiB and 100 ms at most, so that the
/// connection can be used again; where there is more, the connection is closed. Over HTTP/2 the server is told that nobody
/// wants the rest, and what of the request's own body was not sent yet is not sent.
///
/// An error ends it, and its connection where that speaks HTTP/1.1.
#[derive(Default)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Ended,
    Whole(Bytes),
    Arriving(Arriving),
    Switching(Box<Switching>),
}

/// No body: the connection goes on in another protocol.
struct Switching {
    switch: OnUpgrade,
    lease: Leased,
}

/// A body that is still on its connection.
struct Arriving {
    incoming: Incoming,
    hold: Hold,
    deadline: Option<Box<Deadline>>,
}

struct Deadline {
    sleep: Exclusive<Pin<Box<Sleep>>>,
    limit: Duration,
}

impl Body {
    /// A body of no bytes.
    pub fn empty() -> Self {
        Self::default()
    }

    pub(crate) fn incoming(incoming: Incoming, hold: Hold) -> Self {
        if incoming.is_end_stream() {
            return Self::empty();
        }
        Self(Kind::Arriving(Arriving {
            incoming,
            hold,
            deadline: None,
        }))
    }

    pub(crate) fn switching(switch: OnUpgrade, lease: Leased) -> Self {
        Self(Kind::Switching(Box::new(Switching { switch, lease })))
    }

    /// The connection, after a reply of status 101 to a request that asked for it by `Connection: upgrade` and `Upgrade`:
    /// from now on it speaks the other protocol. It counts against the client's bounds until it is dropped, and is closed
    /// then.
    ///
    /// ```no_run
    /// # async fn f(http: cenote_http::Client) -> Result<(), cenote_http::Error> {
    /// let request = http
    ///     .get("http://example.org/chat")
    ///     .header("connection", "upgrade")
    ///     .header("upgrade", "websocket");
    /// let socket = request.send().await?.into_body().upgrade().await?;
    /// # let _ = socket; // AsyncRead and AsyncWrite
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotUpgraded`]: the reply was another; [`Error::Upgrade`]: the connection ended meanwhile.
    pub async fn upgrade(mut self) -> Result<Upgraded, Error> {
        let Kind::Switching(switching) = std::mem::take(&mut self.0) else {
            return Err(Error::NotUpgraded);
        };
        let Switching { switch, lease } = *switching;
        match switch.await {
            Ok(switched) => Ok(Upgraded::new(switched, lease)),
            Err(error) => Err(Error::upgrade(lease.route(), with_causes(&error))),
        }
    }

    /// Fails it if it has not ended by then, `limit` after the request began.
    pub(crate) fn end_by(&mut self, at: Instant, limit: Duration) {
        if let Kind::Arriving(arriving) = &mut self.0 {
            arriving.deadline = Some(Box::new(Deadline {
                sleep: Exclusive::new(Box::pin(sleep_until(at))),
                limit,
            }));
        }
    }

    /// What is left of it as one piece, however long it is.
    ///
    /// # Errors
    /// As the body's frames.
    pub async fn bytes(mut self) -> Result<Bytes, Error> {
        let mut first = Bytes::new();
        let mut all = Vec::new();
        while let Some(frame) = self.frame().await {
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            // Most bodies are one frame, which need not be copied.
            match first.is_empty() && all.is_empty() {
                true => first = data,
                false => {
                    if all.is_empty() {
                        all.extend_from_slice(&std::mem::take(&mut first));
                    }
                    all.extend_from_slice(&data);
                }
            }
        }
        Ok(if all.is_empty() { first } else { all.into() })
    }

    /// The next piece of it, `None` at its end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Exchange`]: the connection ended, or what came is not HTTP; [`Error::TimedOut`]: the request's time is up.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            match self.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn end(&mut self, end: End) {
        match std::mem::take(&mut self.0) {
            Kind::Arriving(arriving) => arriving.end(end),
            Kind::Switching(switching) => switching.lease.broke_off(),
            Kind::Ended | Kind::Whole(_) => {}
        }
    }

    async fn frame(&mut self) -> Option<Result<Frame<Bytes>, Error>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await
    }

    /// Any body as that of a request. Of ours, one that is there as a whole stays so: it can be sent again.
    pub(crate) fn outgoing_of<B>(body: B) -> Outgoing
    where
        B: http_body::Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        let mut body = Some(body);
        let ours = (&mut body as &mut dyn Any).downcast_mut::<Option<Self>>();
        match (ours.and_then(Option::take), body) {
            (Some(ours), _) => ours.outgoing(),
            (None, Some(body)) => Outgoing::new(body),
            (None, None) => Outgoing::Empty,
        }
    }

    /// As the body of a request.
    pub(crate) fn outgoing(self) -> Outgoing {
        match &self.0 {
            Kind::Whole(bytes) => Outgoing::whole(bytes.clone()),
            Kind::Ended | Kind::Switching(_) => Outgoing::Empty,
            Kind::Arriving(_) => Outgoing::new(self),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.end(End::Left);
    }
}

/// How a body ended.
enum End {
    Whole,
    /// By an error of its connection.
    Broken,
    /// Its user has left.
    Left,
}

impl Arriving {
    fn end(self, end: End) {
        let Self { incoming, hold, .. } = self;
        match end {
            End::Whole => {}
            End::Broken => hold.broke_off(),
            End::Left => hold.leave(incoming),
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        let Self { hold, deadline, .. } = self;
        match polled {
            Poll::Ready(frame) => {
                let failed = |error| Error::exchange(hold.route(), Stage::Body, error);
                Poll::Ready(frame.map(|frame| frame.map_err(failed)))
            }
            Poll::Pending => {
                let Some(Deadline { sleep, limit }) = deadline.as_deref_mut() else {
                    return Poll::Pending;
                };
                ready!(sleep.get_mut().as_mut().poll(cx));
                Poll::Ready(Some(Err(Error::TimedOut {
                    route: Box::new(hold.route().clone()),
                    stage: Stage::Body,
                    limit: *limit,
                })))
            }
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let arriving = match &mut self.0 {
            Kind::Arriving(arriving) => arriving,
            Kind::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Kind::Ended;
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            Kind::Ended | Kind::Switching(_) => return Poll::Ready(None),
        };
        let frame = ready!(arriving.poll_frame(cx));
        let end = match &frame {
            None => Some(End::Whole),
            Some(Ok(_)) => arriving.incoming.is_end_stream().then_some(End::Whole),
            Some(Err(Error::TimedOut { .. })) => Some(End::Left),
            Some(Err(_)) => Some(End::Broken),
        };
        if let Some(end) = end {
            self.end(end);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Ended | Kind::Switching(_) => true,
            Kind::Whole(_) => false,
            Kind::Arriving(arriving) => arriving.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Ended | Kind::Switching(_) => SizeHint::with_exact(0),
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Arriving(arriving) => arriving.incoming.size_hint(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        match bytes.is_empty() {
            true => Self::empty(),
            false => Self(Kind::Whole(bytes)),
        }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        text.as_bytes().into()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("size", &self.size_hint())
            .finish_non_exhaustive()
    }
}
