//! A socket's two halves, for a reader and a writer that do not wait for each other.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::tcp;
#[cfg(unix)]
use tokio::net::unix;

use super::socket::Socket;

/// The half of a [`Socket`] that is read.
#[derive(Debug)]
pub struct ReadHalf(Read);

/// The half of a [`Socket`] that is written. Dropped, it tells the peer that nothing more will come.
#[derive(Debug)]
pub struct WriteHalf(Write);

#[derive(Debug)]
enum Read {
    Tcp(tcp::OwnedReadHalf),
    #[cfg(unix)]
    Unix(unix::OwnedReadHalf),
}

#[derive(Debug)]
enum Write {
    Tcp(tcp::OwnedWriteHalf),
    #[cfg(unix)]
    Unix(unix::OwnedWriteHalf),
}

impl Socket {
    /// The two halves, which share no lock, unlike those of [`tokio::io::split`].
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Tcp(socket) => {
                let (read, write) = socket.into_split();
                (ReadHalf(Read::Tcp(read)), WriteHalf(Write::Tcp(write)))
            }
            #[cfg(unix)]
            Self::Unix(socket) => {
                let (read, write) = socket.into_split();
                (ReadHalf(Read::Unix(read)), WriteHalf(Write::Unix(write)))
            }
        }
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Read::Tcp(half) => Pin::new(half).poll_read(cx, buf),
            #[cfg(unix)]
            Read::Unix(half) => Pin::new(half).poll_read(cx, buf),
        }
    }
}

macro_rules! on_either {
    ($self:expr, $half:ident => $call:expr) => {
        match $self {
            Write::Tcp($half) => $call,
            #[cfg(unix)]
            Write::Unix($half) => $call,
        }
    };
}

impl AsyncWrite for WriteHalf {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        on_either!(&mut self.get_mut().0, half => Pin::new(half).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_either!(&mut self.get_mut().0, half => Pin::new(half).poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        on_either!(&self.0, half => half.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_either!(&mut self.get_mut().0, half => Pin::new(half).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_either!(&mut self.get_mut().0, half => Pin::new(half).poll_shutdown(cx))
    }
}
