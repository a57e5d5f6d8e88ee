//! One exclusive Redis connection and the account of the replies it is owed.
//!
//! The rule that keeps users apart: a command is counted as owed *before* the first await of its
//! sending, and paid only when its reply was read to the end. Futures hold none of that account, so
//! dropping one anywhere leaves it exact, and the replies still owed are dropped before the next
//! command's own reply is looked at.

mod pooled;
mod replies;
mod subscribing;
mod watching;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cmd::{Argument, Cmd};
use crate::convert::FromReply;
use crate::error::{FrameError, RedisError, Refusal, ServerError};
use crate::listening::Listening;
use crate::mastership::Term;
use crate::session::{Effect, Session};
use crate::silence::{Blocked, Patience, Vigil};
use crate::stream::Stream;
use crate::value::Value;
use crate::wire::Wire;

/// An exclusive connection to a Redis server.
///
/// # Cancelling
///
/// Every future of this type may be dropped at any point, by a time-out for example. The command
/// may or may not have run. The connection remembers what it is owed:
///
/// - The same holder may go on: the late replies are read and dropped first, and no command ever
///   gets the reply of another.
/// - Returned to the pool, it is drained in the background before it is used again.
/// - Cancelled in the middle of *writing* a command, or while the server blocks on it (`BLPOP`), the
///   connection is closed at return. In the former case further commands are refused with
///   [`Refusal::CutShort`].
///
/// # Session state
///
/// `MULTI`, `WATCH`, `SELECT`, `AUTH`, `CLIENT SETNAME` and the like may be used freely: at return
/// the session is put back to what the connector set up; one that the server refused has left nothing.
/// `CLIENT REPLY OFF` and `SKIP` and the replication commands are refused.
///
/// # Listening
///
/// After [`subscribe`](Self::subscribe) and its like, or after such commands by [`command`](Self::command), the
/// connection listens: [`next_message`](Self::next_message) waits for messages, subscribing and unsubscribing goes on,
/// and other commands are refused. When nothing is subscribed any more and all of that is confirmed
/// ([`unsubscribe_all`](Self::unsubscribe_all)), it is as before; returned while it listens, or after `MONITOR`, it is
/// closed.
///
/// ```no_run
/// use cenote_redis::{Message, RedisConnection, RedisError};
///
/// # async fn example(redis: &mut RedisConnection) -> Result<(), RedisError> {
/// redis.subscribe(["news", "weather"]).await?;
/// redis.psubscribe(["sport.*"]).await?;
/// while let Message::Published { channel, payload, .. } = redis.next_message().await? {
///     println!("{}: {}", channel.escape_ascii(), payload.escape_ascii());
/// }
/// redis.unsubscribe_all().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Invalidations
///
/// After `CLIENT TRACKING ON` in RESP3, the server tells which keys changed
/// ([`Message::Invalidated`](crate::Message::Invalidated)): `next_message` waits for that, and what comes between the
/// replies to other commands, which may be used as before, is kept for it. What takes more than 1 MiB becomes one
/// [`Message::AllInvalidated`](crate::Message::AllInvalidated). At
/// return tracking ends. (In RESP2, redirect them to a connection that subscribes to `__redis__:invalidate`.)
///
/// # Time
///
/// Commands have no time-out of their own; put one around them with `tokio::time::timeout`. A statement may be slow.
/// What ends the connection with [`RedisError::Silent`] is a server that says nothing when it must
/// ([`ping_after`](crate::RedisConnector::ping_after)): no answer to the `PING` that goes out while the connection
/// listens, none to a command that waits, such as `BLPOP`, beyond the time that it gave, and not a byte while several
/// commands in a row were given up. A `BLPOP` without a time-out waits as long as the TCP connection lives: a host that
/// is gone is found by keepalive, a server that hangs is not. Give it one.
#[derive(Debug)]
pub struct RedisConnection {
    wire: Wire,
    session: Session,
    listening: Listening,
    /// Replies to commands that were queued and not read to the end, but for commands that listen.
    owed: usize,
    /// Whether one of the replies owed comes only when something has happened.
    blocked: Blocked,
    /// How many replies there are up to the last such; none while there is no such.
    blocked_for: usize,
    vigil: Vigil,
    /// The server said that it is a replica.
    demoted: bool,
    /// Where the server must be a master: whether it is one as far as any connection to it has heard.
    term: Option<Term>,
    /// The database of the connector.
    home: u32,
    /// Nothing may be read or written any more. Shared access sets it too, in `is_open`.
    broken: AtomicBool,
}

