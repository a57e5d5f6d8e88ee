//! The reset: one batch that undoes what a user left in a session, and the proof that it ran.
//!
//! Replies come in the order of requests, so the batch also waits for whatever still runs. Its last row
//! carries a number never used before: only with that row in hand is the session known to be in step, and
//! no earlier reply to be outstanding.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_postgres::{Client, SimpleQueryMessage};

use crate::error::Unclean;

/// Outside a transaction the server logs a warning for it, hence not always.
const ROLLBACK: &str = "ROLLBACK;";

/// When a session is reset as it returns to the pool.
///
/// The reset is one round trip in the background: the connection serves nobody meanwhile, but no user
/// waits for it. It rolls back an open transaction and restores what `DISCARD ALL` does, except for
/// prepared statements: `SET` and `set_config`, `SET ROLE` and `SET SESSION AUTHORIZATION`, cursors,
/// `LISTEN`, session advisory locks, temporary tables, sequence state. Statements prepared by SQL
/// (`PREPARE`) are deallocated; those of the connection's cache stay, since no user can mistake one for
/// another's. [`PostgresConnector::setup`](crate::PostgresConnector::setup) then runs again. Where the server has a
/// transaction in doubt, it is asked first, which takes another round trip.
///
/// A setting with a name of your own (`SET myapp.tenant = '42'`) is undone as `RESET ALL` does it, which is not quite
/// as at first: `current_setting('myapp.tenant', true)` was NULL before the first `SET` of the session and is the
/// empty text from then on. So test it by `NULLIF(current_setting('myapp.tenant', true), '')`, or give it a value in
/// `setup`, the role or the database. The other user's value never stays.
///
/// What no reset undoes (`setseed` and `SET seed`, `LOAD`, connections of `dblink`, a backup begun, replication slots
/// made, `DEALLOCATE`) closes the connection instead, as far as the text names it.
///
/// In either mode a call that was dropped before its end, a transaction that was neither committed nor
/// rolled back, and any access to the driver's own client mean a reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResetMode {
    /// Resets when a user may have left something behind, as far as statements show it: everything but
    /// `SELECT`, `INSERT`, `UPDATE`, `DELETE`, `MERGE`, `WITH`, `VALUES`, `TABLE` and `SHOW`; these too when they
    /// call a function that is not known to leave the session as it was, name a temporary table, update
    /// `pg_settings`, or can be read in two ways (`U&"..."`); and every batch. A lease of plain statements and
    /// finished transactions costs no round trip.
    ///
    /// Known are PostgreSQL's own harmless functions, by name, without a schema or in `pg_catalog`, and those named
    /// to [`trust_function`](crate::PostgresConnector::trust_function).
    ///
    /// What no text shows: what an operator, a cast, a view or its rules, a trigger, a column's default, a policy or
    /// `row.function` notation calls, and a function of your own with the name of a harmless one. Where one of
    /// these changes the session, take [`Full`](Self::Full). Nor is a value that `lastval()` and `currval()` give
    /// undone.
    #[default]
    Fast,
    /// Resets after every lease in which anything was sent.
    Full,
}

/// One reset of a session.
pub(crate) struct Reset<'a> {
    pub(crate) client: &'a Client,
    pub(crate) in_transaction: bool,
    pub(crate) setup: Option<&'a str>,
    /// How many statements must still be known to the server.
    pub(crate) cached: usize,
    /// Statements that the server may know and nobody else does.
    pub(crate) left: &'a [Box<str>],
}

