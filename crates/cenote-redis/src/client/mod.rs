//! A Redis client for everything: ordinary commands on shared connections, the others on connections of their
//! own.
//!
//! Owns no connection: two pools do, a shared and an exclusive one. Here is decided, by
//! `pipelined::sharing`, which of them carries a command.

mod builder;

use std::fmt;

use cenote::pool::Get;
use cenote::report::{Counters, Status};
use cenote::{OwnedLease, Pool, SharedPool};

use crate::cmd::{Argument, Cmd};
use crate::connection::refused;
use crate::connector::RedisConnector;
use crate::convert::FromReply;
use crate::endpoint::UrlError;
use crate::error::{RedisError, Refusal, ServerError};
use crate::pipelined::{PipelinedConnector, any_needs_own, needs_own};
use crate::session::Effect;
use crate::value::Value;

pub use builder::ClientBuilder;

/// A Redis client that any number of tasks share; clones are handles of it.
///
/// Ordinary commands of all tasks go down shared connections, one behind the other without waiting. Commands
/// that wait (`BLPOP`, `XREAD` with `BLOCK`) get a connection of their own for as long as they wait,
/// and hold nobody up. For subscriptions there is [`listen`](Self::listen), for what changes the session
/// (`WATCH`, `SELECT`) and for what is answered about its own connection (`WAIT`, `WAITAOF`, `CLIENT ID`)
/// [`exclusive`](Self::exclusive).
///
/// ```no_run
/// use cenote_redis::{Cmd, RedisClient};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let redis = RedisClient::new("redis://127.0.0.1:6379")?;
/// redis.set("greeting", "hello").await?;
/// let next_job = Cmd::new("BLPOP").arg("jobs").arg(5);
/// let (greeting, job): (Option<String>, Option<Vec<String>>) = tokio::try_join!(
///     redis.get("greeting"),
///     redis.query(&next_job), // on another connection
/// )?;
///
/// let mut news = redis.listen(&Cmd::new("SUBSCRIBE").arg("news")).await?;
/// let message = news.next_message().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Cancelling
///
/// Every future of this type may be dropped at any point. The command may or may not have run, and its reply
/// reaches nobody. A cancelled command that waits takes its connection with it, and no element from its list.
///
/// # Errors of every call
///
/// [`RedisError::Server`] when the server answers with an error. [`RedisError::Lease`] when no connection was
/// to be had; it carries the connect error. [`RedisError::Call`], [`RedisError::Io`], [`RedisError::Closed`]
/// and [`RedisError::Protocol`] when the connection ended before the reply: the next call finds another.
/// [`RedisError::Refused`] when the command was not sent.
#[derive(Clone)]
pub struct RedisClient {
    shared: SharedPool<PipelinedConnector>,
    exclusive: Pool<RedisConnector>,
}

impl RedisClient {
    /// A client of the server at `url`, which is written as for [`RedisConnector`], with default settings.
    ///
    /// # Errors
    ///
    /// [`UrlError`] says what is wrong with the URL.
    pub fn new(url: &str) -> Result<Self, UrlError> {
        let client = Self::builder(RedisConnector::new(url)?).build();
        Ok(client.expect("default settings are possible"))
    }

    /// Sets up a client of the server that `connector` connects to.
    pub fn builder(connector: RedisConnector) -> ClientBuilder {
        ClientBuilder::new(connector)
    }

    /// A client of these pools, for settings that [`ClientBuilder`] has not. They are to be of the same server
    /// and database.
    pub fn of_pools(
        shared: SharedPool<PipelinedConnector>,
        exclusive: Pool<RedisConnector>,
    ) -> Self {
        Self { shared, exclusive }
    }

    /// Sends a command where it belongs and waits for its reply. Nil is a value, an error reply is an error.
    ///
    /// # Errors
    ///
    /// See the [type](RedisClient#errors-of-every-call). Refused are commands that listen or change the
    /// session, `MULTI` and `EXEC` by themselves included, and commands whose answer is about the connection that
    /// they are sent on (`WAIT`, `CLIENT ID`), for this client would pick one.
    pub async fn command(&self, cmd: &Cmd) -> Result<Value, RedisError> {
        if needs_own(cmd)? {
            self.exclusive.get().await?.command(cmd).await
        } else {
            self.shared.get().await?.send(cmd.clone()).await
        }
    }

    /// Sends a command where it belongs and reads its reply as a `T`.
    ///
    /// # Errors
    ///
    /// As [`command`](Self::command), and [`RedisError::Conversion`] when the reply is not a `T`.
    pub async fn query<T: FromReply>(&self, cmd: &Cmd) -> Result<T, RedisError> {
        Ok(T::from_reply(self.command(cmd).await?)?)
    }

