//! The calls that connections and transactions share, each tracked from before it is sent until its
//! whole reply is there.
//!
//! The methods are inherent on both types, so that they win over those of the driver's client that the
//! types dereference to.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use crate::session::Session;
use crate::statements::{Statement, Statements};
use crate::traces::{self, Traces};

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
        let call = self.session.begin(Traces::None);
        let prepared = self.client.prepare(sql).await;
        call.end(&prepared);
        Ok(Statement::new(prepared?, traces::of_statement(sql)))
    }

    pub(crate) async fn prepare_cached(self, sql: &str) -> Result<Statement, Error> {
        let prepare = || self.prepare(sql);
        self.statements.find_or_prepare(sql, prepare).await
    }

    /// Forgets a cached statement that the server can no longer run, and says whether to prepare and run
    /// it once more: not where the failure ended a transaction, nor for a statement that may have
    /// committed something before it failed.
    pub(crate) fn is_worth_a_retry<T>(
        self,
        statement: &Statement,
        sql: &str,
        result: &Result<T, Error>,
    ) -> bool {
        let failed = result.as_ref().err();
        failed.is_some_and(|error| self.may_be_retried(statement, sql, error))
    }

    /// As [`is_worth_a_retry`](Self::is_worth_a_retry), after this failure.
    pub(crate) fn may_be_retried(self, statement: &Statement, sql: &str, error: &Error) -> bool {
        let Some(staleness) = staleness(error) else {
            return false;
        };
        self.statements.forget(sql, |kept| kept.is(statement));
        if staleness == Staleness::Deallocated {
            // The driver's own statements, for looking up types, are gone with it.
            self.session.doom();
        }
        let in_transaction = match self.scope {
            Scope::Alone => self.session.may_be_in_transaction(),
            Scope::Transaction => true,
            Scope::Shared => false,
        };
        !in_transaction && matches!(statement.traces(), Traces::None | Traces::State)
    }
}

#[derive(PartialEq, Eq)]
enum Staleness {
    /// The tables changed, and with them the columns of the result.
    ResultChanged,
    /// Somebody dropped the statement on the server.
    Deallocated,
}

fn staleness(error: &Error) -> Option<Staleness> {
    let error = error.as_db_error()?;
    if *error.code() == SqlState::INVALID_SQL_STATEMENT_NAME {
        return Some(Staleness::Deallocated);
    }
    // The code alone is too general, and the message is translated; the routine's name is neither.
    let changed = *error.code() == SqlState::FEATURE_NOT_SUPPORTED
        && error.routine() == Some("RevalidateCachedQuery");
    changed.then_some(Staleness::ResultChanged)
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
            let call = calls.session.begin(sql.traces());
            let result = match sql.text() {
                Some(text) if params.is_empty() => calls.client.query_typed(text, &[]).await,
                _ => calls.client.query(sql.raw(), params).await,
            };
            call.end(&result);
            result
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
            let call = calls.session.begin(sql.traces());
            let result = match sql.text() {
                Some(text) if params.is_empty() => calls.client.query_typed_one(text, &[]).await,
                _ => calls.client.query_one(sql.raw(), params).await,
            };
            call.end(&result);
            result
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
            let call = calls.session.begin(sql.traces());
            let result = match sql.text() {
                Some(text) if params.is_empty() => calls.client.query_typed_opt(text, &[]).await,
                _ => calls.client.query_opt(sql.raw(), params).await,
            };
            call.end(&result);
            result
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
            let call = calls.session.begin(sql.traces());
            let result = match sql.text() {
                Some(text) if params.is_empty() => calls.client.execute_typed(text, &[]).await,
                _ => calls.client.execute(sql.raw(), params).await,
            };
            call.end(&result);
            result
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
            let result = self.query(&statement, params).await;
            if calls.is_worth_a_retry(&statement, sql, &result) {
                return self.query(&calls.prepare_cached(sql).await?, params).await;
            }
            result
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
            let result = self.query_one(&statement, params).await;
            if calls.is_worth_a_retry(&statement, sql, &result) {
                return self
                    .query_one(&calls.prepare_cached(sql).await?, params)
                    .await;
            }
            result
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
            let result = self.query_opt(&statement, params).await;
            if calls.is_worth_a_retry(&statement, sql, &result) {
                return self
                    .query_opt(&calls.prepare_cached(sql).await?, params)
                    .await;
            }
            result
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
            let result = self.execute(&statement, params).await;
            if calls.is_worth_a_retry(&statement, sql, &result) {
                return self
                    .execute(&calls.prepare_cached(sql).await?, params)
                    .await;
            }
            result
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
            let call = calls.session.begin($crate::traces::of_statement(sql));
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
            let call = calls.session.begin($crate::traces::of_batch(sql));
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
            let call = calls.session.begin($crate::traces::of_batch(sql));
            let result = calls.client.simple_query(sql).await;
            call.end(&result);
            result
        }
    };
}

pub(crate) use define_calls;
