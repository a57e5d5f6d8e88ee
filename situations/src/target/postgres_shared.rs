//! A `SharedPool` of PostgreSQL connections.

use std::time::Duration;

use cenote::{SharedLease, SharedPool};
use cenote_postgres::{PipelinedConnector, PipelinedError};

use super::postgres_exclusive::{MUCH, insert, judge_much, same};
use super::session::{LOOK, judge};
use super::{Cue, Home, SIZE, Target};
use crate::field::Site;
use crate::state::State;
use crate::trouble::Trouble;

/// Something that takes the server 2 ms.
const DAWDLE: &str = "SELECT $1::int8 FROM pg_sleep(0.002)";

/// With the default settings.
pub struct PostgresShared {
    pool: SharedPool<PipelinedConnector>,
    insert: String,
}

impl PostgresShared {
    /// A pool for that site.
    pub fn new(site: &Site, home: Home) -> Result<Self, Trouble> {
        let connector = PipelinedConnector::new(&site.url).map_err(Trouble::failed)?;
        let mut builder = SharedPool::builder(connector).max_size(SIZE);
        if let Home::Own(runtime) = home {
            builder = builder.runtime(runtime);
        }
        Ok(Self {
            pool: builder.build().map_err(Trouble::failed)?,
            insert: insert(site),
        })
    }
}

/// What changes the session is not sent.
async fn refused(lease: &SharedLease<PipelinedConnector>, sql: &str) -> Result<(), Trouble> {
    match lease.query(sql, &[]).await {
        Err(PipelinedError::NeedsExclusive { .. }) => Ok(()),
        Err(error @ PipelinedError::Closed { .. }) => Err(Trouble::failed(error)),
        sent => Err(Trouble::Leak(format!(
            "`{sql}` was sent on a shared connection: {sent:?}"
        ))),
    }
}

impl Target for PostgresShared {
    type Lease = SharedLease<PipelinedConnector>;

    // The statements of all follow each other, so that longer ones belong on a connection of one's own.
    const DAWDLES: Duration = Duration::from_millis(2);

    async fn get(&self) -> Result<Self::Lease, Trouble> {
        self.pool.get().await.map_err(Trouble::failed)
    }

    async fn ask(&self, lease: &mut Self::Lease, tag: i64) -> Result<(), Trouble> {
        let look = lease.query_one(LOOK, &[]).await;
        judge(&look.map_err(Trouble::failed)?)?;
        if tag % 2 == 0 {
            refused(lease, &format!("SET application_name = 'user {tag}'")).await?;
        }
        self.go_on(lease, tag).await
    }

    async fn go_on(&self, lease: &mut Self::Lease, tag: i64) -> Result<(), Trouble> {
        let answer = lease.query_one(&self.insert, &[&tag]).await;
        let row = answer.map_err(Trouble::failed)?;
        same(tag, row.try_get(0).map_err(Trouble::failed)?)
    }

    async fn ask_much(&self, lease: &mut Self::Lease, tag: i64) -> Result<(), Trouble> {
        let rows = lease.query(MUCH, &[&tag]).await;
        judge_much(tag, &rows.map_err(Trouble::failed)?)
    }

    async fn dawdle(&self, lease: &mut Self::Lease, tag: i64) -> Result<(), Trouble> {
        let answer = lease.query_one(DAWDLE, &[&tag]).await;
        let row = answer.map_err(Trouble::failed)?;
        same(tag, row.try_get(0).map_err(Trouble::failed)?)
    }

    async fn listen(
        &self,
        lease: &mut Self::Lease,
        channel: &str,
        _: &mut Cue,
    ) -> Result<(), Trouble> {
        refused(lease, &format!("LISTEN {channel}")).await
    }

    async fn transact(&self, lease: &mut Self::Lease, _: i64, _: &mut Cue) -> Result<(), Trouble> {
        refused(lease, "BEGIN").await
    }

    async fn try_refused(&self, state: State, channel: &str) -> Result<(), Trouble> {
        let lease = self.get().await?;
        match state {
            State::Listening => refused(&lease, &format!("LISTEN {channel}")).await,
            _ => refused(&lease, "BEGIN").await,
        }
    }

    fn status(&self) -> String {
        self.pool.status().to_string()
    }
}
