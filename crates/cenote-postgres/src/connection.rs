//! One session with the server, and what its user can do with it.
//!
//! Promises that a session knows at its return whether it is clean: every call is tracked, and access to
//! the driver's own client counts as unclean.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Weak};

use cenote::Verdict;
use tokio_postgres::error::DbError;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Notification, Row, SimpleQueryMessage};

use crate::calls::{Calls, Scope, define_calls};
use crate::driver::{CancelToken, Driver, GiveUp};
use crate::inbox::Mail;
use crate::quiet::Quiet;
use crate::reset::{Reset, ResetError, ResetMode};
use crate::role::{CountedReplica, Role, Tenure};
use crate::session::{Peer, Session};
use crate::sql::sealed::What;
use crate::statement::Statement;
use crate::statements::Statements;
use crate::traces::Traces;
use crate::transaction::{PgTransaction, PgTransactionBuilder};

/// A PostgreSQL connection that knows what its user left in it.
///
/// The methods here do what those of [`tokio_postgres::Client`] with the same names do, and note it; the
/// `_cached` ones use the prepared statements that the connection keeps. What else the client can do is
/// reached by dereferencing: `conn.copy_in(..)`, or `&*conn` where a [`Client`] is asked for. That is never
/// unsafe for the next user, but the pool then resets the session at its return, whatever was done. A cancel token
/// of the client does not reach the server: [`cancel_token`](Self::cancel_token) here does.
///
/// Calls may be cancelled by dropping their futures at any time. The reply that still comes is dropped;
/// later calls on the same connection wait for it, since the server works in order. At its return the
/// connection is then reset, which also waits for that reply, under
/// [`reset_timeout`](cenote::pool::PoolBuilder::reset_timeout). Where that is too long, the connection is closed and
/// the server is asked to cancel the statement.
///
/// Dropping the connection ends its task and its socket, with a cancel request first when a call is under
/// way. It may be dropped anywhere, outside a runtime too.
///
/// # What ends a connection
///
/// Calls have no time-out of their own; put one around them with `tokio::time::timeout`. A statement may be slow: one
/// that is awaited lives, however long it takes. What ends a connection before its owner drops it:
///
/// * The server says so, or the network: it is closed or reset.
/// * Below TCP, nothing is acknowledged any more: the system finds that out, within ten seconds by default
///   ([`PostgresConnector::new`](crate::PostgresConnector::new)).
/// * Above TCP, a server that hangs while the connection waits for [notifications](Self::notification): it is asked for
///   a sign of life after [`ping_after`](crate::PostgresConnector::ping_after), 4 s, and has
///   [`ping_timeout`](crate::PostgresConnector::ping_timeout), 5 s, to give one.
/// * Above TCP, a server that hangs while one call after the other is given up, by time-outs: three of them or more,
///   without a byte from the server since the first began, which was as long ago as both of these together, 9 s. Not
///   while a call that was begun before the row still waits: its statement may be what takes long. Calls of the
///   driver's own client are not counted.
///
/// Nothing but a time-out tells a server that hangs from one that is busy: a call without one waits for as long as the
/// TCP connection lives. Once a connection has ended, its calls fail as those of a closed one
/// ([`is_closed`](Error::is_closed)), and [`end_reason`](Self::end_reason) says why.
pub struct PgConnection {
    // Dropped first: the driver's task then says goodbye. Those who share a connection have tasks that keep a
    // reference until their reply begins; nobody else has one.
    client: Arc<Client>,
    driver: Driver,
    session: Arc<Session>,
    statements: Arc<Statements>,
    quiet: Quiet,
    /// Where the pool counts its connections to replicas, and this is one.
    _counted: Option<CountedReplica>,
}

impl PgConnection {
    pub(crate) fn new(
        client: Client,
        driver: Driver,
        session: Arc<Session>,
        statements: Statements,
    ) -> Self {
        Self {
            client: Arc::new(client),
            driver,
            session,
            statements: Arc::new(statements),
            quiet: Quiet::default(),
            _counted: None,
        }
    }

    /// Its server has the role that is wanted, and is to keep it.
    pub(crate) fn admit(&mut self, tenure: Tenure) {
        self._counted = tenure.counted();
        self.session.admit(tenure);
    }

