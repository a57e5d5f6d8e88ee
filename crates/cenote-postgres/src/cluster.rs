//! Several servers of which one is the primary: pools of the primary and of the replicas, over one set of hosts.
//!
//! A cluster opens nothing itself. It makes connectors of one host each, for the role that a pool wants, and knows what
//! the servers last said of their roles, wherever they said it: a change has the host dialled at once by the pools
//! that may want it now. Nobody is admitted by what another connection was told; each asks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use cenote::endpoints::{Discovery, Endpoint, EndpointSet, IntoDiscovery, Key, fixed};
use cenote::error::SettingsError;
use cenote::net::Host;
use cenote::pool::PoolBuilder;
use cenote::shared::SharedPoolBuilder;
use cenote::{Pool, SharedPool};
use tokio_postgres::config::{LoadBalanceHosts, TargetSessionAttrs};

use crate::connector::PostgresConnector;
use crate::error::ConfigError;
use crate::pipelined::PipelinedConnector;
use crate::role::{Post, Replicas, Role, Tell, Wanted};

/// Servers that replicate each other: one takes writes, the others can be read, and which it is may change at any moment.
///
/// ```no_run
/// use std::time::Duration;
///
/// use cenote_postgres::PostgresCluster;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cluster = PostgresCluster::new("postgres://orders:secret@db1,db2,db3/orders")?;
/// // As long as a failover takes here: by default callers wait for 5 s.
/// let primary = cluster.primary().max_per_endpoint(20);
/// let primary = primary.acquire_timeout(Duration::from_secs(60)).build()?;
/// let replicas = cluster.replica().max_per_endpoint(10).build()?;
///
/// let conn = primary.get().await?; // the server that is the primary now
/// conn.execute("UPDATE orders SET paid = true WHERE id = $1", &[&42_i64]).await?;
/// drop(conn);
/// let conn = replicas.get().await?;
/// let open = conn.query_cached("SELECT id FROM orders WHERE NOT paid", &[]).await?;
/// # drop(open); Ok(()) }
/// ```
///
/// Connections that many callers share follow in the same way:
///
/// ```no_run
/// use cenote_postgres::{PipelinedConnector, PostgresCluster};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cluster = PostgresCluster::new("postgres://orders:secret@db1,db2,db3/orders")?;
/// let primary = cluster.pipelined_primary(PipelinedConnector::from).build()?;
/// let replicas = cluster.pipelined_replica(|at| PipelinedConnector::from(at).capacity(200)).build()?;
///
/// primary.get().await?.execute("UPDATE orders SET paid = true WHERE id = $1", &[&42_i64]).await?;
/// let open = replicas.get().await?.query("SELECT id FROM orders WHERE NOT paid", &[]).await?;
/// # drop(open); Ok(()) }
/// ```
///
/// Roles are found out, not configured. Each connection's server says as it begins whether it takes writes: from
/// PostgreSQL 14 on by itself, else it is asked, in a round trip. That holds for that connection, and for as long as it
/// has it:
///
/// - A server that says on a connection that it has another role now, as a standby does once it is promoted, or that is
///   found to have one in a check, ends that connection for its pool, and with it all that were opened there before it.
/// - So does a write that is refused (SQLSTATE 25006) where the primary is wanted, if the server says with it that it takes
///   none; where it reports no such thing, or the user's own settings may be why, it is asked as the connection comes
///   back. So a server that was demoted under its connections costs a failed write on each at most, and none on those that
///   nobody had when the first was refused: they serve nobody any more, and the server is dialled anew. A shared connection
///   may have had writes of several callers under way, which all fail; none that comes later is given it.
/// - A server of the wrong role is not down: [`Pool::endpoints`] shows it as
///   [`Unsuitable`](cenote::report::EndpointCondition::Unsuitable). It is looked at again after 30 to 60 s while another
///   serves, every 250 to 500 ms while callers wait and none does, and at once when a connection of any pool of this cluster
///   learns of its new role. Pools that nobody uses dial nothing.
/// - Where no server has the role, callers wait, until their time-out, whose error names every host and what it is. So an
///   [`acquire_timeout`](PoolBuilder::acquire_timeout) that is longer than a failover lets them wait it out.
///
/// A write whose session ends before its answer has come, as when the primary is shut down, may have been made: that is for
/// the program to find out, and nothing is sent twice.
///
/// What a pool does not see: two servers that both take writes are two primaries, and it uses both. Keeping the old one
/// from taking writes before another is promoted is for the program that promotes it.
///
/// `new` takes the hosts from a connection string; [`from_connector`](Self::from_connector) from a connector, which has
/// the other settings; [`over`](Self::over) takes any source of endpoints, such as those of `cenote-dns`. Clones are
/// of the same cluster, and its pools may be used on different runtimes, whichever of them ends first.
pub struct PostgresCluster<K: Key = String> {
    members: Arc<Members<K>>,
}

