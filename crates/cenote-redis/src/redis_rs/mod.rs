//! The connections as redis-rs wants them: its commands, typed replies, pipelines, transactions and scripts work on
//! ours.
//!
//! Owns only the way in and out: what may be sent where, what a reply belongs to and what a dropped call leaves
//! behind stays with `connection`, `pipelined` and `client`. `values` and `errors` translate.
//!
//! Promises: a transaction goes out as one pipeline, with nobody else's command in it; a future that was never
//! polled sends nothing.

mod errors;
mod values;

use std::future::Future;

use cenote::{Lease, OwnedLease, SharedLease};
use redis::aio::ConnectionLike;
use redis::{ErrorKind, RedisFuture, RedisResult};

use crate::client::RedisClient;
use crate::cmd::Cmd;
use crate::connection::RedisConnection;
use crate::connector::RedisConnector;
use crate::error::{RedisError, ServerError};
use crate::pipelined::{PipelinedConnection, PipelinedConnector};
use crate::value::Value;

/// A connection or client for code that calls the methods of redis-rs's `AsyncCommands` on it.
///
/// Connections, handles and clients are redis-rs connections themselves
/// ([`ConnectionLike`](redis::aio::ConnectionLike)), and may be passed to `query_async`, to scripts, and to functions
/// over `impl AsyncCommands` as `&mut *lease`, `&mut client`, or `&mut &*shared_lease`. But their own methods `get`
/// and `set` hide redis-rs's of the same name, and leases have none of them; this wrapper has no method but
/// redis-rs's:
///
/// ```no_run
/// use cenote::Pool;
/// use cenote_redis::redis::{self, AsyncCommands};
/// use cenote_redis::{RedisClient, RedisConnector, RedisRs};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::new(RedisConnector::new("redis://127.0.0.1:6379")?);
///
/// // A lease, exclusive or shared, to be passed on ...
/// let mut lease = pool.get().await?;
/// let (first, second): (i64, i64) = redis::pipe()
///     .atomic()
///     .incr("visits", 1)
///     .incr("visits", 1)
///     .query_async(&mut *lease)
///     .await?;
///
/// // ... or to call methods on; it goes back to the pool when `redis` is dropped.
/// let mut redis = RedisRs(lease);
/// let (): () = redis.set("greeting", "hello").await?;
/// let greeting: Option<String> = redis.get("greeting").await?;
///
/// // The same over shared connections, without a lease. Clones are handles.
/// let mut redis = RedisRs(RedisClient::new("redis://127.0.0.1:6379")?);
/// let greeting: Option<String> = redis.get("greeting").await?;
/// # Ok(())
/// # }
/// ```
///
/// # What differs from redis-rs's own connections
///
/// What a connection refuses, it refuses here too, with an error of the kind `Client`: a shared one does not take
/// `WATCH`, `SELECT`, `SUBSCRIBE` or commands that wait; a [`RedisClient`] gives those that wait a connection of
/// their own, and has [`exclusive`](RedisClient::exclusive) and [`listen`](RedisClient::listen) for the rest. A
/// transaction that fails because the server did not take one of its commands is one error of the kind
/// `Server(ExecAbort)`, whose detail has what was not taken. `set_no_response` waits for the reply all the same, and
/// drops it. Attributes of replies are not passed on. Messages of channels and invalidations come by
/// [`next_message`](RedisConnection::next_message).
///
/// # Cancelling
///
/// Every future may be dropped at any point, by a time-out for example: what
/// [`RedisConnection`](RedisConnection#cancelling), [`PipelinedConnection`](PipelinedConnection#cancelling) and
/// [`RedisClient`](RedisClient#cancelling) say of theirs holds for these, too.
///
/// # Errors
///
/// `redis::RedisError` made of our [`RedisError`], with its text, and the [`kind`](redis::RedisError::kind) that
/// redis-rs has for it: `Io` for what ended the connection or kept it from coming about, with `is_timeout`,
/// `is_connection_dropped` and `is_connection_refusal` as they should be; `Server` and `Extension` for error replies;
/// `AuthenticationFailed`, `Parse`, `Client`. An error of `pool.get()` becomes one by
/// `map_err(cenote_redis::RedisError::from)?`.
#[derive(Clone, Copy, Debug)]
pub struct RedisRs<C>(pub C);

/// What carries redis-rs's requests.
pub trait Carrier: Send {
    /// Sends a command; an error reply is an error.
    fn send_one(&mut self, cmd: Cmd) -> impl Future<Output = Result<Value, RedisError>> + Send;

    /// Sends several at once, with nobody else's between them if `MULTI` and `EXEC` are around them.
    fn send_all(
        &mut self,
        cmds: Vec<Cmd>,
    ) -> impl Future<Output = Result<Vec<Result<Value, ServerError>>, RedisError>> + Send;

    /// The database that it is bound to.
    fn database(&self) -> u32;
}

impl Carrier for RedisConnection {
    async fn send_one(&mut self, cmd: Cmd) -> Result<Value, RedisError> {
        self.command(&cmd).await
    }

    async fn send_all(
        &mut self,
        cmds: Vec<Cmd>,
    ) -> Result<Vec<Result<Value, ServerError>>, RedisError> {
        self.pipeline(&cmds).await
    }

    fn database(&self) -> u32 {
        self.home()
    }
}

