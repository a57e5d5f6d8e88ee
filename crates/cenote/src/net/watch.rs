//! A socket with a look at it from outside: for connections whose socket belongs to a driver's own task.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use super::quiet::is_quiet;
use super::socket::Socket;

/// A [`Socket`] that a [`Watch`] can look at; from [`Socket::watched`].
#[derive(Debug)]
pub struct Watched(Arc<Socket>);

/// A look at a socket that is in other hands. It does not keep the socket open.
#[derive(Clone, Debug)]
pub struct Watch(Weak<Socket>);

impl Socket {
    /// The socket for a driver that reads and writes in a task of its own, and a look at it for the connector, whose
    /// [`is_open`](crate::Connect::is_open) has the driver's handle and not the socket.
    ///
    /// ```
    /// use cenote::Dial;
    /// use cenote::net::{Dialer, Host};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let host = Host::from(listener.local_addr()?);
    /// let socket = Dialer::new().connect(&host, &Dial::new()).await?;
    /// let (socket, watch) = socket.watched();
    /// let driver = tokio::spawn(async move { /* reads from and writes to */ drop(socket) });
    ///
    /// # driver.await?;
    /// assert!(!watch.is_quiet(), "the driver has closed it");
    /// # Ok(())
    /// # }
    /// ```
    pub fn watched(self) -> (Watched, Watch) {
        let socket = Arc::new(self);
        let watch = Watch(Arc::downgrade(&socket));
        (Watched(socket), watch)
    }
}

impl Watch {
    /// As [`is_quiet`]; `false` once the socket has been dropped.
    ///
    /// Bytes that the driver is about to read are noise too: it tells of a connection of which nothing is expected.
    pub fn is_quiet(&self) -> bool {
        self.0.upgrade().is_some_and(|socket| is_quiet(&*socket))
    }
}

macro_rules! on_either {
    ($self:expr, $socket:ident => $call:expr) => {
        match &*$self.0 {
            Socket::Tcp($socket) => $call,
            #[cfg(unix)]
            Socket::Unix($socket) => $call,
        }
    };
}

/// Waits until the socket seems ready, and tries, until it was.
macro_rules! when_ready {
    ($socket:ident.$poll_ready:ident($cx:expr), $attempt:expr) => {
        loop {
            ready!($socket.$poll_ready($cx))?;
            match $attempt {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    };
}

/// Whether a read that did not fill its buffer says that the socket is empty: where the system tells of what arrives
/// afterwards (epoll, kqueue), as tokio's own sockets have it.
const SHORT_READ_EMPTIES: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
));

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on_either!(self, socket => {
            when_ready!(socket.poll_read_ready(cx), {
                let before = buf.filled().len();
                // The runtime takes it from here that nothing more is there; else the driver's next read were in vain.
                let tried = socket.try_io(Interest::READABLE, || {
                    let read = socket.try_read_buf(buf)?;
                    match SHORT_READ_EMPTIES && read > 0 && buf.remaining() > 0 {
                        true => Err(io::ErrorKind::WouldBlock.into()),
                        false => Ok(()),
                    }
                });
                match buf.filled().len() > before {
                    true => Ok(()),
                    false => tried,
                }
            })
        })
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        on_either!(self, socket => {
            when_ready!(socket.poll_write_ready(cx), socket.try_write(bytes))
        })
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_either!(self, socket => {
            when_ready!(socket.poll_write_ready(cx), socket.try_write_vectored(parts))
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.0).shutdown(Shutdown::Write))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A driver reads until nothing is left: without this each message costs it a system call that finds nothing.
    #[tokio::test]
    async fn a_read_that_empties_the_socket_needs_no_second_one_to_know() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (mut watched, _) = Socket::Tcp(socket.unwrap()).watched();
        let (mut peer, _) = listener.accept().await.unwrap();
        for message in [b"first", b"again"] {
            peer.write_all(message).await.unwrap();
            let mut read = [0; 64];
            assert_eq!(watched.read(&mut read).await.unwrap(), message.len());
            assert_eq!(&read[..message.len()], message);
            let Socket::Tcp(socket) = &*watched.0 else {
                panic!("it is a TCP socket");
            };
            let seems_ready = socket.try_io(Interest::READABLE, || Ok(()));
            assert_eq!(seems_ready.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
    }
}
