//! Opens pipelined connections and tells a shared pool how to keep them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cenote::mux::MuxBuilder;
use cenote::report::CloseReason;
use cenote::{Connect, ConnectionInfo, Dial, FailureKind, Multiplex, Verdict};

use super::PipelinedConnection;
use super::codec::{PipelineCodec, Request};
use super::role::Role;
use crate::cmd::Cmd;
use crate::connector::RedisConnector;
use crate::endpoint::UrlError;
use crate::error::{RedisError, proves_alive};
use crate::silence::Patience;
use crate::stream::Stream;

/// A connector for connections that many users share: give it to a `cenote::SharedPool`, or let
/// [`RedisClient`](crate::RedisClient) do that.
///
/// The address, the login, TLS, `max_reply_size` and the pings are a [`RedisConnector`]'s, of which it is made.
#[derive(Clone)]
pub struct PipelinedConnector {
    connector: RedisConnector,
    max_in_flight: usize,
    call_timeout: Option<Duration>,
    ping_after: Option<Duration>,
    ping_timeout: Duration,
}

impl PipelinedConnector {
    /// A connector for the server at `url`, which is written as for [`RedisConnector`]. Connects to nothing
    /// yet.
    ///
    /// # Errors
    ///
    /// [`UrlError`] says what is wrong with the URL.
    pub fn new(url: &str) -> Result<Self, UrlError> {
        RedisConnector::new(url).map(Self::from)
    }

    /// How many commands may be without a reply on one connection; more wait for their turn. 1 to 1,048,576.
    /// Default: 1,024.
    #[must_use]
    pub fn max_in_flight(mut self, commands: usize) -> Self {
        self.max_in_flight = commands;
        self
    }

    /// How long a command may wait for its reply; `None`: as long as the connection lives. Late by an eighth
    /// at most. Eight in a row without a reply in between end the connection. At least 8 ms. Default: 30 s.
    #[must_use]
    pub fn call_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.call_timeout = limit.into();
        self
    }

    /// Sends `PING` when not a byte came for this long, whether or not replies are due; `None`: never. At least
    /// 8 ms. Default: 4 s, or what the [`RedisConnector`] says.
    #[must_use]
    pub fn ping_after(mut self, silence: impl Into<Option<Duration>>) -> Self {
        self.ping_after = silence.into();
        self
    }

    /// How much longer the server may be silent after a `PING` before the connection is given up. A script that
    /// was sent on this connection and runs longer than this and [`ping_after`](Self::ping_after) together costs the
    /// connection. When a quarter of it has passed, the connection takes no new callers until bytes come. At least
    /// 8 ms. Default: 5 s, or what the [`RedisConnector`] says.
    #[must_use]
    pub fn ping_timeout(mut self, limit: Duration) -> Self {
        self.ping_timeout = limit;
        self
    }

    fn mux(&self) -> MuxBuilder<Request> {
        let builder = MuxBuilder::new()
            .max_in_flight(self.max_in_flight)
            .call_timeout(self.call_timeout)
            // The codec has a limit of its own.
            .max_frame(usize::MAX)
            .ping_timeout(self.ping_timeout);
        match self.ping_after {
            Some(after) => builder.ping(after, || Request::one(Cmd::new("PING"))),
            None => builder,
        }
    }
}

impl From<RedisConnector> for PipelinedConnector {
    fn from(connector: RedisConnector) -> Self {
        let Patience {
            ping_after,
            ping_timeout,
        } = connector.patience();
        Self {
            connector,
            max_in_flight: 1024,
            call_timeout: Some(Duration::from_secs(30)),
            ping_after,
            ping_timeout,
        }
    }
}

impl fmt::Display for PipelinedConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connector.fmt(f)
    }
}

impl fmt::Debug for PipelinedConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelinedConnector")
            .field("connector", &self.connector)
            .field("max_in_flight", &self.max_in_flight)
            .field("call_timeout", &self.call_timeout)
            .field("ping_after", &self.ping_after)
            .field("ping_timeout", &self.ping_timeout)
            .finish()
    }
}

impl Connect for PipelinedConnector {
    type Connection = PipelinedConnection;
    type Error = RedisError;

    /// Opens a connection, logs in and selects the database. [`RedisError::Settings`] when a setting can't
    /// work.
    async fn connect(&self, dial: &Dial) -> Result<PipelinedConnection, RedisError> {
        let conn = self.connector.connect(dial).await?;
        let endpoint = conn.endpoint().clone();
        let role = Arc::new(Role::new(dial.signals(), conn.term()));
        let stream = conn.into_stream()?;
        let codec = PipelineCodec::new(self.connector.reply_limit(), role.clone());
        let builder = self.mux().signals(dial.signals());
        let mux = match stream {
            Stream::Tcp(socket) => {
                let (read, write) = socket.into_split();
                builder.in_order(read, write, codec)?
            }
            #[cfg(unix)]
            Stream::Unix(socket) => {
                let (read, write) = socket.into_split();
                builder.in_order(read, write, codec)?
            }
            #[cfg(feature = "rustls")]
            Stream::Tls(stream) => {
                let (read, write) = tokio::io::split(stream);
                builder.in_order(read, write, codec)?
            }
        };
        Ok(PipelinedConnection {
            mux,
            role,
            endpoint,
            #[cfg(feature = "redis-rs")]
            database: self.connector.database(),
        })
    }

    /// False once the connection has ended or the server has said `READONLY`, and while it drains because the server
    /// answers too little.
    fn is_open(&self, conn: &PipelinedConnection) -> bool {
        conn.is_open()
    }

    /// Asked when a connection leaves service and nobody uses it: what its users may send leaves nothing behind.
    fn verdict(&self, _: &mut PipelinedConnection) -> Verdict {
        Verdict::Reuse
    }

    /// A refused login is about credentials, a server with as many clients as it takes is full; a database or host
    /// that does not exist, a certificate that is not trusted and a peer that is no Redis server are final.
    fn classify(&self, error: &RedisError) -> FailureKind {
        error.failure_kind()
    }

    /// Host and port, as errors name them.
    fn endpoint(&self) -> Option<String> {
        Some(self.connector.to_string())
    }

    /// `PING`. An error reply proves as much as `PONG`; but `NOAUTH` says that the login is lost.
    async fn check(
        &self,
        conn: &mut PipelinedConnection,
        _: &ConnectionInfo,
    ) -> Result<(), RedisError> {
        proves_alive(conn.command(&Cmd::new("PING")).await)
    }

    /// A clone that a user kept takes no new commands; those that are pending are answered.
    fn leaving(&self, conn: &mut PipelinedConnection, _: &ConnectionInfo, reason: CloseReason) {
        if reason != CloseReason::Detached {
            conn.start_close();
        }
    }

    /// Waits for the replies that are due, then closes.
    async fn close(&self, conn: PipelinedConnection, _: &ConnectionInfo) {
        conn.close().await;
    }
}

impl Multiplex for PipelinedConnector {
    /// [`max_in_flight`](PipelinedConnector::max_in_flight), less the replies that are still to come for
    /// callers that left; 0 while a `PING` has had no answer for a quarter of
    /// [`ping_timeout`](PipelinedConnector::ping_timeout).
    fn capacity(&self, conn: &PipelinedConnection) -> usize {
        conn.capacity()
    }
}
