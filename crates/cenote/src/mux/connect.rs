//! A transport, a codec and settings make a connector for a shared pool.

use std::fmt;

use tokio_util::codec::{Decoder, Encoder};

use super::builder::MuxBuilder;
use super::frame::{Frame, Tag};
use super::handle::Mux;
use super::one_way::OneWayMux;
use super::transport::Transport;
use crate::connect::{Connect, FailureKind, Multiplex, Verdict};
use crate::dial::Dial;
use crate::error::{BoxError, SettingsError};
use crate::report::{CloseReason, ConnectionInfo};

/// A connector whose connections are muxes, for a [`SharedPool`](crate::SharedPool).
///
/// It opens a stream by its [`Transport`], a [`Host`](crate::net::Host) for instance, and puts a [`Mux`] on it. The
/// pool then asks each mux how many calls it carries ([`Mux::capacity`]) and whether it has ended ([`Mux::is_open`]); a
/// peer that has closed is noticed at once, one that vanished as the mux's settings say. A mux that leaves the pool
/// takes no new calls and lets its pending ones finish.
///
/// ```
/// use cenote::SharedPool;
/// use cenote::mux::{MuxBuilder, MuxConnect};
/// use cenote::net::Host;
/// use tokio_util::codec::LinesCodec;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let port = listener.local_addr()?.port();
/// # tokio::spawn(async move {
/// #     while let Ok((mut socket, _)) = listener.accept().await {
/// #         tokio::spawn(async move {
/// #             let (mut read, mut write) = socket.split();
/// #             tokio::io::copy(&mut read, &mut write).await
/// #         });
/// #     }
/// # });
/// // A line is answered by a line, in order.
/// let connect = MuxConnect::in_order(Host::new("localhost", port), LinesCodec::new())
///     .settings(MuxBuilder::new().max_in_flight(256));
/// let pool = SharedPool::builder(connect).max_size(4).build()?;
///
/// let reply: String = pool.get().await?.call("hello".to_owned()).await?;
/// assert_eq!(reply, "hello");
/// # Ok(())
/// # }
/// ```
pub struct MuxConnect<T: Transport, Req, Resp> {
    transport: T,
    settings: MuxBuilder<Req>,
    put: Put<T, Req, Resp>,
}

/// Puts a mux on a stream.
type Put<T, Req, Resp> = Box<
    dyn Fn(
            MuxBuilder<Req>,
            <T as Transport>::Read,
            <T as Transport>::Write,
        ) -> Result<Mux<Req, Resp>, SettingsError>
        + Send
        + Sync,
>;

impl<T: Transport, Req: Send + 'static, Resp: Send + 'static> MuxConnect<T, Req, Resp> {
    /// For connections whose replies carry their request's tag and come in any order, as
    /// [`MuxBuilder::tagged`]. Each connection has clones of `codec`.
    pub fn tagged<Width, Codec>(transport: T, codec: Codec) -> Self
    where
        Width: Tag,
        Codec: Encoder<Frame<Req, Width>, Error: Into<BoxError>>
            + Decoder<Item = Frame<Resp, Width>, Error: Into<BoxError>>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let put = move |settings: MuxBuilder<Req>, read, write| {
            settings.tagged(read, write, codec.clone())
        };
        Self::new(transport, Box::new(put))
    }

    /// For connections whose replies come in the order of their requests, as [`MuxBuilder::in_order`]. Each connection
    /// has clones of `codec`.
    pub fn in_order<Codec>(transport: T, codec: Codec) -> Self
    where
        Codec: Encoder<Req, Error: Into<BoxError>>
            + Decoder<Item = Resp, Error: Into<BoxError>>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let put = move |settings: MuxBuilder<Req>, read, write| {
            settings.in_order(read, write, codec.clone())
        };
        Self::new(transport, Box::new(put))
    }

    fn new(transport: T, put: Put<T, Req, Resp>) -> Self {
        Self {
            transport,
            settings: MuxBuilder::new(),
            put,
        }
    }

    /// The same for a [`OneWayPool`](crate::one_way::OneWayPool): for messages without a reply.
    pub fn one_way(self) -> OneWayMux<T, Req, Resp> {
        OneWayMux::new(self)
    }

    /// How each mux is to behave. What cannot work fails every connect. Default: the defaults of [`MuxBuilder`].
    pub fn settings(mut self, settings: MuxBuilder<Req>) -> Self {
        self.settings = settings;
        self
    }
}

impl<T: Transport, Req: Send + 'static, Resp: Send + 'static> Connect for MuxConnect<T, Req, Resp> {
    type Connection = Mux<Req, Resp>;
    type Error = MuxConnectError<T::Error>;

    async fn connect(&self, dial: &Dial) -> Result<Mux<Req, Resp>, Self::Error> {
        let opened = self.transport.open(dial).await;
        let (read, write) = opened.map_err(MuxConnectError::Transport)?;
        let settings = self.settings.clone().signals(dial.signals());
        (self.put)(settings, read, write).map_err(MuxConnectError::Settings)
    }

    fn is_open(&self, mux: &Mux<Req, Resp>) -> bool {
        mux.is_open()
    }

    /// Calls leave nothing behind, and late replies reach nobody.
    fn verdict(&self, _: &mut Mux<Req, Resp>) -> Verdict {
        Verdict::Reuse
    }

    /// As the transport says; settings that cannot work are final.
    fn classify(&self, error: &Self::Error) -> FailureKind {
        match error {
            MuxConnectError::Transport(error) => self.transport.classify(error),
            MuxConnectError::Settings(_) => FailureKind::Final,
        }
    }

    fn endpoint(&self) -> Option<String> {
        self.transport.endpoint()
    }

    /// A clone that a user kept takes no new calls; those that are pending end.
    fn leaving(&self, mux: &mut Mux<Req, Resp>, _: &ConnectionInfo, reason: CloseReason) {
        if reason != CloseReason::Detached {
            mux.start_close();
        }
    }

    async fn close(&self, mux: Mux<Req, Resp>, _: &ConnectionInfo) {
        mux.close().await;
    }
}

impl<T: Transport, Req: Send + 'static, Resp: Send + 'static> Multiplex
    for MuxConnect<T, Req, Resp>
{
    fn capacity(&self, mux: &Mux<Req, Resp>) -> usize {
        mux.capacity()
    }
}

impl<T: Transport, Req, Resp> fmt::Debug for MuxConnect<T, Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MuxConnect")
            .field("endpoint", &self.transport.endpoint())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Why a [`MuxConnect`] has no connection. Shows as the error within.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MuxConnectError<E> {
    /// The transport could not open a stream.
    #[error(transparent)]
    Transport(E),
    /// A setting of the mux cannot work.
    #[error(transparent)]
    Settings(SettingsError),
}
