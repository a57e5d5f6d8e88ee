//! One session with the server, and what its many users can do with it at once.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::PipelinedError;
use super::account::Account;
use super::params;
use super::reply::{Answer, Desk, NoReply, Reply, Request, Wanted};
use super::unpolled::{Reader, Unpolled};
use super::vitals::Vitals;
use super::watch::Watch;
use crate::calls::{Calls, Scope};
use crate::connection::PgConnection;
use crate::error::causes;
use crate::session::Peer;
use crate::statement::Statement;
use crate::traces::{Entanglement, Traces};

/// A PostgreSQL connection that many users share: every call takes `&self`, and a statement is sent while the
/// answers to earlier ones are still on their way.
///
/// The server runs the statements of one connection one after the other, in the order they came. That saves
/// the round trips between them and costs no session for each user, but *a slow statement holds up all those
/// behind it*: short statements belong here, reports and bulk work on a lease of their own.
///
/// Each statement is a transaction of its own. One that opens a transaction, or reads or changes what a
/// session keeps, is refused before it is sent, as far as its text shows: only `SELECT`, `INSERT`, `UPDATE`,
/// `DELETE`, `MERGE`, `WITH`, `VALUES`, `TABLE` and `SHOW` are sent (no `DO`, no `CALL`), and these not when they
/// name a temporary table, update `pg_settings`, or call a function that is not known to leave the session as it was:
/// beside PostgreSQL's own, those that the connector was told to
/// [trust](crate::PostgresConnector::trust_function). What changes a session without a call in the text is listed
/// at [`ResetMode::Fast`](crate::ResetMode::Fast), and reaches the other users.
///
/// Statements run prepared, and stay prepared for all users of the connection, least recently used first out
/// ([`PostgresConnector::statement_cache`](crate::PostgresConnector::statement_cache)); those who ask for a
/// new text at the same time have it prepared once. A statement that the server refuses because tables changed
/// since is prepared anew and run once more.
///
/// Replies leave the wire whether their callers are polled or not, so that nobody waits for one that does
/// something else first; what is held for callers is bounded
/// ([`reply_bound`](crate::PipelinedConnector::reply_bound)).
///
/// A call is cancelled by dropping its future. If it was sent, the server still runs it; its answer is read
/// and dropped, and no other user sees it. A connection that answers nothing is given up after a while
/// ([`silence_limit`](crate::PipelinedConnector::silence_limit)); one whose server is only slow is not, as long
/// as somebody waits.
///
/// It is a handle, so that [`DynPool`](cenote::any::DynPool) can have a shared pool of them. A clone is no lease: one that
/// is kept beyond its lease is not counted, and finds the connection ended once the pool has no use for it.
#[derive(Clone)]
pub struct PipelinedConnection(Arc<Parts>);

struct Parts {
    conn: PgConnection,
    endpoint: Arc<str>,
    desk: Desk,
    _watch: Option<Watch>,
    _reader: Reader,
}

impl PipelinedConnection {
    pub(super) fn new(
        conn: PgConnection,
        endpoint: Arc<str>,
        reply_bound: usize,
        vitals: Arc<Vitals>,
        watch: Option<Watch>,
    ) -> Self {
        let (client, statements) = conn.parts();
        let (unpolled, reader) = Unpolled::start();
        let desk = Desk {
            client,
            statements,
            account: Account::new(reply_bound),
            vitals,
            unpolled,
        };
        Self(Arc::new(Parts {
            conn,
            endpoint,
            desk,
            _watch: watch,
            _reader: reader,
        }))
    }