impl RedisConnection {
    pub(crate) fn new(wire: Wire, home: u32, patience: Patience) -> Self {
        Self {
            wire,
            session: Session::default(),
            listening: Listening::default(),
            owed: 0,
            blocked: Blocked::No,
            blocked_for: 0,
            vigil: Vigil::new(patience),
            demoted: false,
            term: None,
            home,
            broken: AtomicBool::new(false),
        }
    }

    /// Sends a command and waits for its reply. Nil is a value, an error reply is an error.
    ///
    /// # Errors
    ///
    /// [`RedisError::Server`] when the server answers with an error; the connection stays usable.
    /// [`RedisError::Refused`] when the command was not sent. [`RedisError::Io`],
    /// [`RedisError::Closed`] and [`RedisError::Protocol`] end the connection.
    ///
    /// # Cancelling
    ///
    /// See the [type](RedisConnection#cancelling).
    pub async fn command(&mut self, cmd: &Cmd) -> Result<Value, RedisError> {
        let effect = Effect::of(cmd);
        if effect == Effect::Listens {
            return self.listen(cmd).await;
        }
        self.settle(cmd).await?;
        self.admit(cmd, effect)?;
        let stale = self.owed;
        let before = (self.session, self.listening.tracks());
        self.enqueue(cmd, effect);
        self.note_sent_behind(stale);
        self.skip(stale).await?;
        let reply = self.next_reply().await?;
        self.session.answered(effect, &reply, self.home);
        // With nothing owed before it, what it would have changed is known to be as it was.
        if stale == 0 && effect.is_undone_by_an_error() && matches!(reply, Value::Error(_)) {
            self.session = before.0;
            self.listening.set_tracks(before.1);
        }
        Ok(reply.into_result()?)
    }

    /// Sends a command and reads its reply as a `T`.
    ///
    /// # Errors
    ///
    /// Those of [`command`](Self::command), and [`RedisError::Conversion`] when the reply is not a `T`;
    /// the connection stays usable then.
    pub async fn query<T: FromReply>(&mut self, cmd: &Cmd) -> Result<T, RedisError> {
        let reply = self.command(cmd).await?;
        Ok(T::from_reply(reply)?)
    }

    /// Sends all commands at once and returns their replies in order. Other connections' commands
    /// may run in between; for a transaction, put `MULTI` and `EXEC` around them.
    ///
    /// A server's error reply takes the place of its command's value; the others are unaffected.
    /// Commands of any total size are sent: replies are read while commands are still being written.
    ///
    /// # Errors
    ///
    /// As [`command`](Self::command), except for error replies. Nothing is sent when one of the
    /// commands is refused.
    ///
    /// # Cancelling
    ///
    /// Any number of the commands may have run; see the [type](RedisConnection#cancelling).
    pub async fn pipeline(
        &mut self,
        cmds: &[Cmd],
    ) -> Result<Vec<Result<Value, ServerError>>, RedisError> {
        let effects: Vec<Effect> = cmds.iter().map(Effect::of).collect();
        if let Some(cmd) = cmds.first() {
            self.settle(cmd).await?;
        }
        for (cmd, &effect) in cmds.iter().zip(&effects) {
            self.admit(cmd, effect)?;
            if effect == Effect::Listens {
                return Err(refused(&cmd.name(), Refusal::ListensInPipeline));
            }
        }
        let stale = self.owed;
        let mut proven = self.session;
        for (cmd, &effect) in cmds.iter().zip(&effects) {
            self.enqueue(cmd, effect);
        }
        let waiting = effects.iter().filter(|effect| effect.waits()).count();
        if waiting > 0 && waiting < effects.len() {
            // The others may be slow, and the server may hold all replies back until it has done them all.
            self.blocked = Blocked::Endlessly;
        }
        self.note_sent_behind(stale);
        self.skip(stale).await?;
        let mut replies = Vec::with_capacity(cmds.len());
        for effect in effects {
            let reply = self.next_reply().await?;
            proven.sent(effect);
            proven.answered(effect, &reply, self.home);
            replies.push(reply.into_result());
        }
        // What an answer proves may be undone by a command behind it: until all are there, the worst is assumed.
        self.session = proven;
        Ok(replies)
    }

