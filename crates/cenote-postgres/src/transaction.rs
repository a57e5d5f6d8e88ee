//! Transactions, and nested ones as savepoints, with the calls of a connection.
//!
//! Promises that a transaction neither committed nor rolled back to the end leaves its session marked.

use std::fmt;
use std::ops::Deref;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{
    Error, IsolationLevel, Row, SimpleQueryMessage, Transaction, TransactionBuilder,
};

use crate::calls::{Calls, Scope, define_calls};
use crate::driver::CancelToken;
use crate::session::{Call, Names, Session};
use crate::sql::sealed::What;
use crate::statement::Statement;
use crate::statements::Statements;
use crate::traces::Traces;

/// An open transaction of a [`PgConnection`](crate::PgConnection).
///
/// Dropped before [`commit`](Self::commit) or [`rollback`](Self::rollback) came to its end, it is rolled
/// back, and the connection is reset at its return. Portals, `COPY` and the rest of what the driver's
/// transaction can do are reached by dereferencing, which means a reset at return as well.
pub struct PgTransaction<'a> {
    transaction: Transaction<'a>,
    /// Runs as long as the transaction; a nested one leaves that to the outermost.
    call: Option<Call<'a>>,
    /// As names resolved when it began.
    names: Names,
    session: &'a Session,
    statements: &'a Statements,
    cancel: &'a CancelToken,
}

/// In a failed transaction, or outside any, the savepoint is an error, and the server skips the rest. A COMMIT by
/// itself would be answered there as if it had committed.
const COMMIT: &str = "SAVEPOINT cenote_commit;COMMIT";

/// Outside a transaction the first is an error. A ROLLBACK by itself would only be warned of.
const ROLLBACK_IF_OPEN: &str = "ROLLBACK AND CHAIN;ROLLBACK";

/// Lets go of an outermost transaction after an attempt to end it; rolls it back where that left it open.
async fn end(transaction: Transaction<'_>, attempt: &Result<(), Error>) {
    if attempt.as_ref().is_err_and(leaves_it_open) {
        // The first error is the one to be told.
        let _ = transaction.rollback().await;
    } else {
        // Dropped, it would be rolled back.
        std::mem::forget(transaction);
    }
}

/// Whether a transaction may still be open after an error of its end. What a commit itself finds fails it for good.
fn leaves_it_open(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        let is_commits_own = code.code().starts_with("23") || code.code().starts_with("40");
        *code != SqlState::NO_ACTIVE_SQL_TRANSACTION && !is_commits_own
    })
}

