//! The calls that connections and transactions share, each tracked from before it is sent until its
//! whole reply is there.
//!
//! The methods are inherent on both types, so that they win over those of the driver's client that the
//! types dereference to.

use std::error::Error as _;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type, WrongType};
use tokio_postgres::{Client, Error, Row};

use crate::session::{Peer, Session};
use crate::statement::{Keeping, Statement};
use crate::statements::Statements;
use crate::traces::Traces;

pub(crate) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

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

impl Calls<'_> {
    pub(crate) async fn prepare(self, sql: &str) -> Result<Statement, Error> {
        self.prepare_for(sql, Keeping::Nowhere).await
    }

    pub(crate) async fn prepare_cached(self, sql: &str) -> Result<Statement, Error> {
        let prepare = || self.prepare_for(sql, Keeping::Cache);
        let names = self.session.names();
        self.statements.find_or_prepare(names, sql, prepare).await
    }

    async fn prepare_for(self, sql: &str, keeping: Keeping) -> Result<Statement, Error> {
        let names = self.session.names();
        let call = self.session.begin(Traces::None);
        let prepared = self.client.prepare(sql).await;
        call.end(&prepared);
        let traces = self.session.judge().of_statement(sql);
        Ok(Statement::new(prepared?, sql, traces, names, keeping))
    }

    /// Runs a prepared statement; where the server can no longer run it and nothing was done, prepares it anew
    /// and runs it once more.
    pub(crate) async fn run<T, F>(
        self,
        statement: &Statement,
        run: impl Fn(Statement) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut latest = statement.latest().clone();
        if latest.is_stale() {
            latest = self.prepare_anew(&latest).await?;
        }
        match self.run_once(&latest, &run).await {
            Err(error) if self.may_be_retried(&latest, &error) => {
                latest = self.prepare_anew(&latest).await?;
                self.run_once(&latest, &run).await
            }
            result => result,
        }
    }

    async fn run_once<T, F>(
        self,
        statement: &Statement,
        run: impl Fn(Statement) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let call = self
            .session
            .begin_text(statement.traces(), statement.text());
        let result = run(statement.clone()).await;
        call.end(&result);
        result
    }

    async fn prepare_anew(self, stale: &Statement) -> Result<Statement, Error> {
        let successor = match stale.keeping() {
            Keeping::Cache => self.prepare_cached(stale.text()).await?,
            Keeping::Nowhere => self.prepare(stale.text()).await?,
        };
        if !successor.is(stale) {
            stale.succeeded_by(successor.clone());
        }
        Ok(successor)
    }

    /// Forgets a statement that failed if the server can no longer run it, and says whether to prepare and run it
    /// once more: not where the failure ended a transaction, nor for a statement that may have committed something
    /// before it failed.
    pub(crate) fn may_be_retried(self, statement: &Statement, error: &Error) -> bool {
        let Some(staleness) = staleness(error, statement) else {
            return false;
        };
        statement.turned_stale();
        self.statements
            .forget(statement.names(), statement.text(), |kept| {
                kept.is(statement)
            });
        match staleness {
            // The driver's own statements, for looking up types, are gone with it.
            Staleness::Deallocated => self.session.doom(),
            Staleness::Types | Staleness::NotSent => self.client.clear_type_cache(),
            Staleness::Columns => {}
        }
        let in_transaction = match self.scope {
            Scope::Alone => self.session.may_be_in_transaction(),
            Scope::Transaction => true,
            Scope::Shared => false,
        };
        staleness == Staleness::NotSent
            || !in_transaction && matches!(statement.traces(), Traces::None | Traces::State)
    }

    pub(crate) async fn rows(
        self,
        statement: &Statement,
        params: Params<'_>,
    ) -> Result<Vec<Row>, Error> {
        self.run(statement, |statement| async move {
            match self.session.peer() {
                Peer::Server => self.client.query(&*statement, params).await,
                Peer::TransactionPooler => {
                    let params = typed(&statement, params);
                    self.client.query_typed(statement.text(), &params).await
                }
            }
        })
        .await
    }

    pub(crate) async fn row(self, statement: &Statement, params: Params<'_>) -> Result<Row, Error> {
        self.run(statement, |statement| async move {
            match self.session.peer() {
                Peer::Server => self.client.query_one(&*statement, params).await,
                Peer::TransactionPooler => {
                    let params = typed(&statement, params);
                    self.client.query_typed_one(statement.text(), &params).await
                }
            }
        })
        .await
    }

    pub(crate) async fn row_or_none(
        self,
        statement: &Statement,
        params: Params<'_>,
    ) -> Result<Option<Row>, Error> {
        self.run(statement, |statement| async move {
            match self.session.peer() {
                Peer::Server => self.client.query_opt(&*statement, params).await,
                Peer::TransactionPooler => {
                    let params = typed(&statement, params);
                    self.client.query_typed_opt(statement.text(), &params).await
                }
            }
        })
        .await
    }

    pub(crate) async fn changed(
        self,
        statement: &Statement,
        params: Params<'_>,
    ) -> Result<u64, Error> {
        self.run(statement, |statement| async move {
            match self.session.peer() {
                Peer::Server => self.client.execute(&*statement, params).await,
                Peer::TransactionPooler => {
                    let params = typed(&statement, params);
                    self.client.execute_typed(statement.text(), &params).await
                }
            }
        })
        .await
    }
}

/// The parameters with the types for which the statement was prepared. One too many is left out, and one missing
/// is an error of the server's.
fn typed<'a>(statement: &Statement, params: Params<'a>) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    let types = statement.params().iter().cloned();
    params.iter().copied().zip(types).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Staleness {
    /// The tables changed, and with them the columns of the result.
    Columns,
    /// A type is gone, though one of its name may be there again.
    Types,
    /// A parameter does not fit a type that the driver knows from before. Nothing was sent.
    NotSent,
    /// Somebody dropped the statement on the server.
    Deallocated,
}

fn staleness(error: &Error, statement: &Statement) -> Option<Staleness> {
    let Some(error) = error.as_db_error() else {
        let misfit = error.source().is_some_and(|cause| cause.is::<WrongType>());
        let own = |kind: &Type| Type::from_oid(kind.oid()).is_none();
        return (misfit && statement.params().iter().any(own)).then_some(Staleness::NotSent);
    };
    // A code alone may be too general, and most messages are translated: a routine's name is neither.
    match error.code() {
        code if *code == SqlState::INVALID_SQL_STATEMENT_NAME => Some(Staleness::Deallocated),
        code if *code == SqlState::FEATURE_NOT_SUPPORTED => {
            (error.routine() == Some("RevalidateCachedQuery")).then_some(Staleness::Columns)
        }
        // An internal error's message is not translated.
        code if *code == SqlState::INTERNAL_ERROR => error
            .message()
            .starts_with("cache lookup failed for type")
            .then_some(Staleness::Types),
        code if *code == SqlState::UNDEFINED_OBJECT => {
            (error.routine() == Some("lookup_type_cache")).then_some(Staleness::Types)
        }
        _ => None,
    }
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
