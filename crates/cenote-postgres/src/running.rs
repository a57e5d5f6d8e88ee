//! Prepares statements and runs prepared ones; one that the server can no longer run is prepared anew.
//!
//! Promises to repeat a statement only where nothing was done.

use std::error::Error as _;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type, WrongType};
use tokio_postgres::{Error, Row};

use crate::calls::{Calls, Scope};
use crate::session::Peer;
use crate::statement::{Keeping, Made, Statement};
use crate::traces::Traces;

pub(crate) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

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
        let made = Made {
            session: self.session.id(),
            names: self.session.names(),
            keeping,
        };
        let call = self.session.begin(Traces::None);
        let prepared = match self.session.peer() {
            Peer::Server => {
                let preparation = self.session.status().preparations().begin();
                let prepared = self.client.prepare(&preparation.tagged(sql)).await;
                // Any other error may have come after the server prepared it.
                if prepared
                    .as_ref()
                    .err()
                    .is_none_or(|error| error.as_db_error().is_some())
                {
                    preparation.end();
                }
                prepared
            }
            // It has no name there.
            Peer::TransactionPooler => self.client.prepare(sql).await,
        };
        call.end(&prepared);
        let traces = self.session.judge().of_statement(sql);
        Ok(Statement::new(prepared?, sql, traces, made))
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
        if latest.made().session != self.session.id() {
            latest = self.prepare_like(&latest).await?;
        } else if latest.is_stale() {
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
        let successor = self.prepare_like(stale).await?;
        if !successor.is(stale) {
            stale.succeeded_by(successor.clone());
        }
        Ok(successor)
    }

    async fn prepare_like(self, other: &Statement) -> Result<Statement, Error> {
        match other.made().keeping {
            Keeping::Cache => self.prepare_cached(other.text()).await,
            Keeping::Nowhere => self.prepare(other.text()).await,
        }
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
            .forget(statement.made().names, statement.text(), |kept| {
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
