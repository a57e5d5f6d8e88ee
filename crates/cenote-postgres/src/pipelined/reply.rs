//! A request and its reply, each in a task of its own on the connection's runtime, so that replies leave the
//! wire whether their callers are polled or not.
//!
//! Promises that a request is sent where its caller first waits, so that each caller's go out in the order it
//! made them; that a reply nobody waits for is read to its end and dropped as it comes; and that no more is
//! held than the account has room for.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use futures_core::Stream;
use tokio::sync::oneshot;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Row, RowStream};

use super::account::{Account, Held};
use super::params::Encoded;
use super::vitals::{Owed, Vitals};
use crate::session::Session;
use crate::statement::{Keeping, Made, Statement};
use crate::statements::Statements;

/// What came of a statement.
pub(super) struct Reply {
    /// As many as were asked for.
    rows: Vec<Row>,
    /// How many came.
    row_count: usize,
    /// How many the statement changed or returned, as the server counts them.
    pub(super) affected: u64,
    /// Until they are the caller's.
    held: Held,
}

/// Why there is no reply.
pub(super) enum NoReply {
    Failed(Error),
    /// There is no room to hold it.
    TooLarge,
    /// The connection ended, or its runtime.
    Ended,
}

/// How many rows a caller wants; the others are counted and dropped.
pub(super) type Wanted = usize;

/// What one sends.
pub(super) enum Request {
    Prepared(Statement, Vec<Encoded>),
    Typed(Box<str>, Vec<(Encoded, Type)>),
}

/// Where the answer of a task goes.
pub(super) type Answer<T> = oneshot::Receiver<Result<T, NoReply>>;

/// What tasks work with.
pub(super) struct Desk {
    pub(super) client: Arc<Client>,
    pub(super) statements: Arc<Statements>,
    pub(super) account: Arc<Account>,
    pub(super) vitals: Arc<Vitals>,
}

impl Desk {
    /// Has a statement prepared, or waits for who does that already.
    pub(super) async fn prepare(&self, sql: &str, session: &Session) -> Answer<Statement> {
        let (told, answer) = oneshot::channel();
        let (client, statements) = (self.client.clone(), self.statements.clone());
        let (owed, sql) = (self.vitals.owe(), Box::<str>::from(sql));
        let traces = session.judge().of_statement(&sql);
        let made = Made {
            session: session.id(),
            names: session.names(),
            keeping: Keeping::Cache,
        };
        self.begin(async move {
            let prepare = async || {
                let prepared = client.prepare(&sql).await?;
                Ok(Statement::new(prepared, &sql, traces, made))
            };
            let prepared = statements.find_or_prepare(made.names, &sql, prepare).await;
            owed.note(&prepared);
            let _ = told.send(prepared.map_err(NoReply::Failed));
        })
        .await;
        answer
    }

    /// Has a request sent and its reply read.
    pub(super) async fn send(&self, request: Request, wanted: Wanted) -> Answer<Reply> {
        let (told, answer) = oneshot::channel();
        let client = self.client.clone();
        let (owed, held) = (self.vitals.owe(), Held::nothing(&self.account));
        self.begin(async move {
            let begun = match request {
                Request::Prepared(statement, params) => client.query_raw(&*statement, params).await,
                Request::Typed(sql, params) => client.query_typed_raw(&sql, params).await,
            };
            owed.note(&begun);
            // The connection may end before the reply does.
            drop(client);
            match begun {
                Ok(reply) => read(reply, wanted, held, told, owed).await,
                Err(error) => drop(told.send(Err(NoReply::Failed(error)))),
            }
        })
        .await;
        answer
    }

    /// Polls the task once, here, which sends its request; the rest is the runtime's.
    async fn begin(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut task: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(task);
        let begun = poll_fn(|cx| Poll::Ready(task.as_mut().poll(cx)));
        if begun.await.is_pending() {
            self.vitals.runtime().spawn(task);
        }
    }
}

/// Reads a reply to its end.
async fn read(
    reply: RowStream,
    wanted: Wanted,
    held: Held,
    told: oneshot::Sender<Result<Reply, NoReply>>,
    owed: Owed,
) {
    let mut reply = pin!(reply);
    let mut told = Some(told);
    let mut kept = Reply {
        rows: Vec::new(),
        row_count: 0,
        affected: 0,
        held,
    };
    loop {
        let row = poll_fn(|cx| reply.as_mut().poll_next(cx)).await;
        match row {
            Some(Ok(row)) => {
                owed.read();
                kept.row_count += 1;
                let waits = told.as_ref().is_some_and(|told| !told.is_closed());
                if !waits {
                    // Nobody wants it: what there is goes, the rest is read and dropped.
                    kept.forget();
                } else if kept.rows.len() < wanted
                    && !kept.take(row)
                    && let Some(told) = told.take()
                {
                    kept.forget();
                    let _ = told.send(Err(NoReply::TooLarge));
                }
            }
            Some(Err(error)) => {
                owed.failed(&error);
                if let Some(told) = told {
                    let _ = told.send(Err(NoReply::Failed(error)));
                }
                return;
            }
            None => {
                owed.read();
                kept.affected = reply.rows_affected().unwrap_or_default();
                if let Some(told) = told {
                    let _ = told.send(Ok(kept));
                }
                return;
            }
        }
    }
}

impl Reply {
    pub(super) fn rows(self) -> Vec<Row> {
        self.rows
    }

    /// The row, if there is one; how many there are, if there are more.
    pub(super) fn at_most_one(mut self) -> Result<Option<Row>, usize> {
        match self.row_count {
            ..=1 => Ok(self.rows.pop()),
            more => Err(more),
        }
    }

    /// Whether there is room for the row; then it is kept.
    fn take(&mut self, row: Row) -> bool {
        let has_room = self.held.add(size_of_row(&row));
        if has_room {
            self.rows.push(row);
        }
        has_room
    }

    fn forget(&mut self) {
        self.rows = Vec::new();
        self.held.give_back();
    }
}

/// What a row takes: as it came, and where its columns are.
fn size_of_row(row: &Row) -> usize {
    row.raw_size_bytes()
        + size_of::<Row>()
        + row.len() * size_of::<Option<std::ops::Range<usize>>>()
}
