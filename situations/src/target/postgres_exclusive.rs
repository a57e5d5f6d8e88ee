//! A `Pool` of PostgreSQL connections.

use std::time::Duration;

use cenote::{OwnedLease, Pool};
use cenote_postgres::tokio_postgres::types::ToSql;
use cenote_postgres::{PostgresConnector, tokio_postgres};

use super::session::{IN_FAILED_TRANSACTION, LOOK, judge};
use super::{Cue, Home, SIZE, Target};
use crate::field::Site;
use crate::state::State;
use crate::trouble::Trouble;

/// With the default settings, but for its size.
pub struct PostgresExclusive {
    pool: Pool<PostgresConnector>,
    insert: String,
    count: String,
}

impl PostgresExclusive {
    /// A pool for that site.
    pub fn new(site: &Site, home: Home) -> Result<Self, Trouble> {
        let connector = PostgresConnector::new(&site.url).map_err(Trouble::failed)?;
        let mut builder = Pool::builder(connector).max_size(SIZE);
        if let Home::Own(runtime) = home {
            builder = builder.runtime(runtime);
        }
        Ok(Self {
            pool: builder.build().map_err(Trouble::failed)?,
            insert: insert(site),
            count: format!("SELECT count(*) FROM public.{} WHERE tag = $1", site.name),
        })
    }
}

/// A write that answers with what it was given.
pub(super) fn insert(site: &Site) -> String {
    format!(
        "INSERT INTO public.{} VALUES ($1::int8) RETURNING tag",
        site.name
    )
}

/// Rows of the big reply, and what pads each to a kilobyte.
pub(super) const ROWS: i64 = 8_192;
/// The big reply: the tag and a number in each row.
pub(super) const MUCH: &str =
    "SELECT $1::int8, n, repeat('x', 1000) FROM generate_series(1, 8192::int8) n";
/// Something that takes the server 20 ms.
const DAWDLE: &str = "SELECT $1::int8 FROM pg_sleep(0.02)";

/// Whether one answered another's question.
pub(super) fn same(asked: i64, answered: i64) -> Result<(), Trouble> {
    if asked == answered {
        Ok(())
    } else {
        Err(Trouble::Leak(format!(
            "asked for {asked}, answered {answered}"
        )))
    }
}

/// Whether the rows are all of the big reply to this question.
pub(super) fn judge_much(tag: i64, rows: &[tokio_postgres::Row]) -> Result<(), Trouble> {
    for (row, number) in rows.iter().zip(1..) {
        same(tag, row.try_get(0).map_err(Trouble::failed)?)?;
        same(number, row.try_get(1).map_err(Trouble::failed)?)?;
    }
    same(ROWS, rows.len().try_into().unwrap_or(i64::MAX))
}

fn failed(error: tokio_postgres::Error) -> Trouble {
    match error.code() {
        Some(code) if code.code() == IN_FAILED_TRANSACTION => {
            Trouble::Leak("a failed transaction of another user".into())
        }
        _ => Trouble::failed(error),
    }
}

async fn soil(lease: &OwnedLease<PostgresConnector>, tag: i64) -> Result<(), Trouble> {
    let traces = format!(
        "SET application_name = 'user {tag}'; SET search_path = pg_catalog; \
         SET cenote.trace = '{tag}'; SELECT pg_advisory_lock({tag})"
    );
    lease.batch_execute(&traces).await.map_err(failed)
}

impl Target for PostgresExclusive {
    type Lease = OwnedLease<PostgresConnector>;

    const DAWDLES: Duration = Duration::from_millis(20);

    async fn get(&self) -> Result<Self::Lease, Trouble> {
        self.pool.get_owned().await.map_err(Trouble::failed)
    }

    async fn ask(&self, lease: &mut Self::Lease, tag: i64) -> Result<(), Trouble> {
        judge(&lease.query_one_cached(LOOK, &[]).await.map_err(failed)?)?;
        // Every other user leaves the session as it was: the way without a reset.
        if tag % 2 == 0 {
            soil(lease, tag).await?;
        }
        self.go_on(lease, tag).await
    }

    async fn go_on(&self, lease: &mut Self::Lease, tag: i64) -> Result<(), Trouble> {
        let answer = lease.query_one_cached(&self.insert, &[&tag]).await;
        let row = answer.map_err(failed)?;
        same(tag, row.try_get(0).map_err(failed)?)
    }

    async fn ask_much(&self, lease: &mut Self::Lease, tag: i64) -> Result<(), Trouble> {
        let rows = lease.query(MUCH, &[&tag]).await.map_err(failed)?;
        judge_much(tag, &rows)
    }

    async fn dawdle(&self, lease: &mut Self::Lease, tag: i64) -> Result<(), Trouble> {
        let answer = lease.query_one_cached(DAWDLE, &[&tag]).await;
        let row = answer.map_err(failed)?;
        same(tag, row.try_get(0).map_err(failed)?)
    }

    async fn listen(
        &self,
        lease: &mut Self::Lease,
        channel: &str,
        cue: &mut Cue,
    ) -> Result<(), Trouble> {
        let listen = format!("LISTEN {channel}");
        lease.batch_execute(&listen).await.map_err(failed)?;
        cue.ready();
        loop {
            let notification = lease.notification().await.map_err(Trouble::failed)?;
            if notification.channel() != channel {
                return Err(Trouble::Leak(format!(
                    "a notification of others: {notification:?}"
                )));
            }
            if cue.has_begun() {
                return Ok(());
            }
        }
    }

    async fn transact(
        &self,
        lease: &mut Self::Lease,
        tag: i64,
        cue: &mut Cue,
    ) -> Result<(), Trouble> {
        soil(lease, tag).await?;
        let transaction = lease.transaction().await.map_err(failed)?;
        let first = transaction.execute_cached(&self.insert, &[&tag]).await;
        first.map_err(failed)?;
        cue.begun().await;
        let params: [&(dyn ToSql + Sync); 1] = [&tag];
        let answer = loop {
            let answer = transaction.query_one_cached(&self.insert, &params);
            if let Some(answer) = cue.wait(answer).await {
                break answer;
            }
        };
        let row = answer.map_err(Trouble::failed)?;
        same(tag, row.try_get(0).map_err(failed)?)?;
        transaction.commit().await.map_err(Trouble::failed)?;
        // Who is told that it is committed finds it there.
        let row = lease.query_one(&self.count, &[&tag]).await;
        same(2, row.map_err(failed)?.try_get(0).map_err(failed)?)
    }

    async fn try_refused(&self, state: State, _: &str) -> Result<(), Trouble> {
        Err(Trouble::Failed(format!(
            "an exclusive connection can be {}",
            state.name()
        )))
    }

    fn status(&self) -> String {
        self.pool.status().to_string()
    }
}