impl PgTransaction<'_> {
    fn calls(&self) -> Calls<'_> {
        Calls {
            client: self.transaction.client(),
            session: self.session,
            statements: self.statements,
            scope: Scope::Transaction,
        }
    }

    define_calls!();

    /// Makes the changes permanent; in a nested transaction, part of the outer one.
    ///
    /// # Errors
    ///
    /// What the server or the connection says. That a statement failed before, so that there is nothing to
    /// commit, is an error as well (SQLSTATE 25P02), and so is a transaction that a statement of its own has
    /// already ended (25P01), be it by a commit. After any other error of the server nothing was committed; after
    /// a broken connection, or when cancelled, nobody knows. Where an error left the transaction open, it is
    /// rolled back.
    pub async fn commit(self) -> Result<(), Error> {
        let Self {
            transaction,
            call,
            session,
            names,
            ..
        } = self;
        let wait = session.vigil().wait();
        let Some(call) = call else {
            // Releasing the savepoint of a failed transaction is an error by itself.
            let result = transaction.commit().await;
            wait.over();
            return result;
        };
        let result = transaction.client().batch_execute(COMMIT).await;
        match &result {
            Ok(()) => session.names_committed(names),
            Err(_) => session.names_rolled_back(names),
        }
        end(transaction, &result).await;
        wait.over();
        call.end(&result);
        result
    }

    /// Undoes the changes, and waits for the server to say so.
    ///
    /// # Errors
    ///
    /// What the connection says: the changes are undone all the same. And that a statement of the transaction has
    /// already ended it (SQLSTATE 25P01), be it by a commit: there was nothing left to undo.
    pub async fn rollback(self) -> Result<(), Error> {
        let Self {
            transaction,
            call,
            session,
            names,
            ..
        } = self;
        session.names_rolled_back(names);
        let wait = session.vigil().wait();
        let Some(call) = call else {
            let result = transaction.rollback().await;
            wait.over();
            return result;
        };
        let result = if session.may_have_ended_transaction() {
            transaction.client().batch_execute(ROLLBACK_IF_OPEN).await
        } else {
            transaction.client().batch_execute("ROLLBACK").await
        };
        end(transaction, &result).await;
        wait.over();
        call.end(&result);
        result
    }

    /// Begins a nested transaction, as a savepoint.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn transaction(&mut self) -> Result<PgTransaction<'_>, Error> {
        let wait = self.session.vigil().wait();
        let nested = self.transaction.transaction().await;
        wait.over();
        Ok(PgTransaction {
            transaction: nested?,
            call: None,
            names: self.session.names(),
            session: self.session,
            statements: self.statements,
            cancel: self.cancel,
        })
    }

    /// A handle that asks the server to cancel what runs on this connection, which is then closed at its
    /// return: see [`PgConnection::cancel_token`](crate::PgConnection::cancel_token).
    pub fn cancel_token(&self) -> CancelToken {
        self.session.doom();
        self.cancel.clone()
    }
}

/// Every access counts as use that nobody tracks: the session is reset at its return.
impl<'a> Deref for PgTransaction<'a> {
    type Target = Transaction<'a>;

    fn deref(&self) -> &Transaction<'a> {
        self.session.opened_up();
        &self.transaction
    }
}

impl fmt::Debug for PgTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgTransaction")
            .field("nested", &self.call.is_none())
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// The characteristics of a transaction to be begun. Unset ones are the session's defaults.
#[must_use = "nothing begins before `start`"]
pub struct PgTransactionBuilder<'a> {
    builder: TransactionBuilder<'a>,
    session: &'a Session,
    statements: &'a Statements,
    cancel: &'a CancelToken,
}

impl<'a> PgTransactionBuilder<'a> {
    pub(crate) fn new(
        builder: TransactionBuilder<'a>,
        session: &'a Session,
        statements: &'a Statements,
        cancel: &'a CancelToken,
    ) -> Self {
        Self {
            builder,
            session,
            statements,
            cancel,
        }
    }

    /// The isolation level.
    pub fn isolation_level(self, level: IsolationLevel) -> Self {
        Self {
            builder: self.builder.isolation_level(level),
            ..self
        }
    }

    /// Whether the transaction may only read.
    pub fn read_only(self, read_only: bool) -> Self {
        Self {
            builder: self.builder.read_only(read_only),
            ..self
        }
    }

    /// Whether a serializable transaction that only reads may wait until it is sure not to fail.
    pub fn deferrable(self, deferrable: bool) -> Self {
        Self {
            builder: self.builder.deferrable(deferrable),
            ..self
        }
    }

    /// Begins the transaction. When cancelled it is rolled back.
    ///
    /// # Errors
    ///
    /// As [`PgConnection::query`](crate::PgConnection::query).
    pub async fn start(self) -> Result<PgTransaction<'a>, Error> {
        let Self {
            builder,
            session,
            statements,
            cancel,
        } = self;
        let names = session.names();
        let mut call = session.begin(Traces::None);
        let begun = builder.start().await;
        call.answered();
        match begun {
            Ok(transaction) => Ok(PgTransaction {
                transaction,
                call: Some(call),
                names,
                session,
                statements,
                cancel,
            }),
            Err(error) => {
                drop(call);
                Err(error)
            }
        }
    }
}

impl fmt::Debug for PgTransactionBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgTransactionBuilder")
            .finish_non_exhaustive()
    }
}
