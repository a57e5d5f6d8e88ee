//! From a socket to the stream that a session runs on: asks the server for TLS as the settings say, and shakes hands.
//! The driver is then given what came of it, and asks for nothing itself.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
#[cfg(feature = "rustls")]
use std::time::Duration;

use cenote::net::Socket;
#[cfg(feature = "rustls")]
use cenote::time::timeout;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
#[cfg(feature = "rustls")]
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use crate::error::ConnectCause;

/// The request for TLS: its length and its number.
#[cfg(feature = "rustls")]
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// How much of an answer that is none of PostgreSQL's is shown.
#[cfg(feature = "rustls")]
const SHOWN: usize = 40;

/// How long the rest of such an answer may take.
#[cfg(feature = "rustls")]
const REST: Duration = Duration::from_millis(200);

#[cfg(feature = "rustls")]
type Tls = tokio_postgres_rustls::MakeRustlsConnect;
#[cfg(feature = "rustls")]
type Encrypted = <Tls as tokio_postgres::tls::MakeTlsConnect<Socket>>::Stream;

/// How sessions are protected.
#[derive(Clone)]
pub(crate) struct Protection {
    mode: SslMode,
    #[cfg_attr(not(feature = "rustls"), expect(dead_code, reason = "there is no TLS"))]
    negotiation: SslNegotiation,
    /// `None`: nothing was given, and the system has no root certificates.
    #[cfg(feature = "rustls")]
    tls: Option<Tls>,
}

impl Protection {
    #[cfg(feature = "rustls")]
    pub(crate) fn new(config: &Config, tls: Option<Tls>) -> Self {
        Self {
            mode: config.get_ssl_mode(),
            negotiation: config.get_ssl_negotiation(),
            tls,
        }
    }

    #[cfg(not(feature = "rustls"))]
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            mode: config.get_ssl_mode(),
            negotiation: config.get_ssl_negotiation(),
        }
    }

    /// The stream for a session, or for a cancel request. `name` is the host's, for its certificate.
    #[cfg(feature = "rustls")]
    pub(crate) async fn protect(
        &self,
        mut socket: Socket,
        name: Option<&str>,
    ) -> Result<Carrier, ConnectCause> {
        use tokio_postgres::tls::MakeTlsConnect;

        // A socket of the file system does not leave the machine, and servers offer no TLS there.
        let Some(name) = name.filter(|_| self.mode != SslMode::Disable) else {
            return Ok(Carrier::Plain(socket));
        };
        if !self.is_offered(&mut socket).await? {
            return match self.mode {
                SslMode::Require => Err(ConnectCause::TlsNotOffered),
                _ => Ok(Carrier::Plain(socket)),
            };
        }
        let mut tls = self.tls.clone().ok_or(ConnectCause::NoRootCertificates)?;
        let connect = MakeTlsConnect::<Socket>::make_tls_connect(&mut tls, name);
        let connect = connect.map_err(|error| ConnectCause::Tls(io::Error::other(error)))?;
        let stream = connect.connect(socket).await.map_err(ConnectCause::Tls)?;
        Ok(Carrier::Encrypted(Box::new(stream)))
    }

    /// The stream for a session, or for a cancel request: never encrypted, as the crate is built without TLS.
    #[cfg(not(feature = "rustls"))]
    pub(crate) async fn protect(
        &self,
        socket: Socket,
        _name: Option<&str>,
    ) -> Result<Carrier, ConnectCause> {
        // `require` is refused by then.
        debug_assert_ne!(self.mode, SslMode::Require);
        Ok(Carrier::Plain(socket))
    }

    #[cfg(feature = "rustls")]
    async fn is_offered(&self, socket: &mut Socket) -> Result<bool, ConnectCause> {
        if self.negotiation == SslNegotiation::Direct {
            return Ok(true);
        }
        let mut answer = Vec::with_capacity(SHOWN);
        let asked = async {
            socket.write_all(&TLS_REQUEST).await?;
            socket.flush().await?;
            // One byte, and nothing behind it: what follows belongs to TLS.
            let first = socket.read_u8().await?;
            answer.push(first);
            if !matches!(first, b'S' | b'N') {
                // Whatever else comes at once: enough to tell who speaks.
                let rest = socket.take(SHOWN as u64 - 1);
                tokio::pin!(rest);
                let read = timeout(REST, rest.read_buf(&mut answer));
                read.await.unwrap_or(Ok(0))?;
            }
            Ok(first)
        };
        match asked.await {
            Ok(b'S') => Ok(true),
            Ok(b'N') => Ok(false),
            Ok(_) => Err(ConnectCause::not_postgres(&answer)),
            Err(_) if !answer.is_empty() => Err(ConnectCause::not_postgres(&answer)),
            Err(error) => Err(ConnectCause::Interrupted(error)),
        }
    }
}

/// A socket, or what TLS made of it.
pub(crate) enum Carrier {
    Plain(Socket),
    #[cfg(feature = "rustls")]
    Encrypted(Box<Encrypted>),
}

macro_rules! on_carrier {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Plain($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            #[cfg(feature = "rustls")]
            Self::Encrypted($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Carrier {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on_carrier!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        on_carrier!(self, stream => stream.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_carrier!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_carrier!(self, stream => stream.poll_shutdown(cx))
    }
}

impl TlsStream for Carrier {
    fn channel_binding(&self) -> ChannelBinding {
        match self {
            Self::Plain(_) => ChannelBinding::none(),
            #[cfg(feature = "rustls")]
            Self::Encrypted(stream) => stream.channel_binding(),
        }
    }
}

/// A stream that is ready, for a driver that would ask for TLS on a socket: it has none, and is to "do TLS" at once.
pub(crate) struct Made<S>(pub(crate) S);

impl<S> Made<S> {
    /// Settings with which the driver asks the server for nothing.
    pub(crate) fn settings(config: &Config) -> Config {
        let mut config = config.clone();
        config
            .ssl_mode(SslMode::Require)
            .ssl_negotiation(SslNegotiation::Direct);
        config
    }
}

impl<S: TlsStream + Unpin> TlsConnect<tokio::io::Empty> for Made<S> {
    type Stream = S;
    type Error = io::Error;
    type Future = Ready<io::Result<S>>;

    fn connect(self, _: tokio::io::Empty) -> Self::Future {
        ready(Ok(self.0))
    }
}
