//! A service of many servers on virtual time: which of them are up, what each was asked for, and what became of its
//! connections.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote::endpoints::{Endpoint, EndpointSet, IntoDiscovery, SetSender, channel};
use cenote::pool::PoolBuilder;
use cenote::report::ConnectionInfo;
use cenote::shared::SharedPoolBuilder;
use cenote::{Connect, Dial, FailureKind, Lease, Multiplex, Pool, SharedPool, Verdict};
use tokio::time::Instant;

/// What a server does with a dial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    #[default]
    Accept,
    Refuse,
    /// That it is not what is wanted.
    Unsuitable,
    /// Nothing, ever.
    Swallow,
    /// Accepts, and the connection is dead.
    AcceptDead,
}

#[derive(Default)]
struct Server {
    answer: Answer,
    connect_time: Duration,
    /// How long a check takes.
    check_time: Duration,
    /// For how long a new connection carries no leases.
    warm_up: Duration,
    /// How long a goodbye takes.
    goodbye: Duration,
    dialled: usize,
    /// Connections that are open.
    open: usize,
    most_open: usize,
    /// Connections from before this are dead.
    alive_since: u64,
    /// Leases that one of its connections carries at once; if nothing is said, [`CAPACITY`].
    capacity: Option<usize>,
}

/// Leases that a connection carries at once, where many share it.
pub const CAPACITY: usize = 100;

#[derive(Default)]
struct Servers {
    by_name: BTreeMap<String, Server>,
    next: u64,
}

/// All servers there are or ever were, by name.
#[derive(Clone, Default)]
pub struct Service(Arc<Mutex<Servers>>);

/// A connection to one of them.
pub struct Conn {
    pub server: String,
    number: u64,
    opened_at: Instant,
    service: Service,
}

/// The connector of one of them.
pub struct To {
    pub name: String,
    service: Service,
}

impl Service {
    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Server) -> T) -> T {
        let mut servers = self.0.lock().unwrap();
        act(servers.by_name.entry(name.into()).or_default())
    }

    pub fn set(&self, name: &str, answer: Answer) {
        self.with(name, |server| server.answer = answer);
    }

    pub fn set_connect_time(&self, name: &str, time: Duration) {
        self.with(name, |server| server.connect_time = time);
    }

    pub fn set_check_time(&self, name: &str, time: Duration) {
        self.with(name, |server| server.check_time = time);
    }

    /// From now on its connections carry no leases until they are this old.
    pub fn set_warm_up(&self, name: &str, time: Duration) {
        self.with(name, |server| server.warm_up = time);
    }

    pub fn set_goodbye(&self, name: &str, time: Duration) {
        self.with(name, |server| server.goodbye = time);
    }

    /// From now on one of its connections carries so many leases at once.
    pub fn set_capacity(&self, name: &str, capacity: usize) {
        self.with(name, |server| server.capacity = Some(capacity));
    }

    /// Ends all its connections, and refuses others.
    pub fn kill(&self, name: &str) {
        self.end(name, Answer::Refuse);
    }

    /// Ends all its connections; what it does with dials from now on.
    pub fn end(&self, name: &str, answer: Answer) {
        self.set(name, answer);
        let next = self.0.lock().unwrap().next;
        self.with(name, |server| server.alive_since = next);
    }

    pub fn open(&self, name: &str) -> usize {
        self.with(name, |server| server.open)
    }

    pub fn most_open(&self, name: &str) -> usize {
        self.with(name, |server| server.most_open)
    }

    pub fn dialled(&self, name: &str) -> usize {
        self.with(name, |server| server.dialled)
    }

    pub fn all_open(&self) -> usize {
        let servers = self.0.lock().unwrap();
        servers.by_name.values().map(|server| server.open).sum()
    }

    pub fn connector(&self, name: &str) -> To {
        To {
            name: name.into(),
            service: self.clone(),
        }
    }

    /// A pool over what the source tells.
    pub fn balanced<S: IntoDiscovery<Key = String>>(&self, source: S) -> PoolBuilder<To> {
        let service = self.clone();
        Pool::balanced(source, move |at: &Endpoint<String>| {
            service.connector(&at.key)
        })
        .seed(7)
    }

    /// As [`balanced`](Self::balanced), whose connections are shared.
    pub fn shared<S: IntoDiscovery<Key = String>>(&self, source: S) -> SharedPoolBuilder<To> {
        let service = self.clone();
        SharedPool::balanced(source, move |at: &Endpoint<String>| {
            service.connector(&at.key)
        })
        .seed(7)
    }

    /// A pool over these servers, and what changes them.
    pub fn over(&self, names: &[&str]) -> (SetSender<String>, PoolBuilder<To>) {
        self.over_set(set_of(names))
    }

    /// A pool over this set, and what changes it.
    pub fn over_set(&self, set: EndpointSet<String>) -> (SetSender<String>, PoolBuilder<To>) {
        let (sender, source) = channel();
        sender.send(set);
        (sender, self.balanced(source))
    }
}

