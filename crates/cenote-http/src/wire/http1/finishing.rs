//! What a user has left of an exchange, brought to its end so that the connection can be used again: in a task of its own, and
//! within limits.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cenote::time::timeout;
use http_body::Body;
use hyper::body::Incoming;

use super::connection::Shared;
use super::sending::Sending;
use crate::error::Error;
use crate::keep_alive::KeepAlive;

/// What is left of a reply is read for this long at most, so that its connection can be used again: a few round trips,
/// which is what a new connection would cost.
const FINISH_BODY_WITHIN: Duration = Duration::from_millis(100);

/// The same where the request was given up: the server may be still at work on it.
const FINISH_REPLY_WITHIN: Duration = Duration::from_secs(1);

/// As much is read of what is left of a reply: it takes about as long to arrive as a new connection takes to open.
pub(super) const FINISH_BYTES: u64 = 64 * 1024;

/// What is still to come of an exchange that nobody waits for.
pub(super) enum Left {
    /// The reply as a whole.
    Reply(Box<Sending>),
    /// The rest of its body.
    Body(Incoming),
    /// Nothing, but hyper's task has still to see that, or to send the rest of the request.
    Nothing,
}

/// Brings what was left to an end. Where that takes too long, or is too much, or fails, the connection is over.
pub(super) async fn finish(shared: Arc<Shared>, left: Left) {
    let limit = match left {
        Left::Reply(_) => FINISH_REPLY_WITHIN,
        Left::Body(_) | Left::Nothing => FINISH_BODY_WITHIN,
    };
    let finished = timeout(limit, finish_unbounded(&shared, left)).await;
    shared.finished(finished.unwrap_or(Err(Error::Unfinished)));
}

async fn finish_unbounded(shared: &Shared, left: Left) -> Result<(), Error> {
    let body = match left {
        Left::Reply(sending) => {
            let reply = sending.await.map_err(|_| Error::Unfinished)?;
            let (status, version) = (reply.status(), reply.version());
            let keep_alive = KeepAlive::of_reply(status, version, reply.headers());
            shared.state().note_reply(keep_alive);
            Some(reply.into_body())
        }
        Left::Body(body) => Some(body),
        Left::Nothing => None,
    };
    if shared.state().is_over() {
        return Err(Error::Unfinished);
    }
    if let Some(body) = body {
        read_to_end(body).await?;
    }
    let ready = poll_fn(|cx| shared.state().sender.poll_ready(cx));
    ready.await.map_err(|_| Error::Unfinished)
}

/// Reads what is left of a body, if it is not too long.
async fn read_to_end(mut body: Incoming) -> Result<(), Error> {
    let mut left = FINISH_BYTES;
    while !body.is_end_stream() {
        if body.size_hint().lower() > left {
            return Err(Error::Unfinished);
        }
        let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let read = match frame {
            None => break,
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) => return Err(Error::Unfinished),
        };
        left = left.checked_sub(read as u64).ok_or(Error::Unfinished)?;
    }
    Ok(())
}
