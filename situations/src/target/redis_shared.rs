//! A `SharedPool` of Redis connections.

use std::time::Duration;

use cenote::{SharedLease, SharedPool};
use cenote_redis::{Cmd, PipelinedConnector, RedisError, Value};

use super::redis_exclusive::{
    judge_much, judge_session, judge_tag, judge_transaction, much, transaction,
};
use super::{Cue, Home, SIZE, Target};
use crate::field::Site;
use crate::state::State;
use crate::trouble::Trouble;

/// With the default settings.
pub struct RedisShared {
    pool: SharedPool<PipelinedConnector>,
    name: String,
}

impl RedisShared {
    /// A pool for that site.
    pub fn new(site: &Site, home: Home) -> Result<Self, Trouble> {
        let connector = PipelinedConnector::new(&site.url).map_err(Trouble::failed)?;
        let mut builder = SharedPool::builder(connector).max_size(SIZE);
        if let Home::Own(runtime) = home {
            builder = builder.runtime(runtime);
        }
        Ok(Self {
            pool: builder.build().map_err(Trouble::failed)?,
            name: site.name.clone(),
        })
    }
}

/// What changes the session is not sent.
async fn refused(lease: &SharedLease<PipelinedConnector>, cmd: Cmd) -> Result<(), Trouble> {
    match lease.command(&cmd).await {
        Err(RedisError::Refused { .. }) => Ok(()),
        sent => Err(Trouble::Leak(format!(
            "{cmd:?} was sent on a shared connection: {sent:?}"
        ))),
    }
}

/// Commands in the transaction that is under way as something happens.
const LONG: usize = 200;

impl Target for RedisShared {
    type Lease = SharedLease<PipelinedConnector>;

    const DAWDLES: Duration = Duration::from_millis(2);

    async fn get(&self) -> Result<Self::Lease, Trouble> {
        self.pool.get().await.map_err(Trouble::failed)
    }

    async fn ask(&self, lease: &mut Self::Lease, tag: i64) -> Result<(), Trouble> {
        let info = lease.command(&Cmd::new("CLIENT").arg("INFO")).await;
        judge_session(&info.map_err(Trouble::failed)?)?;
        if tag % 2 == 0 {
            refused(lease, Cmd::new("SELECT").arg("3")).await?;
        }
        self.go_on(lease, tag).await
    }

    async fn go_on(&self, lease: &mut Self::Lease, tag: i64) -> Result<(), Trouble> {
        let replies = lease.pipeline(&transaction(&self.name, tag)).await;
        let mut exec = Value::Nil;
        for reply in replies.map_err(Trouble::failed)? {
            exec = reply.map_err(Trouble::failed)?;
        }
        judge_transaction(tag, &exec)
    }

    async fn ask_much(&self, lease: &mut Self::Lease, _: i64) -> Result<(), Trouble> {
        let reply = lease.command(&much(&self.name)).await;
        judge_much(&reply.map_err(Trouble::failed)?)
    }

    async fn dawdle(&self, lease: &mut Self::Lease, tag: i64) -> Result<(), Trouble> {
        for _ in 0..20 {
            let echo = Cmd::new("ECHO").arg(tag.to_string());
            judge_tag(tag, &lease.command(&echo).await.map_err(Trouble::failed)?)?;
        }
        Ok(())
    }

    async fn listen(
        &self,
        lease: &mut Self::Lease,
        channel: &str,
        _: &mut Cue,
    ) -> Result<(), Trouble> {
        refused(lease, Cmd::new("SUBSCRIBE").arg(channel)).await
    }

    /// One that is sent whole, again and again until the situation has begun.
    async fn transact(
        &self,
        lease: &mut Self::Lease,
        tag: i64,
        cue: &mut Cue,
    ) -> Result<(), Trouble> {
        let [multi, set, get, exec] = transaction(&self.name, tag);
        let mut whole = vec![multi];
        whole.extend(vec![set; LONG]);
        whole.extend([get, exec]);
        loop {
            let replies = lease.pipeline(&whole).await.map_err(Trouble::failed)?;
            for reply in &replies {
                reply.as_ref().map_err(Trouble::failed)?;
            }
            match replies.last() {
                Some(Ok(Value::Array(replies))) if replies.len() == LONG + 1 => {
                    judge_tag(tag, &replies[LONG])?;
                }
                other => {
                    return Err(Trouble::Leak(format!(
                        "the end of another transaction: {other:?}"
                    )));
                }
            }
            if cue.has_begun() {
                return Ok(());
            }
            cue.ready();
        }
    }

    async fn try_refused(&self, _: State, channel: &str) -> Result<(), Trouble> {
        refused(&self.get().await?, Cmd::new("SUBSCRIBE").arg(channel)).await
    }

    fn status(&self) -> String {
        self.pool.status().to_string()
    }
}