macro_rules! carrier_by_reference {
    ($type:ty) => {
        impl Carrier for $type {
            async fn send_one(&mut self, cmd: Cmd) -> Result<Value, RedisError> {
                self.command(&cmd).await
            }

            async fn send_all(
                &mut self,
                cmds: Vec<Cmd>,
            ) -> Result<Vec<Result<Value, ServerError>>, RedisError> {
                self.pipeline(&cmds).await
            }

            fn database(&self) -> u32 {
                self.home()
            }
        }
    };
}

carrier_by_reference!(PipelinedConnection);
carrier_by_reference!(&PipelinedConnection);
carrier_by_reference!(SharedLease<PipelinedConnector>);
carrier_by_reference!(RedisClient);
carrier_by_reference!(&RedisClient);

macro_rules! carrier_by_lease {
    ($type:ty) => {
        impl Carrier for $type {
            fn send_one(
                &mut self,
                cmd: Cmd,
            ) -> impl Future<Output = Result<Value, RedisError>> + Send {
                Carrier::send_one(&mut **self, cmd)
            }

            fn send_all(
                &mut self,
                cmds: Vec<Cmd>,
            ) -> impl Future<Output = Result<Vec<Result<Value, ServerError>>, RedisError>> + Send
            {
                Carrier::send_all(&mut **self, cmds)
            }

            fn database(&self) -> u32 {
                self.home()
            }
        }
    };
}

carrier_by_lease!(&mut RedisConnection);
carrier_by_lease!(Lease<'_, RedisConnector>);
carrier_by_lease!(OwnedLease<RedisConnector>);

macro_rules! connection_like {
    ($type:ty) => {
        impl ConnectionLike for $type {
            fn req_packed_command<'a>(
                &'a mut self,
                cmd: &'a redis::Cmd,
            ) -> RedisFuture<'a, redis::Value> {
                Box::pin(request(self, cmd))
            }

            fn req_packed_commands<'a>(
                &'a mut self,
                pipeline: &'a redis::Pipeline,
                offset: usize,
                count: usize,
            ) -> RedisFuture<'a, Vec<redis::Value>> {
                Box::pin(request_all(self, pipeline, offset, count))
            }

            fn get_db(&self) -> i64 {
                Carrier::database(self).into()
            }
        }
    };
}

connection_like!(RedisConnection);
connection_like!(PipelinedConnection);
connection_like!(&PipelinedConnection);
connection_like!(RedisClient);
connection_like!(&RedisClient);

impl<C: Carrier> ConnectionLike for RedisRs<C> {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a redis::Cmd) -> RedisFuture<'a, redis::Value> {
        Box::pin(request(&mut self.0, cmd))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a redis::Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<redis::Value>> {
        Box::pin(request_all(&mut self.0, pipeline, offset, count))
    }

    fn get_db(&self) -> i64 {
        self.0.database().into()
    }
}

async fn request(carrier: &mut impl Carrier, cmd: &redis::Cmd) -> RedisResult<redis::Value> {
    match carrier.send_one(encoded(cmd)?).await {
        Ok(_) | Err(RedisError::Server(_)) if cmd.is_no_response() => Ok(redis::Value::Nil),
        Ok(value) => Ok(value.into()),
        Err(error) => Err(error.into()),
    }
}

/// The values are those of the `count` replies after the first `offset`: of a transaction, the reply to EXEC.
async fn request_all(
    carrier: &mut impl Carrier,
    pipeline: &redis::Pipeline,
    offset: usize,
    count: usize,
) -> RedisResult<Vec<redis::Value>> {
    let mut cmds = Vec::with_capacity(pipeline.len() + 2);
    if pipeline.is_transaction() {
        cmds.push(Cmd::new("MULTI"));
    }
    for cmd in pipeline.cmd_iter() {
        cmds.push(encoded(cmd)?);
    }
    if pipeline.is_transaction() {
        cmds.push(Cmd::new("EXEC"));
    }
    if cmds.is_empty() {
        return Err((ErrorKind::Client, "the pipeline has no command").into());
    }
    let replies = carrier.send_all(cmds).await?;
    if pipeline.is_transaction() {
        expect_executed(&replies)?;
    }
    let kept = replies.into_iter().skip(offset).take(count);
    Ok(kept.map(values::of_reply).collect())
}

/// A transaction whose commands were not all taken has run none of them.
fn expect_executed(replies: &[Result<Value, ServerError>]) -> RedisResult<()> {
    let Some((Err(exec), queued)) = replies.split_last() else {
        return Ok(());
    };
    // MULTI is the first of them, which is no command of the user's.
    let refused = queued.iter().enumerate();
    let refused = refused.filter_map(|(index, reply)| match (reply, index.checked_sub(1)) {
        (Ok(_), _) => None,
        (Err(error), Some(index)) => Some(format!("command {index}: {error}")),
        (Err(error), None) => Some(format!("MULTI: {error}")),
    });
    let refused: Vec<String> = refused.collect();
    if refused.is_empty() {
        return Err(errors::of_reply(exec));
    }
    let reasons = refused.join("; ");
    Err(errors::of_reply(&ServerError::new(format!(
        "{exec} ({reasons})"
    ))))
}

fn encoded(cmd: &redis::Cmd) -> RedisResult<Cmd> {
    let count = cmd.args_iter().len();
    if count == 0 {
        return Err((ErrorKind::Client, "the command has no name").into());
    }
    Cmd::of_packed(count, |bytes| cmd.write_packed_command(bytes)).ok_or_else(|| {
        (
            ErrorKind::Client,
            "the command is not packed as redis-rs packs it",
        )
            .into()
    })
}