    pub(crate) fn calls(&self) -> Calls<'_> {
        Calls {
            client: &self.client,
            session: &self.session,
            statements: &self.statements,
            scope: Scope::Alone,
        }
    }

    define_calls!();

    /// Begins a transaction. It is rolled back unless [`commit`](PgTransaction::commit) is called.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn transaction(&mut self) -> Result<PgTransaction<'_>, Error> {
        self.build_transaction().start().await
    }

    /// A transaction with an isolation level or access mode of its own.
    pub fn build_transaction(&mut self) -> PgTransactionBuilder<'_> {
        PgTransactionBuilder::new(
            alone(&mut self.client).build_transaction(),
            &self.session,
            &self.statements,
            self.driver.cancel(),
        )
    }

    /// The driver's own client, for what needs it mutably. The session is reset at its return.
    pub fn client_mut(&mut self) -> &mut Client {
        self.session.opened_up();
        alone(&mut self.client)
    }

    /// A handle that asks the server to cancel what runs on this connection.
    ///
    /// Such a request may arrive late and hit the next user of the connection, so a connection that
    /// gave one away is closed at its return. To end a statement early, dropping its future is usually
    /// enough.
    pub fn cancel_token(&self) -> CancelToken {
        self.session.doom();
        self.driver.cancel().clone()
    }

    /// Whether the connection ended. A peer that vanished without a word is noticed by the system, within ten
    /// seconds by default, and then by this.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed() || self.session.status().end_reason().is_some()
    }

    /// Why the connection ended, if it did and the server or the network said why, or the server said nothing for too
    /// long while calls were [given up](Self#what-ends-a-connection). The first call after a session that the server
    /// ended fails with the server's own error; later ones only say that it is closed.
    pub fn end_reason(&self) -> Option<String> {
        let said = self.session.status().end_reason().map(str::to_owned);
        said.or_else(|| self.driver.end())
    }

    /// Waits for the next notification on the channels that this session listens to (`LISTEN`).
    ///
    /// Notifications are kept from the moment they arrive, whatever the connection does meanwhile, up to 4 MiB of
    /// them. When nothing comes for 4 s ([`ping_after`](crate::PostgresConnector::ping_after)), be it in many short
    /// waits, the server is asked for a sign of life. For a listener that connects again by itself there is
    /// [`PgListener`](crate::PgListener).
    ///
    /// ```no_run
    /// # async fn example(conn: &mut cenote_postgres::PgConnection) -> Result<(), Box<dyn std::error::Error>> {
    /// conn.batch_execute("LISTEN orders").await?;
    /// let notification = conn.notification().await?;
    /// println!("{}: {}", notification.channel(), notification.payload());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Cancelling it loses no notification. At the return of the connection those not taken are thrown away, and the
    /// reset ends the listening.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Closed`] when the connection ended. [`crate::Error::Silent`] when the server did not answer
    /// for 5 s ([`ping_timeout`](crate::PostgresConnector::ping_timeout)); the connection is then closed.
    /// [`crate::Error::NotificationsLost`] in the place of those that found no room.
    pub async fn notification(&mut self) -> Result<Notification, crate::Error> {
        loop {
            if let Some(notification) = self.try_notification()? {
                self.quiet.heard();
                return Ok(notification);
            }
            let arrival = self.driver.inbox().arrival();
            let waited = self.quiet.wait(&self.client, &self.session, arrival).await;
            if waited.is_err() {
                let silent = crate::Error::Silent {
                    endpoint: self.driver.endpoint(),
                    limit: self.session.vigil().patience().ping_timeout,
                };
                self.driver.end_because(silent.to_string());
                return Err(silent);
            }
        }
    }

    /// The next notification, if one is here.
    ///
    /// # Errors
    ///
    /// As [`notification`](Self::notification).
    pub fn try_notification(&mut self) -> Result<Option<Notification>, crate::Error> {
        match self.driver.inbox().take_notification() {
            Mail::Notification(notification) => Ok(Some(notification)),
            Mail::Nothing => Ok(None),
            Mail::Lost(lost) => Err(crate::Error::NotificationsLost {
                endpoint: self.driver.endpoint(),
                lost,
            }),
            Mail::Ended => Err(crate::Error::Closed {
                endpoint: self.driver.endpoint(),
                reason: self
                    .end_reason()
                    .unwrap_or_else(|| "connection closed".into()),
            }),
        }
    }

    /// The notices (`RAISE NOTICE`, warnings) that came since this was last called or the lease began: the latest
    /// hundred, as far as their texts have 1 MiB together. They come before the end of the reply to the statement that
    /// they are about.
    pub fn take_notices(&self) -> Vec<DbError> {
        self.driver.inbox().take_notices()
    }

    /// How many prepared statements the cache holds.
    pub fn cached_statements(&self) -> usize {
        self.statements.len()
    }

    /// Closes the prepared statements of the cache.
    pub fn clear_statement_cache(&self) {
        self.statements.clear();
    }

    /// Says goodbye to the server and waits until that has ended the session, for a second at most: a connection that is
    /// opened then finds the place free that this one had under `max_connections`.
    ///
    /// Cancelling this leaves the rest to the background.
    pub async fn close(self) {
        let Self { client, driver, .. } = self;
        drop(client);
        driver.finish().await;
    }

    /// Whether its server has the role that it was opened for, or any will do.
    pub(crate) fn keeps_role(&self) -> bool {
        !self.session.tenure().is_some_and(Tenure::is_over)
    }

    /// Whether a user who comes now can use it beside those it has.
    pub(crate) fn is_fit(&self) -> bool {
        !self.is_closed() && !self.session.is_doomed()
    }

    pub(crate) fn verdict(&self, mode: ResetMode) -> Verdict {
        // What came for this user is not for the next.
        self.driver.inbox().clear();
        if self.is_closed() {
            return Verdict::Close;
        }
        match self.session.verdict(mode) {
            // Its user may have set what the server reports: after a reset, nobody has.
            Verdict::Reuse if self.session.is_role_in_doubt() => Verdict::Reset,
            verdict => verdict,
        }
    }

    /// Whether transactions of this session take no writes.
    pub(crate) async fn is_read_only(&self) -> Result<bool, Error> {
        let messages = self
            .client
            .simple_query("SHOW transaction_read_only")
            .await?;
        Ok(messages.iter().any(
            |message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("on")),
        ))
    }

    /// The role of the server: as it reports it of each session, else by a round trip.
    pub(crate) async fn role(&self) -> Result<Role, Error> {
        match self.session.reported_role() {
            Some(role) => Ok(role),
            None => self.is_read_only().await.map(Role::of),
        }
    }

    /// Asks for a sign of life, and where the server does not report its role, for that. What role it has, if it is to
    /// have one.
    pub(crate) async fn check(&self) -> Result<Option<Role>, Error> {
        if self.session.asks_for_role() {
            return self.is_read_only().await.map(|now| Some(Role::of(now)));
        }
        self.ping().await?;
        Ok(self.session.tenure().and(self.session.reported_role()))
    }

    pub(crate) async fn ping(&self) -> Result<(), Error> {
        self.client.simple_query("").await.map(drop)
    }

    pub(crate) async fn set_up(&self, sql: &str) -> Result<(), Error> {
        self.client.batch_execute(sql).await
    }

    pub(crate) async fn reset(&mut self, setup: Option<&str>) -> Result<(), ResetError> {
        let in_doubt = self.session.is_transaction_in_doubt();
        // Should it be cut short, what it waits for still runs: the driver then cancels that.
        let call = self.session.begin(Traces::None);
        if in_doubt {
            // Once all replies are in, the server's last word counts.
            self.client.check_connection().await?;
        }
        let said = self.session.status().in_transaction();
        let preparations = self.session.status().preparations();
        let left = preparations.left();
        let reset = Reset {
            client: &self.client,
            in_transaction: said.unwrap_or(in_doubt),
            setup,
            cached: self.statements.len(),
            left: &left,
        };
        match self.session.peer() {
            Peer::Server => reset.run().await?,
            Peer::TransactionPooler => reset.roll_back().await?,
        }
        // The transaction may have been one that its user had asked to be so; the server may have been demoted.
        if self.session.met_read_only() || self.session.is_role_in_doubt() {
            let now = Role::of(self.is_read_only().await?);
            if let Some(reason) = self.session.judge_role(now) {
                return Err(reason.into());
            }
        }
        call.complete();
        preparations.forget(&left);
        self.session.renew();
        self.quiet = Quiet::default();
        // What came before the listening ended.
        self.driver.inbox().clear();
        Ok(())
    }

    /// The client, for a statement that leaves nothing and is awaited to its end.
    pub(crate) fn untracked(&self) -> &Client {
        &self.client
    }

    /// For a task of one who shares it: the client, and the statements it keeps.
    pub(crate) fn parts(&self) -> (Arc<Client>, Arc<Statements>) {
        (self.client.clone(), self.statements.clone())
    }

    /// For a task that must not keep the connection open.
    pub(crate) fn weak_client(&self) -> Weak<Client> {
        Arc::downgrade(&self.client)
    }

    /// For ending the connection at once, without a goodbye, and having the server asked to cancel what it still runs.
    pub(crate) fn give_up(&self) -> GiveUp {
        self.driver.give_up()
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }
}

/// The client of a connection that one user has to himself.
fn alone(client: &mut Arc<Client>) -> &mut Client {
    Arc::get_mut(client).expect("only tasks of a shared connection have references beside this one")
}

/// Every access counts as use that nobody tracks: the session is reset at its return.
impl Deref for PgConnection {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.session.opened_up();
        &self.client
    }
}

impl fmt::Debug for PgConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgConnection")
            .field("closed", &self.is_closed())
            .field("session", &self.session)
            .field("cached_statements", &self.statements.len())
            .finish_non_exhaustive()
    }
}
