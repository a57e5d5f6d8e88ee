//! Puts the [`Wire`] around every connection, encrypted or not: to the driver it is what TLS made of the socket.
//!
//! The driver therefore leaves it to this to ask the server for TLS, as the settings say.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

use crate::wire::{Naming, Status, Wire};

/// The request for TLS: its length and its number.
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// What makes the wire, for one connection and for its cancel requests.
#[derive(Clone)]
pub(crate) struct Tunnel<T> {
    tls: T,
    mode: SslMode,
    negotiation: SslNegotiation,
    naming: Naming,
    status: Status,
}

impl<T> Tunnel<T> {
    /// The tunnel for connections with these settings, and the settings for the driver, which then always goes
    /// through it.
    pub(crate) fn new(config: &Config, tls: T, naming: Naming, status: Status) -> (Self, Config) {
        let tunnel = Self {
            tls,
            mode: config.get_ssl_mode(),
            negotiation: config.get_ssl_negotiation(),
            naming,
            status,
        };
        let mut config = config.clone();
        if config.get_hosts().is_empty() {
            // The driver asks for a name.
            let addresses = config.get_hostaddrs().to_vec();
            for address in addresses {
                config.host(address.to_string());
            }
        }
        config
            .ssl_mode(SslMode::Require)
            .ssl_negotiation(SslNegotiation::Direct);
        (tunnel, config)
    }

    pub(crate) fn wire<S>(&self, stream: S) -> Wire<S> {
        Wire::new(stream, self.naming.clone(), self.status.clone())
    }
}

type Cause = Box<dyn Error + Send + Sync>;

impl<S, T> MakeTlsConnect<S> for Tunnel<T>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: MakeTlsConnect<S>,
    T::TlsConnect: Send + 'static,
    T::Stream: Send,
    <T::TlsConnect as TlsConnect<S>>::Future: Send,
{
    type Stream = Wire<Carrier<S, T::Stream>>;
    type TlsConnect = Entrance<T::TlsConnect>;
    type Error = Cause;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, Cause> {
        let tls = match self.mode {
            SslMode::Disable => None,
            _ => Some(self.tls.make_tls_connect(domain).map_err(Into::into)?),
        };
        Ok(Entrance {
            tls,
            mode: self.mode,
            negotiation: self.negotiation,
            naming: self.naming.clone(),
            status: self.status.clone(),
        })
    }
}

/// The way into the tunnel on one socket.
pub(crate) struct Entrance<T> {
    tls: Option<T>,
    mode: SslMode,
    negotiation: SslNegotiation,
    naming: Naming,
    status: Status,
}

impl<S, T> TlsConnect<S> for Entrance<T>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: TlsConnect<S> + Send + 'static,
    T::Stream: Send,
    T::Future: Send,
{
    type Stream = Wire<Carrier<S, T::Stream>>;
    type Error = Cause;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, Cause>> + Send>>;

    fn connect(self, mut socket: S) -> Self::Future {
        let Self {
            tls,
            mode,
            negotiation,
            naming,
            status,
        } = self;
        Box::pin(async move {
            let Some(tls) = tls else {
                return Ok(Wire::new(Carrier::Plain(socket), naming, status));
            };
            let offered = is_offered(&mut socket, mode, negotiation).await?;
            let carrier = if offered {
                Carrier::Encrypted(tls.connect(socket).await.map_err(Into::into)?)
            } else {
                Carrier::Plain(socket)
            };
            Ok(Wire::new(carrier, naming, status))
        })
    }
}

/// Asks whether the server does TLS; an error if it must and does not.
async fn is_offered<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut S,
    mode: SslMode,
    negotiation: SslNegotiation,
) -> Result<bool, Cause> {
    if negotiation == SslNegotiation::Direct {
        return match mode {
            SslMode::Require => Ok(true),
            _ => Err("`sslnegotiation=direct` needs `sslmode=require`".into()),
        };
    }
    socket.write_all(&TLS_REQUEST).await?;
    socket.flush().await?;
    match socket.read_u8().await? {
        b'S' => Ok(true),
        _ if mode == SslMode::Require => Err("server does not support TLS".into()),
        _ => Ok(false),
    }
}

/// A socket, or what TLS made of it.
#[derive(Debug)]
pub(crate) enum Carrier<S, T> {
    Plain(S),
    Encrypted(T),
}

impl<S, T> AsyncRead for Carrier<S, T>
where
    S: AsyncRead + Unpin,
    T: AsyncRead + Unpin,
{
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Encrypted(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl<S, T> AsyncWrite for Carrier<S, T>
where
    S: AsyncWrite + Unpin,
    T: AsyncWrite + Unpin,
{
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Encrypted(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl<S, T> TlsStream for Carrier<S, T>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: TlsStream + Unpin,
{
    fn channel_binding(&self) -> ChannelBinding {
        match self {
            Self::Plain(_) => ChannelBinding::none(),
            Self::Encrypted(stream) => stream.channel_binding(),
        }
    }
}
