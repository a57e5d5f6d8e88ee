//! A request and its reply, which needs nothing of its caller's but to be polled, and that by anybody.
//!
//! Promises that a request is sent where its caller first waits, so that each caller's go out in the order it
//! made them; that a reply nobody waits for is read to its end and dropped as it comes; and that no more is
//! held than the account has room for.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_core::Stream;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Row, RowStream};

use super::account::{Account, Held};
use super::params::Encoded;
use super::unpolled::{Left, Unpolled, Work};
use super::vitals::Vitals;
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

/// What comes of a request, for its caller.
pub(super) type Answer<T> = Work<Result<T, NoReply>>;

/// What requests are made with.
pub(super) struct Desk {
    pub(super) client: Arc<Client>,
    pub(super) statements: Arc<Statements>,
    pub(super) account: Arc<Account>,
    pub(super) vitals: Arc<Vitals>,
    pub(super) unpolled: Arc<Unpolled>,
}

impl Desk {
    /// Has a statement prepared, or waits for who does that already.
    pub(super) fn prepare(&self, sql: &str, session: &Session) -> Answer<Statement> {
        let (client, statements) = (self.client.clone(), self.statements.clone());
        let (owed, sql) = (self.vitals.owe(), Box::<str>::from(sql));
        let traces = session.judge().of_statement(&sql);
        let made = Made {
            session: session.id(),
            names: session.names(),
            keeping: Keeping::Cache,
        };
        self.work(Left::default(), async move {
            let prepare = async || {
                let prepared = client.prepare(&sql).await?;
                Ok(Statement::new(prepared, &sql, traces, made))
            };
            let prepared = statements.find_or_prepare(made.names, &sql, prepare).await;
            drop(owed);
            prepared.map_err(NoReply::Failed)
        })
    }

    /// Has a request sent and its reply read.
    pub(super) fn send(&self, request: Request, wanted: Wanted) -> Answer<Reply> {
        let is_left = Left::default();
        let kept = Kept {
            reply: Reply {
                rows: Vec::new(),
                row_count: 0,
                affected: 0,
                held: Held::nothing(&self.account),
            },
            wanted,
            is_left: is_left.clone(),
        };
        let (client, owed) = (self.client.clone(), self.vitals.owe());
        self.work(is_left, async move {
            let begun = match request {
                Request::Prepared(statement, params) => client.query_raw(&*statement, params).await,
                Request::Typed(sql, params) => client.query_typed_raw(&sql, params).await,
            };
            // The connection may end before the reply does.
            drop(client);
            let reply = read(begun.map_err(NoReply::Failed)?, kept).await;
            drop(owed);
            reply
        })
    }

    fn work<T: Send + 'static>(
        &self,
        is_left: Left,
        work: impl Future<Output = Result<T, NoReply>> + Send + 'static,
    ) -> Answer<T> {
        Work::new(&self.unpolled, self.vitals.runtime(), is_left, work)
    }
}

/// Reads a reply to its end.
async fn read(stream: RowStream, mut kept: Kept) -> Result<Reply, NoReply> {
    let mut stream = pin!(stream);
    let mut has_room = true;
    loop {
        match poll_fn(|cx| stream.as_mut().poll_next(cx)).await {
            Some(Ok(row)) => has_room = has_room && kept.take(row),
            Some(Err(error)) => return Err(NoReply::Failed(error)),
            None => {
                if !has_room {
                    return Err(NoReply::TooLarge);
                }
                kept.reply.affected = stream.rows_affected().unwrap_or_default();
                return Ok(kept.reply);
            }
        }
    }
}

/// What is kept of a reply that comes.
struct Kept {
    reply: Reply,
    wanted: Wanted,
    is_left: Left,
}

impl Kept {
    /// False if there is no room: what there was is given back, and the rest need not be shown.
    fn take(&mut self, row: Row) -> bool {
        self.reply.row_count += 1;
        if self.is_left.load(Ordering::Relaxed) {
            // Nobody wants it: it is read and dropped.
            self.wanted = 0;
            self.reply.forget();
        }
        if self.reply.rows.len() >= self.wanted {
            return true;
        }
        let has_room = self.reply.held.add(size_of_row(&row));
        match has_room {
            true => self.reply.rows.push(row),
            false => self.reply.forget(),
        }
        has_room
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
