//! What Redis Sentinel says of a master and its replicas, as sources of endpoint sets.
//!
//! `source` asks the sentinels again and again, and says when, `inquiry` whom and whom to believe, `session` how one is
//! asked and heard, `answer` what its replies mean.

mod answer;
mod error;
mod inquiry;
mod session;
mod source;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cenote::error::SettingsError;

use crate::connector::RedisConnector;
use answer::View;
pub use error::{SentinelError, SentinelFault, TriedSentinel};
pub use source::SentinelSource;

/// No interval and no time-out is shorter, nor longer.
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// From one question to the next, if nothing is heard.
#[derive(Clone, Copy, Debug)]
struct Intervals {
    min: Duration,
    max: Duration,
}

/// The sentinels of a master, and how they are asked: what they say makes the endpoints of pools that follow the master
/// through a failover.
///
/// ```no_run
/// use cenote::Pool;
/// use cenote_redis::{RedisConnector, Sentinels};
///
/// # async fn pools() -> Result<(), Box<dyn std::error::Error>> {
/// let sentinels = RedisConnector::new("redis://s1:26379,s2:26379,s3:26379")?;
/// let sentinels = Sentinels::new(sentinels, "orders")?;
///
/// // The login of the servers themselves; which they are, the sentinels say.
/// let to = RedisConnector::new("redis://app:secret@orders/0")?;
/// let from = to.clone();
/// let writes = Pool::balanced(sentinels.master(), move |at| to.for_node(&at.key)).build()?;
/// let reads = Pool::balanced(sentinels.replicas(), move |at| from.for_node(&at.key)).build()?;
///
/// writes.get().await?.set("greeting", "hello").await?;
/// let greeting: Option<String> = reads.get().await?.get("greeting").await?;
/// # let _ = greeting;
/// # Ok(()) }
/// ```
///
/// Pipelined connections follow in the same way: `SharedPool::balanced(sentinels.master(), move |at|
/// PipelinedConnector::from(to.for_node(&at.key)))`.
///
/// # Whom it asks
///
/// The connector's hosts are the sentinels, with the port 26379 most likely; the user, password and TLS of its URL are
/// theirs, and apart from those of the servers. A user of an access list must be permitted
/// `+sentinel|get-master-addr-by-name +sentinel|master +sentinel|replicas +sentinel|sentinels +psubscribe` and all
/// channels (`allchannels`).
///
/// They are asked in turn, each for its [time-out](Self::timeout), until one answers, which is the first to be asked the
/// next time. Others that it names are asked after those given. An answer that is older than one that was heard before,
/// by its configuration epoch, is that of a sentinel which has missed something: it does not count, unless more than half
/// of the sentinels answer and none knows better.
///
/// # When
///
/// - The sentinel that answered is listened to, and asked again as soon as it tells that something has happened to this
///   master or its replicas, such as `+switch-master`. A user that may not subscribe hears nothing: then the sentinels are
///   asked every [`min_interval`](Self::min_interval).
/// - Every [`max_interval`](Self::max_interval) though nothing is heard, for a message may be lost.
/// - After a failure, and when a pool cannot reach its endpoint, or finds that it is [no
///   master](crate::RedisError::NotMaster), as soon as the `min_interval` since the last question is over. After such a
///   finding one sentinel is not enough: the newest answer counts of more than half of them, as far as they answer.
///
/// Each source has two connections to one sentinel. A [`Discovery`](cenote::endpoints::Discovery) of a source can be
/// shared by several pools; dropped with its last handle, it ends them.
///
/// # What follows
///
/// Once the sentinels name another master, a pool closes its connections to the old one: idle ones at once, leased ones
/// when they come back. What a lease sends to the old master meanwhile is not taken back, and a write that it
/// acknowledged may be lost in a failover: replication in Redis is asynchronous. `min-replicas-to-write` bounds that.
///
/// `Debug` shows no password.
#[derive(Clone)]
#[must_use = "nothing is asked before a source of it is"]
pub struct Sentinels {
    connector: RedisConnector,
    master: Arc<str>,
    intervals: Intervals,
    timeout: Duration,
}

impl Sentinels {
    /// The sentinels at the hosts of `connector`, for the master that their configuration calls `master` (`sentinel
    /// monitor NAME`). Nothing is asked yet.
    ///
    /// # Errors
    /// [`SettingsError`] if the connector's URL names a database, which sentinels do not have, or the master's name is
    /// none: it has letters, digits and `.-_`.
    pub fn new(
        connector: RedisConnector,
        master: impl Into<Arc<str>>,
    ) -> Result<Self, SettingsError> {
        if connector.database() != 0 {
            let accepted = "a URL without a database: sentinels have none";
            return Err(SettingsError::new(
                "connector",
                connector.to_string(),
                accepted,
            ));
        }
        let master = master.into();
        let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if master.is_empty() || !master.bytes().all(is_of_a_name) {
            let accepted = "the name after `sentinel monitor`: letters, digits and .-_";
            return Err(SettingsError::new(
                "master",
                format!("{master:?}"),
                accepted,
            ));
        }
        Ok(Self {
            connector,
            master,
            intervals: Intervals {
                min: Duration::from_secs(1),
                max: Duration::from_secs(10),
            },
            timeout: Duration::from_secs(1),
        })
    }

    /// From one question to the next at least, however often a refresh is asked for, and after a failure; what a sentinel
    /// tells by itself is looked into sooner. Between 10 ms and a day, whatever is said here. Default: 1 s.
    pub fn min_interval(mut self, interval: Duration) -> Self {
        self.intervals.min = interval.clamp(SHORTEST, LONGEST);
        self
    }

    /// From one question to the next at most, though nothing is heard; never less than the minimum interval, and a day at
    /// most. Default: 10 s.
    pub fn max_interval(mut self, interval: Duration) -> Self {
        self.intervals.max = interval.clamp(SHORTEST, LONGEST);
        self
    }

    /// How long one sentinel is waited for, from the connect to its answer, before the next is asked. Between 10 ms and a
    /// day, whatever is said here. Default: 1 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.clamp(SHORTEST, LONGEST);
        self
    }

    /// The master: a set of one endpoint.
    pub fn master(&self) -> SentinelSource {
        SentinelSource::new(self, View::Master)
    }

    /// The replicas that the sentinel asked does not think down and that say themselves that they are replicas, however
    /// far behind their master they are. Without its master a replica goes on to be read from.
    ///
    /// Where there are none, as when the only one was promoted, the set is empty: by default the pool stays with the last
    /// ones (see [`EmptySets`](cenote::endpoints::EmptySets)), so that the promoted one is read from until there is
    /// another.
    pub fn replicas(&self) -> SentinelSource {
        SentinelSource::new(self, View::Replicas)
    }
}

impl fmt::Debug for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sentinels")
            .field("master", &self.master)
            .field("sentinels", &self.connector.to_string())
            .field("intervals", &self.intervals)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
