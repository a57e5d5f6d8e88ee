//! One Redis connection that many users share: their commands follow each other without waiting for
//! replies, and each reply finds its command by the order they were sent in.
//!
//! `cenote::mux` keeps the account; here is what Redis adds. `sharing` says which commands may share a
//! connection, `codec` puts them on the wire and takes replies off it, `connector` opens connections.

mod codec;
mod connector;
mod role;
mod sharing;

use std::fmt;
use std::sync::Arc;

use cenote::mux::{CallError, Mux};

use codec::{Reply, Request};
use role::Role;

use crate::cmd::{Argument, Cmd};
use crate::convert::FromReply;
use crate::error::{RedisError, ServerError};
use crate::value::Value;

pub use connector::PipelinedConnector;
pub(crate) use sharing::{any_needs_own, needs_own};

/// A Redis connection that many users share at once. Clones are handles of the same connection; when the last
/// is dropped, it is closed once the pending commands were answered.
///
/// ```no_run
/// use cenote::Connect;
/// use cenote_redis::{Cmd, PipelinedConnector};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let redis = PipelinedConnector::new("redis://127.0.0.1:6379")?.connect(&cenote::Dial::new()).await?;
/// let visit = Cmd::new("INCR").arg("visits");
/// // One round trip for both, as many users as there are.
/// let (visits, name): (i64, Option<String>) = tokio::try_join!(
///     redis.query(&visit),
///     redis.get("name"),
/// )?;
/// # Ok(())
/// # }
/// ```
///
/// # What it refuses
///
/// Before anything is sent, with [`RedisError::Refused`]: commands that wait (`BLPOP`, `XREAD` with `BLOCK`,
/// `WAIT`), that listen (`SUBSCRIBE`, `MONITOR`), and that change what later commands do (`SELECT`, `AUTH`,
/// `WATCH`, `CLIENT REPLY`). They belong on an exclusive [`RedisConnection`](crate::RedisConnection);
/// [`RedisClient`](crate::RedisClient) has both. `MULTI` and `EXEC` may stand in one
/// [`pipeline`](Self::pipeline). Commands are known by name: one that a module adds or that the server
/// renamed is taken to be ordinary.
///
/// # Cancelling
///
/// Every future of this type may be dropped at any point, by a time-out for example. The command may or may
/// not have run; its reply, when it comes, reaches nobody.
///
/// # Errors of every call
///
/// [`RedisError::Server`] when the server answers with an error. [`RedisError::Refused`] when the command may
/// not share a connection. [`RedisError::Call`] when there will be no reply: none came within
/// [`call_timeout`](PipelinedConnector::call_timeout), or the connection ended, which everyone who waits
/// learns. None but the last harms the connection.
#[derive(Clone)]
pub struct PipelinedConnection {
    mux: Mux<Request, Reply>,
    role: Arc<Role>,
    endpoint: Arc<str>,
    #[cfg(feature = "redis-rs")]
    database: u32,
}

impl PipelinedConnection {
    /// Sends a command and waits for its reply. Nil is a value, an error reply is an error.
    ///
    /// # Errors
    ///
    /// See the [type](PipelinedConnection#errors-of-every-call).
    pub async fn command(&self, cmd: &Cmd) -> Result<Value, RedisError> {
        sharing::admit(cmd)?;
        self.send(cmd.clone()).await
    }

    /// Sends a command and reads its reply as a `T`.
    ///
    /// # Errors
    ///
    /// See the [type](PipelinedConnection#errors-of-every-call); and [`RedisError::Conversion`] when the reply is
    /// not a `T`.
    pub async fn query<T: FromReply>(&self, cmd: &Cmd) -> Result<T, RedisError> {
        Ok(T::from_reply(self.command(cmd).await?)?)
    }

    /// Sends all commands at once, those of others neither between nor among them, and returns their replies in
    /// order. A server's error reply takes the place of its command's value. `MULTI` and `EXEC` around them make
    /// them a transaction.
    ///
    /// # Errors
    ///
    /// See the [type](PipelinedConnection#errors-of-every-call), except for error replies. Nothing is sent when
    /// one of the commands is refused.
    pub async fn pipeline(
        &self,
        cmds: &[Cmd],
    ) -> Result<Vec<Result<Value, ServerError>>, RedisError> {
        sharing::admit_all(cmds)?;
        self.send_all(cmds).await
    }

    /// `GET`: the value of `key`, for example as an `Option<String>`.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn get<T: FromReply>(&self, key: impl Argument) -> Result<T, RedisError> {
        Ok(T::from_reply(self.send(Cmd::new("GET").arg(key)).await?)?)
    }

    /// `SET`: stores `value` under `key`, without an expiry.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn set(&self, key: impl Argument, value: impl Argument) -> Result<(), RedisError> {
        self.send(Cmd::new("SET").arg(key).arg(value)).await?;
        Ok(())
    }

    /// Whether it takes commands: it has not ended, is not being closed and the server answers. False as well once
    /// the server has answered `READONLY`: it still takes commands, and a pool replaces it.
    pub fn is_open(&self) -> bool {
        self.mux.is_open() && !self.role.is_demoted()
    }

    /// How many commands were sent and not answered yet, those included whose callers have left. A pipeline
    /// counts as one.
    pub fn in_flight(&self) -> usize {
        self.mux.in_flight()
    }

    fn start_close(&self) {
        self.mux.start_close();
    }

    /// Takes no new commands, waits for the replies to the pending ones, and closes; after five seconds it
    /// closes all the same.
    pub async fn close(&self) {
        self.mux.close().await;
    }

    /// The database of the connector.
    #[cfg(feature = "redis-rs")]
    pub(crate) fn home(&self) -> u32 {
        self.database
    }

    /// How many commands can be pending: fewer while the server owes replies to callers that left, none while it is
    /// suspected to be gone.
    fn capacity(&self) -> usize {
        self.mux.capacity()
    }

    /// Sends a command that is fit to share a connection: its route says so, or it is a GET or SET.
    pub(crate) async fn send(&self, cmd: Cmd) -> Result<Value, RedisError> {
        match self.call(Request::one(cmd)).await? {
            Reply::One(value) => Ok(value.into_result()?),
            Reply::Group(_) => unreachable!("a group answers only a pipeline"),
        }
    }

    /// Sends a pipeline that was found fit to share a connection.
    pub(crate) async fn send_all(
        &self,
        cmds: &[Cmd],
    ) -> Result<Vec<Result<Value, ServerError>>, RedisError> {
        if cmds.is_empty() {
            return Ok(Vec::new());
        }
        match self.call(Request::group(cmds)).await? {
            Reply::Group(values) => Ok(values.into_iter().map(Value::into_result).collect()),
            Reply::One(_) => unreachable!("a pipeline is answered by a group"),
        }
    }

    async fn call(&self, request: Request) -> Result<Reply, RedisError> {
        let failed = |source: CallError| RedisError::Call {
            endpoint: self.endpoint.clone(),
            source,
        };
        self.mux.call(request).await.map_err(failed)
    }
}

impl fmt::Debug for PipelinedConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelinedConnection")
            .field("endpoint", &self.endpoint)
            .field("mux", &self.mux)
            .finish()
    }
}