    /// Runs a statement and returns its rows.
    ///
    /// # Errors
    ///
    /// [`PipelinedError::NeedsExclusive`], [`PipelinedError::UntrustedFunction`] or
    /// [`PipelinedError::Ambiguous`] if it does not stand alone: nothing was sent.
    /// [`PipelinedError::Closed`] if the connection ended first. [`PipelinedError::TooLarge`] if there is no
    /// room to hold the reply. [`PipelinedError::Failed`] for everything else. But for `Closed`, the other
    /// users' statements are not affected.
    pub async fn query(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PipelinedError> {
        Ok(self.run(sql, params, Wanted::MAX).await?.rows())
    }

    /// Runs a statement that returns exactly one row.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query), and [`PipelinedError::RowCount`] when there is no row or more than one.
    pub async fn query_one(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, PipelinedError> {
        let row = self.run(sql, params, 1).await?.at_most_one();
        match row {
            Ok(Some(row)) => Ok(row),
            Ok(None) => Err(self.row_count(0, "one")),
            Err(rows) => Err(self.row_count(rows, "one")),
        }
    }

    /// Runs a statement that returns one row or none.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query), and [`PipelinedError::RowCount`] when there is more than one row.
    pub async fn query_opt(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, PipelinedError> {
        let row = self.run(sql, params, 1).await?.at_most_one();
        row.map_err(|rows| self.row_count(rows, "at most one"))
    }

    /// Runs a statement and returns how many rows it changed.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn execute(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, PipelinedError> {
        Ok(self.run(sql, params, 0).await?.affected)
    }

    /// Runs a statement in one round trip without preparing it for later; the types of the parameters are
    /// given instead. For texts that hardly ever come again.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn query_typed(
        &self,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, PipelinedError> {
        self.stands_alone(sql)?;
        let request = Request::Typed(sql.into(), params::encode_typed(params));
        let sent = self.0.desk.send(request, Wanted::MAX);
        let reply = self.answered(sent).await;
        Ok(reply.map_err(|none| self.explain(none))?.rows())
    }

    /// Whether the connection ended. A peer that vanished without a word is noticed only after a while
    /// ([`silence_limit`](crate::PipelinedConnector::silence_limit)).
    pub fn is_closed(&self) -> bool {
        self.0.conn.is_closed() || self.0.desk.vitals.is_ended()
    }

    /// How many prepared statements the cache holds.
    pub fn cached_statements(&self) -> usize {
        self.0.conn.cached_statements()
    }

    async fn run(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
        wanted: Wanted,
    ) -> Result<Reply, PipelinedError> {
        let kept = self.kept(sql);
        if kept.is_none() {
            // What is kept was judged when it was prepared.
            self.stands_alone(sql)?;
        }
        let calls = Calls {
            scope: Scope::Shared,
            ..self.0.conn.calls()
        };
        let attempt = async {
            let statement = match kept {
                Some(statement) => statement,
                None => self.prepared(sql).await?,
            };
            let result = self.ask(&statement, params, wanted).await;
            match result {
                Err(NoReply::Failed(error)) if calls.may_be_retried(&statement, &error) => {
                    self.ask(&self.prepared(sql).await?, params, wanted).await
                }
                result => result,
            }
        };
        attempt.await.map_err(|none| self.explain(none))
    }

    async fn prepared(&self, sql: &str) -> Result<Statement, NoReply> {
        match self.kept(sql) {
            Some(statement) => Ok(statement),
            None => {
                let session = self.0.conn.session();
                self.answered(self.0.desk.prepare(sql, session)).await
            }
        }
    }

    fn kept(&self, sql: &str) -> Option<Statement> {
        let names = self.0.conn.session().names();
        self.0.desk.statements.find(names, sql)
    }

    fn stands_alone(&self, sql: &str) -> Result<(), PipelinedError> {
        match self.0.conn.session().judge().entanglement(sql) {
            None => Ok(()),
            Some(Entanglement::Word(word)) => {
                Err(PipelinedError::NeedsExclusive { word: word.into() })
            }
            Some(Entanglement::Function(name)) => {
                Err(PipelinedError::UntrustedFunction { name: name.into() })
            }
            Some(Entanglement::Opaque) => Err(PipelinedError::Ambiguous),
        }
    }

    async fn ask(
        &self,
        statement: &Statement,
        params: &[&(dyn ToSql + Sync)],
        wanted: Wanted,
    ) -> Result<Reply, NoReply> {
        let encoded = params::encode(params, statement.params());
        let request = match self.0.conn.session().peer() {
            Peer::Server => Request::Prepared(statement.clone(), encoded),
            Peer::TransactionPooler => {
                let types = statement.params().iter().cloned();
                let params = encoded.into_iter().zip(types);
                Request::Typed(statement.text().into(), params.collect())
            }
        };
        self.answered(self.0.desk.send(request, wanted)).await
    }

    /// Sends what leaves nothing in the session, and waits for the answer of its task, or the end of the
    /// connection.
    async fn answered<T: Send + 'static>(&self, mut answer: Answer<T>) -> Result<T, NoReply> {
        let vitals = &*self.0.desk.vitals;
        if vitals.is_ended() {
            return Err(NoReply::Ended);
        }
        let call = self.0.conn.session().begin(Traces::None);
        let waiting = vitals.wait();
        let mut ended = pin!(vitals.ended());
        let answer = poll_fn(|cx| {
            if let Poll::Ready(answer) = answer.poll(cx) {
                return Poll::Ready(answer);
            }
            // In this order: an end after the look finds who waits.
            let _ = ended.as_mut().poll(cx);
            match vitals.end_reason() {
                Some(_) => Poll::Ready(Err(NoReply::Ended)),
                None => Poll::Pending,
            }
        })
        .await;
        waiting.end();
        match &answer {
            Ok(_) | Err(NoReply::TooLarge) => call.complete(),
            Err(NoReply::Failed(error)) => call.fail(error),
            Err(NoReply::Ended) => drop(call),
        }
        answer
    }

    fn row_count(&self, rows: usize, wanted: &'static str) -> PipelinedError {
        PipelinedError::RowCount {
            endpoint: self.0.endpoint.clone(),
            rows,
            wanted,
        }
    }

    /// An error of a connection that ended says only that; what ended it says more.
    fn explain(&self, none: NoReply) -> PipelinedError {
        let endpoint = self.0.endpoint.clone();
        let cause = match none {
            NoReply::TooLarge => {
                let bound = self.0.desk.account.bound();
                return PipelinedError::TooLarge { endpoint, bound };
            }
            NoReply::Failed(cause) if !cause.is_closed() => {
                let session = self.0.conn.session();
                if cause
                    .code()
                    .is_some_and(|code| session.may_be_demotion(code))
                {
                    // No statement here asks for it, and the next dial may meet another server.
                    session.doom();
                }
                return PipelinedError::Failed { endpoint, cause };
            }
            NoReply::Failed(cause) => Some(cause),
            NoReply::Ended => None,
        };
        let given_up = self.0.desk.vitals.end_reason().map(String::from);
        let said = || {
            self.0
                .conn
                .end_reason()
                .or_else(|| cause.as_ref().map(causes))
        };
        let reason = given_up.or_else(said);
        PipelinedError::Closed {
            endpoint,
            reason: reason.unwrap_or_else(|| "its runtime was shut down".into()),
            cause,
        }
    }

    /// Whether a caller who comes now can use it beside those it has.
    pub(super) fn is_fit(&self) -> bool {
        self.0.conn.is_fit() && self.0.conn.keeps_role() && !self.0.desk.vitals.is_ended()
    }

    pub(super) fn vitals(&self) -> &Arc<Vitals> {
        &self.0.desk.vitals
    }

    /// The connection beneath, while there is no clone.
    pub(super) fn exclusive_mut(&mut self) -> Option<&mut PgConnection> {
        Arc::get_mut(&mut self.0).map(|parts| &mut parts.conn)
    }

    pub(super) fn exclusive(&self) -> &PgConnection {
        &self.0.conn
    }

    /// Its pool has no use for it any more: clones find it ended.
    pub(super) fn leave(&self) {
        if Arc::strong_count(&self.0) > 1 {
            self.0.conn.give_up().now();
        }
    }

    /// Says goodbye to the server and waits until that has ended the session, for a second at most. One with a clone is just dropped.
    pub(super) async fn close(self) {
        // The rest goes first: it uses the connection.
        let unshared = Arc::try_unwrap(self.0).map(|parts| parts.conn);
        if let Ok(conn) = unshared {
            conn.close().await;
        }
    }
}

impl fmt::Debug for PipelinedConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PipelinedConnection")
            .field(&self.0.conn)
            .finish()
    }
}