pub fn endpoint(name: &str) -> Endpoint<String> {
    Endpoint::new(name.to_owned())
}

/// The endpoint `first`, and `second` for when that does not suffice.
pub fn two_levels() -> EndpointSet<String> {
    EndpointSet::from([endpoint("first"), endpoint("second").priority(1)])
}

pub fn set_of(names: &[&str]) -> EndpointSet<String> {
    EndpointSet::of(names.iter().map(|name| (*name).to_owned()))
}

impl Connect for To {
    type Connection = Conn;
    type Error = io::Error;

    async fn connect(&self, _: &Dial) -> io::Result<Conn> {
        let (answer, time) = self.service.with(&self.name, |server| {
            server.dialled += 1;
            (server.answer, server.connect_time)
        });
        tokio::time::sleep(time).await;
        match answer {
            Answer::Refuse => return Err(io::ErrorKind::ConnectionRefused.into()),
            Answer::Unsuitable => return Err(io::Error::other("it is a replica")),
            Answer::Swallow => std::future::pending().await,
            Answer::Accept | Answer::AcceptDead => {}
        }
        let number = {
            let mut servers = self.service.0.lock().unwrap();
            servers.next += 1;
            servers.next
        };
        self.service.with(&self.name, |server| {
            server.open += 1;
            if answer == Answer::AcceptDead {
                server.alive_since = number;
            }
            server.most_open = server.most_open.max(server.open);
        });
        Ok(Conn {
            server: self.name.clone(),
            number,
            opened_at: Instant::now(),
            service: self.service.clone(),
        })
    }

    async fn check(&self, _: &mut Conn, _: &ConnectionInfo) -> io::Result<()> {
        let time = self.service.with(&self.name, |server| server.check_time);
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
        Ok(())
    }

    fn is_open(&self, conn: &Conn) -> bool {
        assert_eq!(conn.server, self.name, "judged by its own connector");
        let dead = |server: &mut Server| conn.number <= server.alive_since;
        !self.service.with(&self.name, dead)
    }

    fn verdict(&self, conn: &mut Conn) -> Verdict {
        assert_eq!(conn.server, self.name, "judged by its own connector");
        Verdict::Reuse
    }

    async fn close(&self, conn: Conn, _: &ConnectionInfo) {
        let time = self.service.with(&self.name, |server| server.goodbye);
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
        drop(conn);
    }

    fn classify(&self, error: &io::Error) -> FailureKind {
        match error.kind() {
            io::ErrorKind::Other => FailureKind::Unsuitable,
            _ => FailureKind::Transient,
        }
    }

    fn endpoint(&self) -> Option<String> {
        Some(self.name.clone())
    }
}

impl Multiplex for To {
    fn capacity(&self, conn: &Conn) -> usize {
        let (capacity, warm_up) = self
            .service
            .with(&conn.server, |server| (server.capacity, server.warm_up));
        match conn.opened_at.elapsed() < warm_up {
            true => 0,
            false => capacity.unwrap_or(CAPACITY),
        }
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.service.with(&self.server, |server| server.open -= 1);
    }
}

/// Takes a lease for a moment; which server it was on.
pub async fn use_once(pool: &Pool<To>) -> String {
    let lease = pool.get().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(Lease::connector(&lease).name, lease.server);
    lease.server.clone()
}

/// Of so many leases, one after the other, how many each server has had.
pub async fn shares(pool: &Pool<To>, leases: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..leases {
        *shares.entry(use_once(pool).await).or_default() += 1;
    }
    shares
}

/// As [`use_once`] so many times, every 50 ms.
pub async fn use_now_and_then(pool: &Pool<To>, times: usize) {
    for _ in 0..times {
        use_once(pool).await;
        pass(ms(50)).await;
    }
}

pub async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