    /// Sends all commands at once and returns their replies in order, an error reply in the place of its
    /// command's value. `MULTI` and `EXEC` around them make them a transaction. With a command among them that
    /// waits, all go down a connection of their own.
    ///
    /// # Errors
    ///
    /// As [`command`](Self::command), except for error replies. Nothing is sent when one of the commands is
    /// refused.
    pub async fn pipeline(
        &self,
        cmds: &[Cmd],
    ) -> Result<Vec<Result<Value, ServerError>>, RedisError> {
        if any_needs_own(cmds)? {
            self.exclusive.get().await?.pipeline(cmds).await
        } else {
            self.shared.get().await?.send_all(cmds).await
        }
    }

    /// `GET`: the value of `key`, for example as an `Option<String>`.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn get<T: FromReply>(&self, key: impl Argument) -> Result<T, RedisError> {
        let cmd = Cmd::new("GET").arg(key);
        Ok(T::from_reply(self.shared.get().await?.send(cmd).await?)?)
    }

    /// `SET`: stores `value` under `key`, without an expiry.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn set(&self, key: impl Argument, value: impl Argument) -> Result<(), RedisError> {
        let cmd = Cmd::new("SET").arg(key).arg(value);
        self.shared.get().await?.send(cmd).await?;
        Ok(())
    }

    /// Sends a command that listens (`SUBSCRIBE`, `PSUBSCRIBE`, `SSUBSCRIBE`, `MONITOR`) down a connection of
    /// its own and returns that: [`next_message`](crate::RedisConnection::next_message) waits on it, more can be
    /// [subscribed](crate::RedisConnection::subscribe) and unsubscribed. Dropped, the connection is closed, unless
    /// nothing is subscribed any more. It counts among the exclusive connections.
    ///
    /// For invalidations (`CLIENT TRACKING ON`), which are of the keys that the same connection reads, lease one by
    /// [`exclusive`](Self::exclusive); shared connections refuse to track.
    ///
    /// # Errors
    ///
    /// See the [type](RedisClient#errors-of-every-call). Other commands are refused with
    /// [`Refusal::NotListening`].
    pub async fn listen(&self, cmd: &Cmd) -> Result<OwnedLease<RedisConnector>, RedisError> {
        if Effect::of(cmd) != Effect::Listens {
            return Err(refused(&cmd.name(), Refusal::NotListening));
        }
        let mut lease = self.exclusive.get_owned().await?;
        lease.command(cmd).await?;
        Ok(lease)
    }

    /// Leases a connection of one's own, on which every command may be used.
    ///
    /// # Errors
    ///
    /// As [`Pool::get`].
    pub fn exclusive(&self) -> Get<'_, RedisConnector> {
        self.exclusive.get()
    }

    /// The database of its connections.
    #[cfg(feature = "redis-rs")]
    pub(crate) fn home(&self) -> u32 {
        let connector = self.exclusive.connector();
        connector
            .expect("a client's pools are of one endpoint each")
            .database()
    }

    /// The connections of both kinds as they are now.
    pub fn status(&self) -> ClientStatus {
        ClientStatus {
            shared: self.shared.status(),
            exclusive: self.exclusive.status(),
        }
    }

    /// What has happened to the connections of both kinds so far.
    pub fn counters(&self) -> ClientCounters {
        ClientCounters {
            shared: self.shared.counters(),
            exclusive: self.exclusive.counters(),
        }
    }

    /// Replaces every connection open now, of both kinds, without disturbing those who use one: it is closed once
    /// nobody does. For when credentials or addresses have changed, or another server has taken over.
    pub fn evict(&self) {
        self.shared.evict();
        self.exclusive.evict();
    }

    /// Closes both pools, at once: callers that wait for a connection get an error, pending commands are answered
    /// first. Await the result to wait for that, for 30 seconds at most.
    pub fn close(&self) -> impl Future<Output = ()> + Send + use<> {
        let (shared, exclusive) = (self.shared.close(), self.exclusive.close());
        async {
            tokio::join!(shared, exclusive);
        }
    }
}

impl fmt::Debug for RedisClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisClient")
            .field("shared", &self.shared)
            .field("exclusive", &self.exclusive)
            .finish()
    }
}

/// The connections of a [`RedisClient`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientStatus {
    /// Those that carry ordinary commands.
    pub shared: Status,
    /// Those that wait, listen or are leased.
    pub exclusive: Status,
}

/// What has happened to the connections of a [`RedisClient`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ClientCounters {
    /// To those that carry ordinary commands.
    pub shared: Counters,
    /// To those that wait, listen or are leased.
    pub exclusive: Counters,
}

impl fmt::Display for ClientStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shared: {}; exclusive: {}", self.shared, self.exclusive)
    }
}