type Make<K> = dyn Fn(&Endpoint<K>) -> PostgresConnector + Send + Sync;

struct Members<K: Key> {
    source: Mutex<Source<K>>,
    make: Box<Make<K>>,
    roles: Mutex<BTreeMap<K, Weak<LastRole>>>,
}

/// Where the hosts are known from.
enum Source<K: Key> {
    /// A fixed set, and what tells it, once there was a runtime.
    Fixed(EndpointSet<K>, Option<Discovery<K>>),
    Asked(Result<Discovery<K>, SettingsError>),
}

/// What a host last said of its role, on whatever connection: to notice a change, and for nothing else.
#[derive(Default)]
struct LastRole(AtomicU8);

impl LastRole {
    /// Whether it is another than before.
    fn is_changed_to(&self, role: Role) -> bool {
        let role = match role {
            Role::Primary => 1,
            Role::Replica => 2,
        };
        let before = self.0.swap(role, Ordering::Relaxed);
        before != 0 && before != role
    }
}

impl PostgresCluster {
    /// A cluster of the hosts in `url`, which is as for [`PostgresConnector::new`]. Each is an endpoint of its own, with
    /// [`connect_timeout`](PoolBuilder::connect_timeout) for each dial to it, and one that is silent for 250 ms keeps nobody
    /// from the others. The addresses of a host, if it has several, are of the same server, and race. Connects to nothing
    /// yet.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as of the connector; also for `target_session_attrs` and `load_balance_hosts`, which are for the
    /// hosts of one connector: here [`primary`](Self::primary) and [`replica`](Self::replica) say what is wanted, and
    /// [`balance`](PoolBuilder::balance) which of several is taken. And for two servers (`hostaddr`) with the same host and
    /// port, by which servers are told apart.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        Self::from_connector(PostgresConnector::new(url)?)
    }

    /// A cluster of the hosts of `connector`, with all its other settings.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn from_connector(connector: PostgresConnector) -> Result<Self, ConfigError> {
        let is_for_one = "is for the hosts of one connector: a cluster has pools of the primary and of the replicas";
        if connector.config.get_target_session_attrs() != TargetSessionAttrs::Any {
            return Err(ConfigError::setting("target_session_attrs", is_for_one));
        }
        if connector.config.get_load_balance_hosts() != LoadBalanceHosts::Disable {
            return Err(ConfigError::setting("load_balance_hosts", is_for_one));
        }
        let mut hosts = BTreeMap::<String, Host>::new();
        for host in connector.hosts() {
            let name = host.to_string();
            if let Some(other) = hosts.insert(name.clone(), host.clone())
                && other != host
            {
                let problem = format!(
                    "has two addresses for `{name}`: in a cluster each server has a `host` or `port` of its own"
                );
                return Err(ConfigError::setting("hostaddr", problem));
            }
        }
        let set = EndpointSet::of(hosts.keys().cloned());
        Ok(Self::with(
            Source::Fixed(set, None),
            move |at: &Endpoint<String>| {
                match hosts.get(&at.key) {
                    Some(host) => connector.clone().only(host.clone()),
                    // There are no others.
                    None => connector.clone(),
                }
            },
        ))
    }
}