impl Reset<'_> {
    /// Resets the session.
    ///
    /// Cancelling leaves the session as unknown as before; so does an error.
    pub(crate) async fn run(self) -> Result<(), ResetError> {
        let proof = next_proof();
        let batch = batch(self.in_transaction, self.setup, self.left, proof);
        let found = run(self.client, &batch, proof).await?;
        if found.prepared < self.cached {
            return Err(Unclean::StatementsLost.into());
        }
        if !found.unwanted.is_empty() {
            let proof = next_proof();
            run(self.client, &deallocation(&found.unwanted, proof), proof).await?;
        }
        Ok(())
    }

    /// Ends what the user left under way, and nothing else: a pooler's sessions belong to others as well.
    pub(crate) async fn roll_back(self) -> Result<(), ResetError> {
        let proof = next_proof();
        let mut sql = String::new();
        if self.in_transaction {
            sql.push_str(ROLLBACK);
        }
        push_proof(&mut sql, &[], proof);
        run(self.client, &sql, proof).await.map(drop)
    }
}

/// Why a reset failed.
#[derive(Debug)]
pub(crate) enum ResetError {
    Server(tokio_postgres::Error),
    Unclean(Unclean),
}

impl From<tokio_postgres::Error> for ResetError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

impl From<Unclean> for ResetError {
    fn from(unclean: Unclean) -> Self {
        Self::Unclean(unclean)
    }
}

/// What the last row of a batch says.
struct Found {
    /// How many statements are prepared through the protocol.
    prepared: usize,
    /// The statements prepared by SQL, and those that were left.
    unwanted: Vec<String>,
}

fn next_proof() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn batch(in_transaction: bool, setup: Option<&str>, left: &[Box<str>], proof: u64) -> String {
    let mut sql = String::with_capacity(512);
    if in_transaction {
        sql.push_str(ROLLBACK);
    }
    // RESET ALL comes early: a tiny statement_timeout must not outlive its user.
    sql.push_str(
        "RESET ALL;SET SESSION AUTHORIZATION DEFAULT;RESET ROLE;CLOSE ALL;UNLISTEN *;\
         SELECT pg_catalog.pg_advisory_unlock_all();DISCARD TEMP;DISCARD SEQUENCES;",
    );
    if let Some(setup) = setup {
        sql.push_str(setup);
        // The line break ends a comment that the text may end with.
        sql.push_str("\n;");
    }
    push_proof(&mut sql, left, proof);
    sql
}

fn deallocation(names: &[String], proof: u64) -> String {
    let mut sql = String::new();
    for name in names {
        let _ = write!(sql, "DEALLOCATE \"{}\";", name.replace('"', "\"\""));
    }
    push_proof(&mut sql, &[], proof);
    sql
}

/// One row per statement prepared by SQL or left, at least one in all: the proof, how many statements are prepared
/// through the protocol, and the name of the unwanted one, if any.
fn push_proof(sql: &mut String, left: &[Box<str>], proof: u64) {
    let _ = write!(
        sql,
        "SELECT {proof}, p.n, s.name FROM \
         (SELECT pg_catalog.count(*) AS n FROM pg_catalog.pg_prepared_statements WHERE NOT from_sql) p \
         LEFT JOIN pg_catalog.pg_prepared_statements s ON s.from_sql"
    );
    for name in left {
        // Letters, digits and `_`: the wire made it.
        let _ = write!(sql, " OR s.name = '{name}'");
    }
}

async fn run(client: &Client, sql: &str, proof: u64) -> Result<Found, ResetError> {
    let messages = client.simple_query(sql).await?;
    let proof = proof.to_string();
    let mut prepared = None;
    let mut unwanted = Vec::new();
    for message in messages {
        let SimpleQueryMessage::Row(row) = message else {
            continue;
        };
        // Rows of other statements have other shapes, or other numbers.
        if row.len() != 3 || row.try_get(0).ok().flatten() != Some(proof.as_str()) {
            continue;
        }
        prepared = row.try_get(1).ok().flatten().and_then(|n| n.parse().ok());
        unwanted.extend(row.try_get(2).ok().flatten().map(str::to_owned));
    }
    let prepared = prepared.ok_or(Unclean::OutOfStep)?;
    Ok(Found { prepared, unwanted })
}
