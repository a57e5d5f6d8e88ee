//! Transactions, and nested ones as savepoints, with the calls of a connection.
//!
//! Promises that a transaction neither committed nor rolled back to the end leaves its session marked.

use std::fmt;
use std::ops::Deref;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{
    CancelToken, Error, IsolationLevel, Row, SimpleQueryMessage, Transaction, TransactionBuilder,
};

use crate::calls::{Calls, Scope, define_calls};
use crate::session::{Call, Session};
use crate::statements::{Statement, Statements};
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
    session: &'a Session,
    statements: &'a Statements,
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
    /// What the server or the connection says. After an error of the server nothing was committed; after a
    /// broken connection, or when cancelled, nobody knows.
    pub async fn commit(self) -> Result<(), Error> {
        let Self {
            transaction, call, ..
        } = self;
        let result = transaction.commit().await;
        if let Some(call) = call {
            call.end(&result);
        }
        result
    }

    /// Undoes the changes, and waits for the server to say so.
    ///
    /// # Errors
    ///
    /// What the connection says. The changes are undone all the same.
    pub async fn rollback(self) -> Result<(), Error> {
        let Self {
            transaction, call, ..
        } = self;
        let result = transaction.rollback().await;
        if let Some(call) = call {
            call.end(&result);
        }
        result
    }

    /// Begins a nested transaction, as a savepoint.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn transaction(&mut self) -> Result<PgTransaction<'_>, Error> {
        let nested = self.transaction.transaction().await?;
        Ok(PgTransaction {
            transaction: nested,
            call: None,
            session: self.session,
            statements: self.statements,
        })
    }

    /// A handle that asks the server to cancel what runs on this connection, which is then closed at its
    /// return: see [`PgConnection::cancel_token`](crate::PgConnection::cancel_token).
    pub fn cancel_token(&self) -> CancelToken {
        self.session.doom();
        self.transaction.cancel_token()
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
}

impl<'a> PgTransactionBuilder<'a> {
    pub(crate) fn new(
        builder: TransactionBuilder<'a>,
        session: &'a Session,
        statements: &'a Statements,
    ) -> Self {
        Self {
            builder,
            session,
            statements,
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
        } = self;
        let call = session.begin(Traces::None);
        match builder.start().await {
            Ok(transaction) => Ok(PgTransaction {
                transaction,
                call: Some(call),
                session,
                statements,
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