impl<K: Key> PostgresCluster<K> {
    /// A cluster of the servers that `source` tells of, each with the connector that `make` makes for it.
    ///
    /// A connector of several hosts would mix roles: give each its own. Of `target_session_attrs` nothing is heeded, for
    /// the pools say what is wanted.
    ///
    /// ```no_run
    /// use cenote::endpoints::Lookup;
    /// use cenote_postgres::{PostgresCluster, PostgresConnector};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // Every address of the name is a server.
    /// let cluster = PostgresCluster::over(Lookup::new("db.internal:5432")?, |at| {
    ///     let url = format!("postgres://orders:secret@{}/orders", at.key);
    ///     PostgresConnector::new(&url).expect("an address makes a valid URL")
    /// });
    /// # drop(cluster); Ok(()) }
    /// ```
    ///
    /// The source is asked from now on, on the runtime that calls; where there is none, building a pool says so. If that
    /// runtime ends, the last set stays.
    pub fn over<S: IntoDiscovery<Key = K>>(
        source: S,
        make: impl Fn(&Endpoint<K>) -> PostgresConnector + Send + Sync + 'static,
    ) -> Self {
        Self::with(Source::Asked(source.into_discovery()), make)
    }

    fn with(
        source: Source<K>,
        make: impl Fn(&Endpoint<K>) -> PostgresConnector + Send + Sync + 'static,
    ) -> Self {
        Self {
            members: Arc::new(Members {
                source: Mutex::new(source),
                make: Box::new(make),
                roles: Mutex::default(),
            }),
        }
    }

    /// A pool of connections to the primary: whichever server takes writes. Called "primary", if it is given no other name.
    ///
    /// Each call begins another pool; all of a cluster's share what is learned of roles.
    pub fn primary(&self) -> PoolBuilder<PostgresConnector> {
        self.pool(Wanted::Primary, "primary")
    }

    /// A pool of connections to the replicas: all servers that take no writes, as standbys do. Called "replica", if it is
    /// given no other name.
    ///
    /// What counts is whether sessions begin read-only, not whether the server is a standby. So a primary with
    /// `default_transaction_read_only` on serves readers here, and writers nowhere, also where that is set for this user or
    /// database alone (`ALTER ROLE`, `ALTER DATABASE`). Once it is off the server is a primary again, and leaves this pool.
    ///
    /// The primary never serves here. While there is no replica callers wait, and time out: the load of the readers may
    /// be more than the primary can bear beside that of the writers, and what takes the primary away with the replicas
    /// ends all service. Where it can bear it, [`replica_or_primary`](Self::replica_or_primary) says so.
    pub fn replica(&self) -> PoolBuilder<PostgresConnector> {
        self.pool(Wanted::Replica, "replica")
    }

    /// As [`replica`](Self::replica), but the primary serves while the pool has no connection to a replica: before the
    /// first is opened, and once the last is gone. Its connections are given up as soon as there is one.
    pub fn replica_or_primary(&self) -> PoolBuilder<PostgresConnector> {
        self.pool(Wanted::ReplicaFirst(Replicas::default()), "replica")
    }

    /// As [`primary`](Self::primary), of connections that many callers share. `make` has the other settings of a connector
    /// that the pool uses: [`PipelinedConnector::from`] for the default ones.
    pub fn pipelined_primary(
        &self,
        make: impl Fn(PostgresConnector) -> PipelinedConnector + Send + Sync + 'static,
    ) -> SharedPoolBuilder<PipelinedConnector> {
        self.shared_pool(Wanted::Primary, "primary", make)
    }

    /// As [`replica`](Self::replica), of connections that many callers share, made by `make` as in
    /// [`pipelined_primary`](Self::pipelined_primary).
    pub fn pipelined_replica(
        &self,
        make: impl Fn(PostgresConnector) -> PipelinedConnector + Send + Sync + 'static,
    ) -> SharedPoolBuilder<PipelinedConnector> {
        self.shared_pool(Wanted::Replica, "replica", make)
    }

    /// As [`replica_or_primary`](Self::replica_or_primary), of connections that many callers share, made by `make` as in
    /// [`pipelined_primary`](Self::pipelined_primary).
    pub fn pipelined_replica_or_primary(
        &self,
        make: impl Fn(PostgresConnector) -> PipelinedConnector + Send + Sync + 'static,
    ) -> SharedPoolBuilder<PipelinedConnector> {
        self.shared_pool(Wanted::ReplicaFirst(Replicas::default()), "replica", make)
    }