    /// `GET`: the value of `key`, for example as an `Option<String>`.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn get<T: FromReply>(&mut self, key: impl Argument) -> Result<T, RedisError> {
        self.query(&Cmd::new("GET").arg(key)).await
    }

    /// `SET`: stores `value` under `key`, without an expiry.
    ///
    /// # Errors
    ///
    /// As [`command`](Self::command).
    pub async fn set(
        &mut self,
        key: impl Argument,
        value: impl Argument,
    ) -> Result<(), RedisError> {
        self.query(&Cmd::new("SET").arg(key).arg(value)).await
    }

    fn expect_usable(&self, cmd: &Cmd) -> Result<(), RedisError> {
        let refusal = if self.is_broken() {
            Refusal::Broken
        } else if self.is_cut_short() {
            Refusal::CutShort
        } else {
            return Ok(());
        };
        Err(refused(&cmd.name(), refusal))
    }

    /// Whether a command was cut short. A PING of the connection's own is written to its end by whatever comes next.
    fn is_cut_short(&self) -> bool {
        self.wire.has_unsent() && !self.vigil.has_pinged()
    }

    /// Whether the connection may carry this command now.
    fn admit(&mut self, cmd: &Cmd, effect: Effect) -> Result<(), RedisError> {
        self.expect_usable(cmd)?;
        let refusal = if self.session.listening {
            Some(Refusal::Listening)
        } else if let Effect::Refused(reason) = effect {
            Some(reason)
        } else {
            None
        };
        if let Some(reason) = refusal {
            return Err(refused(&cmd.name(), reason));
        }
        self.expect_silence()
    }

    /// Bytes that wait here before a command is sent would be taken for its reply.
    fn expect_silence(&mut self) -> Result<(), RedisError> {
        if self.owed == 0 && !self.may_be_sent_to() && self.wire.has_unread() {
            self.break_off();
            return Err(self.wire.protocol_error(FrameError::Unsolicited));
        }
        Ok(())
    }

    /// Whether the server may send something without a command of a user's.
    fn may_be_sent_to(&self) -> bool {
        self.session.may_push() || self.vigil.has_pinged()
    }

    fn enqueue(&mut self, cmd: &Cmd, effect: Effect) {
        if effect.waits() {
            self.blocked = self.blocked.longer(effect.longest_wait());
            self.blocked_for = self.owed + 1;
        }
        self.session.sent(effect);
        if effect == Effect::ChangesIdentity {
            self.listening.note_tracking(cmd);
        }
        self.owed += 1;
        self.wire.queue(cmd);
    }

    /// Commands were sent while so many replies were owed to others, which were given up.
    fn note_sent_behind(&mut self, stale: usize) {
        if stale > 0 && self.blocked == Blocked::No {
            self.note_unanswered();
        }
    }

    /// Sends commands of the handshake, past the inspection of what they leave behind.
    pub(crate) async fn exchange(&mut self, cmds: &[Cmd]) -> Result<Vec<Value>, RedisError> {
        let mut replies = Vec::with_capacity(cmds.len());
        for cmd in cmds {
            self.enqueue(cmd, Effect::None);
        }
        for _ in cmds {
            replies.push(self.next_reply().await?);
        }
        Ok(replies)
    }

    /// The database of the connector.
    #[cfg(feature = "redis-rs")]
    pub(crate) fn home(&self) -> u32 {
        self.home
    }

    pub(crate) fn handshake_error(&self, step: &'static str, reply: ServerError) -> RedisError {
        RedisError::Handshake {
            endpoint: self.wire.endpoint().clone(),
            step,
            reply,
        }
    }

    /// The URL of its host, without credentials.
    pub(crate) fn endpoint(&self) -> &Arc<str> {
        self.wire.endpoint()
    }

    /// The stream of a connection whose session was just set up.
    pub(crate) fn into_stream(self) -> Result<Stream, RedisError> {
        self.wire.into_stream()
    }

    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    fn break_off(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }
}

pub(crate) fn refused(command: &str, reason: Refusal) -> RedisError {
    RedisError::Refused {
        command: command.to_owned(),
        reason,
    }
}
