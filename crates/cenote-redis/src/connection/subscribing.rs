//! A connection that listens: subscribing, unsubscribing, and waiting for messages.
//!
//! `listening` keeps the account of it. Promises: a command that listens ends when the server has confirmed all that
//! it asked for; where one was cancelled, the next command waits for its confirmations first.

use super::{RedisConnection, refused};
use crate::cmd::{Argument, Cmd};
use crate::error::{RedisError, Refusal};
use crate::listening::{Kind, Placed};
use crate::message::Message;
use crate::session::Effect;
use crate::value::Value;

impl RedisConnection {
    /// Waits for the next message: one of a channel that is subscribed, an invalidation, or a line of `MONITOR`. When
    /// it is quiet for long, it asks the server for a sign of life ([`ping_after`](crate::RedisConnector::ping_after)),
    /// which is no message; `MONITOR` shows it.
    ///
    /// # Errors
    ///
    /// [`RedisError::Refused`] with [`Refusal::NotListening`] when nothing is subscribed, and none would ever come;
    /// [`RedisError::Silent`] when the server gives no sign of life; otherwise as [`command`](Self::command).
    ///
    /// # Cancelling
    ///
    /// Loses no message.
    pub async fn next_message(&mut self) -> Result<Message, RedisError> {
        loop {
            if let Some(message) = self.listening.next_message() {
                return Ok(message.into());
            }
            if self.is_broken() {
                return Err(refused("next_message", Refusal::Broken));
            }
            if !self.session.listening && !self.listening.tracks() {
                return Err(refused("next_message", Refusal::NotListening));
            }
            if self.is_cut_short() {
                return Err(refused("next_message", Refusal::CutShort));
            }
            if self.owed > 0 {
                self.skip(1).await?;
            } else {
                self.next_placed().await?;
            }
        }
    }

    /// `SUBSCRIBE`: listens to these channels, too, once it returns. Messages that come before are kept for
    /// [`next_message`](Self::next_message). Without channels, does nothing.
    ///
    /// # Errors
    ///
    /// As [`command`](Self::command). [`Refusal::ListensInTransaction`] after `MULTI`.
    ///
    /// # Cancelling
    ///
    /// The channels may or may not be subscribed; the connection goes on to count the server's confirmations.
    pub async fn subscribe(
        &mut self,
        channels: impl IntoIterator<Item = impl Argument>,
    ) -> Result<(), RedisError> {
        self.request(Kind::Channel.subscribe(), channels).await
    }

    /// `PSUBSCRIBE`: listens to all channels whose names match one of these patterns, such as `news.*`; otherwise
    /// as [`subscribe`](Self::subscribe).
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    pub async fn psubscribe(
        &mut self,
        patterns: impl IntoIterator<Item = impl Argument>,
    ) -> Result<(), RedisError> {
        self.request(Kind::Pattern.subscribe(), patterns).await
    }

    /// `SSUBSCRIBE` (Redis 7): listens to these shard channels; otherwise as [`subscribe`](Self::subscribe).
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    pub async fn ssubscribe(
        &mut self,
        channels: impl IntoIterator<Item = impl Argument>,
    ) -> Result<(), RedisError> {
        self.request(Kind::ShardChannel.subscribe(), channels).await
    }

    /// `UNSUBSCRIBE`: no longer listens to these channels, once it returns. Without channels, does nothing.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    ///
    /// # Cancelling
    ///
    /// As [`subscribe`](Self::subscribe).
    pub async fn unsubscribe(
        &mut self,
        channels: impl IntoIterator<Item = impl Argument>,
    ) -> Result<(), RedisError> {
        self.request(Kind::Channel.unsubscribe(), channels).await
    }

    /// `PUNSUBSCRIBE`: takes these patterns back; otherwise as [`unsubscribe`](Self::unsubscribe).
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    pub async fn punsubscribe(
        &mut self,
        patterns: impl IntoIterator<Item = impl Argument>,
    ) -> Result<(), RedisError> {
        self.request(Kind::Pattern.unsubscribe(), patterns).await
    }

    /// `SUNSUBSCRIBE`: no longer listens to these shard channels; otherwise as [`unsubscribe`](Self::unsubscribe).
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    pub async fn sunsubscribe(
        &mut self,
        channels: impl IntoIterator<Item = impl Argument>,
    ) -> Result<(), RedisError> {
        self.request(Kind::ShardChannel.unsubscribe(), channels)
            .await
    }

    /// Takes back all subscriptions of every kind. Once it returns, every command may be used, and the connection
    /// returned to the pool serves others. Messages that came before can still be taken by
    /// [`next_message`](Self::next_message), and are dropped at the return.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe). After `MONITOR`, which nothing ends, [`Refusal::Listening`].
    ///
    /// # Cancelling
    ///
    /// As [`subscribe`](Self::subscribe).
    pub async fn unsubscribe_all(&mut self) -> Result<(), RedisError> {
        // What is subscribed is known when nothing is to be confirmed any more.
        self.settle(&Cmd::new("UNSUBSCRIBE")).await?;
        for kind in self.listening.subscribed() {
            self.listen(&Cmd::new(kind.unsubscribe())).await?;
        }
        Ok(())
    }

    async fn request(
        &mut self,
        name: &'static str,
        arguments: impl IntoIterator<Item = impl Argument>,
    ) -> Result<(), RedisError> {
        let mut arguments = arguments.into_iter().peekable();
        if arguments.peek().is_none() {
            return Ok(());
        }
        let cmd = Cmd::new(name).args(arguments);
        self.listen(&cmd).await.map(drop)
    }

    /// Sends a command that listens and waits for all its confirmations; the last is its reply.
    pub(super) async fn listen(&mut self, cmd: &Cmd) -> Result<Value, RedisError> {
        self.expect_usable(cmd)?;
        let refusal = if self.listening.monitors() {
            Some(Refusal::Listening)
        } else if self.session.transaction {
            Some(Refusal::ListensInTransaction)
        } else {
            None
        };
        if let Some(reason) = refusal {
            return Err(refused(&cmd.name(), reason));
        }
        if !self.session.listening {
            self.expect_silence()?;
        }
        self.session.sent(Effect::Listens);
        self.listening.sent(cmd);
        self.wire.queue(cmd);
        self.skip(self.owed).await?;
        loop {
            // Those of cancelled commands come first.
            let answer = self.next_placed().await?;
            if let (Some(reply), false) = (answer, self.listening.is_settling()) {
                return Ok(reply.into_result()?);
            }
        }
    }

    /// Waits for the confirmations of commands that listen and were cancelled: they decide what may be sent.
    pub(super) async fn settle(&mut self, cmd: &Cmd) -> Result<(), RedisError> {
        if !self.listening.is_settling() {
            return Ok(());
        }
        self.expect_usable(cmd)?;
        self.skip(self.owed).await?;
        while self.listening.is_settling() {
            self.next_placed().await?;
        }
        Ok(())
    }

    /// Reads a frame of a connection that listens; the last answer to a command, if it is that.
    async fn next_placed(&mut self) -> Result<Option<Value>, RedisError> {
        let frame = self.next_frame().await?;
        // No await since the frame was complete: read to the end and counted are one step.
        let placed = self.listening.place(frame).map_err(|error| {
            self.break_off();
            self.wire.protocol_error(error)
        })?;
        self.session.listening = !self.listening.is_over();
        match placed {
            Placed::Kept => Ok(None),
            Placed::Answer(reply) => {
                self.vigil.answered();
                Ok(Some(reply))
            }
        }
    }
}
