//! The calls that connections and transactions share, each tracked from before it is sent until its
//! whole reply is there.
//!
//! The methods are inherent on both types, so that they win over those of the driver's client that the
//! types dereference to.

use tokio_postgres::Client;

use crate::session::Session;
use crate::statements::Statements;

/// Where calls run.
#[derive(Clone, Copy)]
pub(crate) struct Calls<'a> {
    pub(crate) client: &'a Client,
    pub(crate) session: &'a Session,
    pub(crate) statements: &'a Statements,
    pub(crate) scope: Scope,
}

/// Whether a failed statement takes others with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Alone,
    Transaction,
    /// Nor is any call beside it in a transaction: those are refused.
    Shared,
}

/// Defines the calls on a type with a method `calls(&self) -> Calls<'_>`.
macro_rules! define_calls {
    () => {
        /// Runs a statement and returns its rows. SQL text without parameters takes one round trip. With
        /// parameters it is prepared for the types the server expects, run and closed again, which takes
        /// two; [`query_cached`](Self::query_cached) takes one.
        ///
        /// # Errors
        ///
        /// What the server, the connection or the conversion of a parameter says. When cancelled, or
        /// failed other than by the server, the connection is reset at its return.
        pub async fn query<Q: ?Sized + $crate::Sql>(
            &self,
            sql: &Q,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<Vec<Row>, Error> {
            let calls = self.calls();
            let what = match sql.what() {
                What::Text(text) if params.is_empty() => {
                    let traces = calls.session.judge().of_statement(text);
                    let call = calls.session.begin_text(traces, text);
                    let result = calls.client.query_typed(text, &[]).await;
                    call.end(&result);
                    return result;
                }
                What::Text(text) => &calls.prepare(text).await?,
                What::Driver(statement) => {
                    let call = calls.session.begin($crate::traces::Traces::Transaction);
                    let result = calls.client.query(statement, params).await;
                    call.end(&result);
                    return result;
                }
                What::Statement(statement) => statement,
            };
            calls.rows(what, params).await
        }

        /// Runs a statement that returns exactly one row.
        ///
        /// # Errors
        ///
        /// As [`query`](Self::query), and when there is no row or more than one: then too the connection
        /// is reset at its return, so prefer [`query_opt`](Self::query_opt) where no row is usual.
        pub async fn query_one<Q: ?Sized + $crate::Sql>(
            &self,
            sql: &Q,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<Row, Error> {
            let calls = self.calls();
            let what = match sql.what() {
                What::Text(text) if params.is_empty() => {
                    let traces = calls.session.judge().of_statement(text);
                    let call = calls.session.begin_text(traces, text);
                    let result = calls.client.query_typed_one(text, &[]).await;
                    call.end(&result);
                    return result;
                }
                What::Text(text) => &calls.prepare(text).await?,
                What::Driver(statement) => {
                    let call = calls.session.begin($crate::traces::Traces::Transaction);
                    let result = calls.client.query_one(statement, params).await;
                    call.end(&result);
                    return result;
                }
                What::Statement(statement) => statement,
            };
            calls.row(what, params).await
        }

        /// Runs a statement that returns one row or none.
        ///
        /// # Errors
        ///
        /// As [`query`](Self::query), and when there is more than one row.
        pub async fn query_opt<Q: ?Sized + $crate::Sql>(
            &self,
            sql: &Q,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<Option<Row>, Error> {
            let calls = self.calls();
            let what = match sql.what() {
                What::Text(text) if params.is_empty() => {
                    let traces = calls.session.judge().of_statement(text);
                    let call = calls.session.begin_text(traces, text);
                    let result = calls.client.query_typed_opt(text, &[]).await;
                    call.end(&result);
                    return result;
                }
                What::Text(text) => &calls.prepare(text).await?,
                What::Driver(statement) => {
                    let call = calls.session.begin($crate::traces::Traces::Transaction);
                    let result = calls.client.query_opt(statement, params).await;
                    call.end(&result);
                    return result;
                }
                What::Statement(statement) => statement,
            };
            calls.row_or_none(what, params).await
        }

        /// Runs a statement and returns how many rows it changed.
        ///
        /// # Errors
        ///
        /// As [`query`](Self::query).
        pub async fn execute<Q: ?Sized + $crate::Sql>(
            &self,
            sql: &Q,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<u64, Error> {
            let calls = self.calls();
            let what = match sql.what() {
                What::Text(text) if params.is_empty() => {
                    let traces = calls.session.judge().of_statement(text);
                    let call = calls.session.begin_text(traces, text);
                    let result = calls.client.execute_typed(text, &[]).await;
                    call.end(&result);
                    return result;
                }
                What::Text(text) => &calls.prepare(text).await?,
                What::Driver(statement) => {
                    let call = calls.session.begin($crate::traces::Traces::Transaction);
                    let result = calls.client.execute(statement, params).await;
                    call.end(&result);
                    return result;
                }
                What::Statement(statement) => statement,
            };
            calls.changed(what, params).await
        }

        /// As [`query`](Self::query), with the statement taken from the connection's cache or, the first
        /// time, prepared and put there.
        ///
        /// When tables changed since it was prepared, so that the server refuses it, it is prepared anew
        /// and run once more, unless a transaction is open.
        ///
        /// # Errors
        ///
        /// As [`query`](Self::query).
        pub async fn query_cached(
            &self,
            sql: &str,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<Vec<Row>, Error> {
            let calls = self.calls();
            let statement = calls.prepare_cached(sql).await?;
            calls.rows(&statement, params).await
        }

        /// As [`query_one`](Self::query_one), with the connection's cache as in
        /// [`query_cached`](Self::query_cached).
        ///
        /// # Errors
        ///
        /// As [`query_one`](Self::query_one).
        pub async fn query_one_cached(
            &self,
            sql: &str,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<Row, Error> {
            let calls = self.calls();
            let statement = calls.prepare_cached(sql).await?;
            calls.row(&statement, params).await
        }

        /// As [`query_opt`](Self::query_opt), with the connection's cache as in
        /// [`query_cached`](Self::query_cached).
        ///
        /// # Errors
        ///
        /// As [`query_opt`](Self::query_opt).
        pub async fn query_opt_cached(
            &self,
            sql: &str,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<Option<Row>, Error> {
            let calls = self.calls();
            let statement = calls.prepare_cached(sql).await?;
            calls.row_or_none(&statement, params).await
        }

        /// As [`execute`](Self::execute), with the connection's cache as in
        /// [`query_cached`](Self::query_cached).
        ///
        /// # Errors
        ///
        /// As [`execute`](Self::execute).
        pub async fn execute_cached(
            &self,
            sql: &str,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<u64, Error> {
            let calls = self.calls();
            let statement = calls.prepare_cached(sql).await?;
            calls.changed(&statement, params).await
        }

        /// Runs a statement in one round trip without a prepared statement; the types of the parameters
        /// are given instead.
        ///
        /// # Errors
        ///
        /// As [`query`](Self::query).
        pub async fn query_typed(
            &self,
            sql: &str,
            params: &[(&(dyn ToSql + Sync), Type)],
        ) -> Result<Vec<Row>, Error> {
            let calls = self.calls();
            let traces = calls.session.judge().of_statement(sql);
            let call = calls.session.begin_text(traces, sql);
            let result = calls.client.query_typed(sql, params).await;
            call.end(&result);
            result
        }

        /// Prepares a statement that only its holder uses. One round trip.
        ///
        /// # Errors
        ///
        /// As [`query`](Self::query).
        pub async fn prepare(&self, sql: &str) -> Result<Statement, Error> {
            self.calls().prepare(sql).await
        }

        /// The statement of the connection's cache for this text, prepared and put there the first time.
        ///
        /// # Errors
        ///
        /// As [`query`](Self::query).
        pub async fn prepare_cached(&self, sql: &str) -> Result<Statement, Error> {
            self.calls().prepare_cached(sql).await
        }

        /// Runs any number of statements, separated by semicolons, without parameters. What they leave in
        /// the session is unknown: the connection is reset at its return.
        ///
        /// A `COMMIT` in the text, here as in the other calls, is believed: where the transaction has failed, the
        /// server rolls it back and tells of no error. The transaction of
        /// [`transaction`](crate::PgConnection::transaction) tells.
        ///
        /// # Errors
        ///
        /// As [`query`](Self::query). `COPY ... FROM STDIN` is not possible here.
        pub async fn batch_execute(&self, sql: &str) -> Result<(), Error> {
            let calls = self.calls();
            let traces = calls.session.judge().of_batch(sql);
            let call = calls.session.begin_text(traces, sql);
            let result = calls.client.batch_execute(sql).await;
            call.end(&result);
            result
        }

        /// As [`batch_execute`](Self::batch_execute), and returns the rows, as text.
        ///
        /// # Errors
        ///
        /// As [`batch_execute`](Self::batch_execute).
        pub async fn simple_query(&self, sql: &str) -> Result<Vec<SimpleQueryMessage>, Error> {
            let calls = self.calls();
            let traces = calls.session.judge().of_batch(sql);
            let call = calls.session.begin_text(traces, sql);
            let result = calls.client.simple_query(sql).await;
            call.end(&result);
            result
        }
    };
}

pub(crate) use define_calls;