    fn pool(&self, wanted: Wanted, name: &str) -> PoolBuilder<PostgresConnector> {
        let hosts = self.discovery();
        let connector = self.connectors(wanted, &hosts);
        Pool::balanced(Known(hosts), connector).name(name)
    }

    fn shared_pool(
        &self,
        wanted: Wanted,
        name: &str,
        make: impl Fn(PostgresConnector) -> PipelinedConnector + Send + Sync + 'static,
    ) -> SharedPoolBuilder<PipelinedConnector> {
        let hosts = self.discovery();
        let connector = self.connectors(wanted, &hosts);
        SharedPool::balanced(Known(hosts), move |at| make(connector(at))).name(name)
    }

    /// Makes the connectors of a pool: one for each host, which takes it while it has the role that is wanted.
    fn connectors(
        &self,
        wanted: Wanted,
        hosts: &Result<Discovery<K>, SettingsError>,
    ) -> impl Fn(&Endpoint<K>) -> PostgresConnector + Send + Sync + use<K> {
        let (members, learned) = (Arc::clone(&self.members), hosts.clone().ok());
        move |at| {
            let tell = members.on_role(&at.key, learned.clone());
            let post = Post::new(wanted.clone(), tell);
            (members.make)(at).for_post(post)
        }
    }

    fn discovery(&self) -> Result<Discovery<K>, SettingsError> {
        let source = self.members.source.lock();
        let mut source = source.unwrap_or_else(PoisonError::into_inner);
        let (set, telling) = match &mut *source {
            Source::Asked(discovery) => return discovery.clone(),
            Source::Fixed(set, telling) => (set, telling),
        };
        if let Some(discovery) = telling.as_ref().filter(|discovery| tells(discovery)) {
            return Ok(discovery.clone());
        }
        let discovery = fixed(set.clone()).into_discovery()?;
        *telling = Some(discovery.clone());
        Ok(discovery)
    }
}

impl<K: Key> Members<K> {
    /// What is told of the role of the host with this key: where it is another than it was, the pools that may want it now
    /// dial it.
    fn on_role(&self, key: &K, discovery: Option<Discovery<K>>) -> Tell {
        let (last, key) = (self.last_role(key), key.clone());
        Arc::new(move |role| {
            if let (true, Some(discovery)) = (last.is_changed_to(role), &discovery) {
                discovery.recheck(key.clone());
            }
        })
    }

    fn last_role(&self, key: &K) -> Arc<LastRole> {
        let roles = self.roles.lock();
        let mut roles = roles.unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = roles.get(key).and_then(Weak::upgrade) {
            return known;
        }
        // Of hosts that are no more.
        roles.retain(|_, known| known.strong_count() > 0);
        let new = Arc::<LastRole>::default();
        roles.insert(key.clone(), Arc::downgrade(&new));
        new
    }
}

/// Whether it has told its set, or may yet: its runtime may have ended before.
fn tells<K: Key>(discovery: &Discovery<K>) -> bool {
    let status = discovery.status();
    status.version > 0 || !status.has_ended
}

/// What tells the hosts, or why nothing does.
struct Known<K: Key>(Result<Discovery<K>, SettingsError>);

impl<K: Key> IntoDiscovery for Known<K> {
    type Key = K;

    fn into_discovery(self) -> Result<Discovery<K>, SettingsError> {
        self.0
    }
}

impl<K: Key> Clone for PostgresCluster<K> {
    fn clone(&self) -> Self {
        Self {
            members: Arc::clone(&self.members),
        }
    }
}

impl<K: Key> fmt::Debug for PostgresCluster<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.members.source.lock();
        let source = source.unwrap_or_else(PoisonError::into_inner);
        let mut f = f.debug_tuple("PostgresCluster");
        match &*source {
            Source::Fixed(set, _) => f.field(set),
            Source::Asked(discovery) => f.field(discovery),
        }
        .finish()
    }
}
