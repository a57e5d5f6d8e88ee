//! The bytes of one connection: what is still to be written, what was read, where replies end.
//!
//! Both buffers belong to the connection and not to the futures that fill them, so that dropping a
//! future loses no byte and leaves an exact account of what is unsent and unread.
//!
//! Reading never stops because writing is blocked: a peer that waits for us to read its replies
//! before it reads more commands gets what it waits for (redis-rs #1955).

use std::future::Future;
use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use cenote::time::timeout;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::cmd::Cmd;
use crate::codec::Decoder;
use crate::error::{FrameError, RedisError, Silence};
use crate::stream::Stream;
use crate::value::Value;

/// Space asked for when there is little left to read into.
const READ_SIZE: usize = 8 * 1024;
/// A write buffer that grew beyond this is given back once it is sent.
const KEPT_WRITE_BUFFER: usize = 64 * 1024;

/// How long a server may take to end a connection. It takes less than a millisecond, unless it is stopped or gone: then nobody
/// is to wait for it.
const ENDS_WITHIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    unsent: BytesMut,
    /// Written to the stream, but perhaps held back by TLS.
    unflushed: bool,
    unread: BytesMut,
    /// Bytes came since somebody asked.
    heard: bool,
    decoder: Decoder,
    endpoint: Arc<str>,
}

impl Wire {
    pub(crate) fn new(stream: Stream, endpoint: Arc<str>, max_reply_size: usize) -> Self {
        Self {
            stream,
            unsent: BytesMut::new(),
            unflushed: false,
            unread: BytesMut::new(),
            heard: false,
            decoder: Decoder::new(max_reply_size),
            endpoint,
        }
    }

    pub(crate) fn endpoint(&self) -> &Arc<str> {
        &self.endpoint
    }

    /// Appends a command to what is to be written; `poll_reply` writes it.
    pub(crate) fn queue(&mut self, cmd: &Cmd) {
        cmd.encode(&mut self.unsent);
    }

    /// Whether bytes of a command did not leave yet.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty() || self.unflushed
    }

    /// Whether bytes were received that no reply was made of yet.
    pub(crate) fn has_unread(&self) -> bool {
        !self.unread.is_empty() || self.decoder.is_midway()
    }

    /// Whether bytes were received since this was last asked.
    pub(crate) fn has_heard(&mut self) -> bool {
        mem::take(&mut self.heard)
    }

    /// Whether the socket is alive with neither bytes nor an end of stream waiting in it.
    ///
    /// Takes a byte if there is one: ask only when there must not be any, and do not go on after
    /// `false`.
    pub(crate) fn is_silent(&self) -> bool {
        self.stream.is_silent()
    }

    /// Writes what is unsent and reads up to the end of the next reply.
    ///
    /// After an error the wire is finished.
    pub(crate) fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<Value, RedisError>> {
        // A peer that gives up on us often says why before it closes: read that before failing.
        let mut write_error = match self.poll_write(cx) {
            Poll::Ready(Err(error)) => Some(error),
            _ => None,
        };
        loop {
            match self.decoder.decode(&mut self.unread) {
                Ok(Some(value)) => return Poll::Ready(Ok(value)),
                Ok(None) => {}
                Err(source) => return Poll::Ready(Err(self.protocol_error(source))),
            }
            if self.unread.capacity() - self.unread.len() < READ_SIZE / 8 {
                self.unread.reserve(READ_SIZE);
            }
            let read = match pin!(self.stream.read_buf(&mut self.unread)).poll(cx) {
                Poll::Pending if write_error.is_none() => return Poll::Pending,
                Poll::Pending => Ok(0),
                Poll::Ready(read) => read,
            };
            let error = match (read, write_error.take()) {
                (Ok(count), error) if count > 0 => {
                    self.heard = true;
                    write_error = error;
                    continue;
                }
                (_, Some(source)) | (Err(source), None) => self.io_error(source),
                (Ok(_), None) => RedisError::Closed {
                    endpoint: self.endpoint.clone(),
                },
            };
            return Poll::Ready(Err(error));
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unsent))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.advance(written);
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
            if self.unsent.capacity() > KEPT_WRITE_BUFFER {
                self.unsent = BytesMut::new();
            }
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn protocol_error(&self, source: FrameError) -> RedisError {
        RedisError::Protocol {
            endpoint: self.endpoint.clone(),
            source,
        }
    }

    pub(crate) fn silent(&self, silence: Silence) -> RedisError {
        RedisError::Silent {
            endpoint: self.endpoint.clone(),
            silence,
        }
    }

    fn io_error(&self, source: io::Error) -> RedisError {
        RedisError::Io {
            endpoint: self.endpoint.clone(),
            source,
        }
    }

    /// The stream alone, when everything sent was answered and nothing came beyond it.
    pub(crate) fn into_stream(self) -> Result<Stream, RedisError> {
        if self.has_unread() {
            return Err(self.protocol_error(FrameError::Unsolicited));
        }
        Ok(self.stream)
    }

    /// Says goodbye, TLS close_notify and the end of our half of the TCP connection, and waits until the server has closed
    /// its own, for a second at most: from then on the connection is none of its `maxclients`.
    pub(crate) async fn shutdown(self) {
        let mut stream = self.stream;
        let goodbye = async {
            AsyncWriteExt::shutdown(&mut stream).await?;
            // What it still has to say is for nobody.
            let mut rest = [0; 1024];
            while stream.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        // A peer that is gone already cannot be told.
        let _ = timeout(ENDS_WITHIN, goodbye).await;
    }
}
