//! One session with the server, and what its many users can do with it at once.

use std::fmt;
use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::PipelinedError;
use crate::calls::{Calls, Scope};
use crate::connection::PgConnection;
use crate::error::causes;
use crate::statements::Statement;
use crate::traces;

/// A PostgreSQL connection that many users share: every call takes `&self`, and a statement is sent while the
/// answers to earlier ones are still on their way.
///
/// The server runs the statements of one connection one after the other, in the order they came. That saves
/// the round trips between them and costs no session for each user, but *a slow statement holds up all those
/// behind it*: short statements belong here, reports and bulk work on a lease of their own.
///
/// Each statement is a transaction of its own. One that opens a transaction, or reads or changes what a
/// session keeps, is refused before it is sent, as far as its text shows: only `SELECT`, `INSERT`, `UPDATE`,
/// `DELETE`, `MERGE`, `WITH`, `VALUES`, `TABLE` and `SHOW` are sent, and these not when they name
/// `set_config`, `setseed`, `currval`, `lastval`, a session advisory lock or a temporary table. State that a
/// *function* changes from within such a statement is not seen, and reaches the other users: keep such
/// functions off shared connections.
///
/// Statements run prepared, and stay prepared for all users of the connection, least recently used first out
/// ([`PostgresConnector::statement_cache`](crate::PostgresConnector::statement_cache)); those who ask for a
/// new text at the same time have it prepared once. A statement that the server refuses because tables changed
/// since is prepared anew and run once more.
///
/// A call is cancelled by dropping its future. If it was sent, the server still runs it; its answer is read
/// and dropped, and no other user sees it.
pub struct PipelinedConnection {
    conn: PgConnection,
    endpoint: Arc<str>,
}

impl PipelinedConnection {
    pub(super) fn new(conn: PgConnection, endpoint: Arc<str>) -> Self {
        Self { conn, endpoint }
    }

    /// Runs a statement and returns its rows.
    ///
    /// # Errors
    ///
    /// [`PipelinedError::NeedsExclusive`] if it does not stand alone: nothing was sent.
    /// [`PipelinedError::Closed`] if the connection ended first. [`PipelinedError::Failed`] for everything
    /// else; the other users' statements are not affected.
    pub async fn query(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PipelinedError> {
        self.run(sql, |statement| async move {
            self.conn.query(&statement, params).await
        })
        .await
    }

    /// Runs a statement that returns exactly one row.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query), and when there is no row or more than one.
    pub async fn query_one(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, PipelinedError> {
        self.run(sql, |statement| async move {
            self.conn.query_one(&statement, params).await
        })
        .await
    }

    /// Runs a statement that returns one row or none.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query), and when there is more than one row.
    pub async fn query_opt(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, PipelinedError> {
        self.run(sql, |statement| async move {
            self.conn.query_opt(&statement, params).await
        })
        .await
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
        self.run(sql, |statement| async move {
            self.conn.execute(&statement, params).await
        })
        .await
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
        stands_alone(sql)?;
        let result = self.conn.query_typed(sql, params).await;
        result.map_err(|source| self.explain(source))
    }

    /// Whether the connection ended. A peer that vanished without a word is not noticed by this.
    pub fn is_closed(&self) -> bool {
        self.conn.is_closed()
    }

    /// How many prepared statements the cache holds.
    pub fn cached_statements(&self) -> usize {
        self.conn.cached_statements()
    }

    async fn run<T, F>(&self, sql: &str, call: impl Fn(Statement) -> F) -> Result<T, PipelinedError>
    where
        F: Future<Output = Result<T, tokio_postgres::Error>>,
    {
        stands_alone(sql)?;
        let calls = Calls {
            scope: Scope::Shared,
            ..self.conn.calls()
        };
        let attempt = async {
            let statement = calls.prepare_cached(sql).await?;
            let result = call(statement.clone()).await;
            if calls.is_worth_a_retry(&statement, sql, &result) {
                return call(calls.prepare_cached(sql).await?).await;
            }
            result
        };
        attempt.await.map_err(|source| self.explain(source))
    }

    /// An error of a connection that ended says only that; what ended it says more.
    fn explain(&self, source: tokio_postgres::Error) -> PipelinedError {
        let endpoint = self.endpoint.clone();
        if !source.is_closed() {
            return PipelinedError::Failed { endpoint, source };
        }
        let reason = causes(self.conn.end().unwrap_or(&source));
        PipelinedError::Closed {
            endpoint,
            reason,
            source,
        }
    }

    pub(super) fn exclusive(&self) -> &PgConnection {
        &self.conn
    }

    pub(super) fn exclusive_mut(&mut self) -> &mut PgConnection {
        &mut self.conn
    }

    pub(super) fn into_exclusive(self) -> PgConnection {
        self.conn
    }
}

fn stands_alone(sql: &str) -> Result<(), PipelinedError> {
    match traces::entangling_word(sql) {
        None => Ok(()),
        Some(word) => Err(PipelinedError::NeedsExclusive { word: word.into() }),
    }
}

impl fmt::Debug for PipelinedConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PipelinedConnection")
            .field(&self.conn)
            .finish()
    }
}
