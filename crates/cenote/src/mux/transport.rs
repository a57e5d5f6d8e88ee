//! What opens the byte stream that a mux is put on.

use std::error::Error;
use std::future::Future;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::connect::FailureKind;
use crate::dial::Dial;
#[cfg(feature = "net")]
use crate::net::{DialError, Dialer, Host, ReadHalf, WriteHalf};

/// Opens byte streams to one endpoint, for a [`MuxConnect`](super::MuxConnect): TCP, with TLS on it or not, or what
/// else carries bytes.
///
/// A [`Host`] is one, by the default [`Dialer`]; so is a function from a [`Dial`] to the stream's two halves:
///
/// ```
/// use cenote::Dial;
/// use cenote::mux::Transport;
/// use cenote::net::{Dialer, Host, Keepalive};
/// use std::time::Duration;
///
/// # fn takes(_: impl Transport) {}
/// let impatient = Dialer::new().keepalive(Keepalive::new().idle(Duration::from_secs(1)));
/// let host = Host::new("store.example", 7000);
/// let transport = move |dial: Dial| {
///     let (dialer, host) = (impatient.clone(), host.clone());
///     async move { Ok::<_, cenote::net::DialError>(dialer.connect(&host, &dial).await?.into_split()) }
/// };
/// # takes(transport);
/// ```
pub trait Transport: Send + Sync + 'static {
    /// The half that is read.
    type Read: AsyncRead + Send + Unpin + 'static;
    /// The half that is written.
    type Write: AsyncWrite + Send + Unpin + 'static;
    /// Why opening failed.
    type Error: Error + Send + Sync + 'static;

    /// Opens a stream, logged in and ready for the codec's first frame. Under the time-out and with the freedom of
    /// [`Connect::connect`](crate::Connect::connect).
    fn open(
        &self,
        dial: &Dial,
    ) -> impl Future<Output = Result<(Self::Read, Self::Write), Self::Error>> + Send;

    /// As [`Connect::classify`](crate::Connect::classify). Default: [`FailureKind::Transient`].
    fn classify(&self, error: &Self::Error) -> FailureKind {
        let _ = error;
        FailureKind::Transient
    }

    /// As [`Connect::endpoint`](crate::Connect::endpoint). Default: `None`.
    fn endpoint(&self) -> Option<String> {
        None
    }
}

impl<F, Opening, Read, Write, E> Transport for F
where
    F: Fn(Dial) -> Opening + Send + Sync + 'static,
    Opening: Future<Output = Result<(Read, Write), E>> + Send,
    Read: AsyncRead + Send + Unpin + 'static,
    Write: AsyncWrite + Send + Unpin + 'static,
    E: Error + Send + Sync + 'static,
{
    type Read = Read;
    type Write = Write;
    type Error = E;

    fn open(&self, dial: &Dial) -> impl Future<Output = Result<(Read, Write), E>> + Send {
        self(dial.clone())
    }
}

/// By the default [`Dialer`].
#[cfg(feature = "net")]
impl Transport for Host {
    type Read = ReadHalf;
    type Write = WriteHalf;
    type Error = DialError;

    async fn open(&self, dial: &Dial) -> Result<(ReadHalf, WriteHalf), DialError> {
        let socket = Dialer::new().connect(self, dial).await?;
        Ok(socket.into_split())
    }

    fn endpoint(&self) -> Option<String> {
        Some(self.to_string())
    }
}
