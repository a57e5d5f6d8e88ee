//! The transport below the protocol: TCP, a Unix socket, or TLS over TCP with the feature `rustls`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use cenote::net::is_quiet;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    #[cfg(feature = "rustls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// The same for the two kinds of socket.
macro_rules! is_silent {
    ($socket:expr) => {
        match $socket.poll_read_ready(&mut Context::from_waker(Waker::noop())) {
            // The runtime that drove this socket is gone.
            Poll::Ready(Err(_)) => false,
            // What the runtime knows of it is as old as its last turn; the socket itself knows better.
            _ => is_quiet($socket),
        }
    };
}

impl Stream {
    /// Whether neither bytes nor an end of stream are waiting to be read, and waiting for them is
    /// possible at all.
    ///
    /// One system call, which takes nothing from the stream.
    pub(crate) fn is_silent(&self) -> bool {
        match self {
            Self::Tcp(socket) => is_silent!(socket),
            #[cfg(unix)]
            Self::Unix(socket) => is_silent!(socket),
            #[cfg(feature = "rustls")]
            Self::Tls(stream) => {
                let (socket, session) = stream.get_ref();
                // False when decrypted bytes or a goodbye wait inside the session.
                session.wants_read() && is_silent!(socket)
            }
        }
    }
}

macro_rules! on_transport {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Tcp($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            #[cfg(unix)]
            Self::Unix($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            #[cfg(feature = "rustls")]
            Self::Tls($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on_transport!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        on_transport!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_transport!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_transport!(self, stream => stream.poll_shutdown(cx))
    }
}
