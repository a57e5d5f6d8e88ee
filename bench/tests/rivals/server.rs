//! The server that every pool here connects to: it does as it is told, and counts. One connector for all pools.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;

/// How a step goes.
#[derive(Clone, Copy, Default)]
pub enum Act {
    #[default]
    Ok,
    Fail,
    Slow(Duration),
    Hang,
    Panic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such host")
    }
}

impl std::error::Error for Refused {}

#[derive(Clone, Default)]
pub struct Server {
    plan: Arc<Mutex<Plan>>,
    seen: Arc<Seen>,
}

#[derive(Clone, Copy, Default)]
struct Plan {
    connect: Act,
    check: Act,
}

#[derive(Default)]
struct Seen {
    open: AtomicUsize,
    dials: AtomicUsize,
}

impl Server {
    /// How connects go from now on.
    pub fn connects(&self, act: Act) {
        self.plan.lock().unwrap().connect = act;
    }

    /// How checks go from now on.
    pub fn checks(&self, act: Act) {
        self.plan.lock().unwrap().check = act;
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.seen.open.load(SeqCst)
    }

    /// Connects ever begun.
    pub fn dials(&self) -> usize {
        self.seen.dials.load(SeqCst)
    }

    async fn run(act: Act) -> Result<(), Refused> {
        match act {
            Act::Ok => Ok(()),
            Act::Fail => Err(Refused),
            Act::Slow(time) => {
                sleep(time).await;
                Ok(())
            }
            Act::Hang => std::future::pending().await,
            Act::Panic => panic!("told to"),
        }
    }

    async fn dial(&self) -> Result<Connection, Refused> {
        let id = self.seen.dials.fetch_add(1, SeqCst);
        let act = self.plan.lock().unwrap().connect;
        Self::run(act).await?;
        self.seen.open.fetch_add(1, SeqCst);
        Ok(Connection {
            id,
            unread: VecDeque::new(),
            seen: self.seen.clone(),
        })
    }

    /// Asks, and reads one reply: the oldest, as every protocol in order does.
    async fn check(&self, conn: &mut Connection) -> Result<(), Refused> {
        conn.ask("a check's reply");
        let act = self.plan.lock().unwrap().check;
        Self::run(act).await?;
        conn.read();
        Ok(())
    }
}

pub struct Connection {
    /// Its place in the order of dials.
    pub id: usize,
    unread: VecDeque<&'static str>,
    seen: Arc<Seen>,
}

impl Connection {
    /// Sends a request; its reply will be `reply`.
    pub fn ask(&mut self, reply: &'static str) {
        self.unread.push_back(reply);
    }

    /// Reads the oldest reply not read yet.
    pub fn read(&mut self) -> Option<&'static str> {
        self.unread.pop_front()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.seen.open.fetch_sub(1, SeqCst);
    }
}

impl cenote::Connect for Server {
    type Connection = Connection;
    type Error = Refused;

    async fn connect(&self, _: &cenote::Dial) -> Result<Connection, Refused> {
        self.dial().await
    }

    fn verdict(&self, _: &mut Connection) -> cenote::Verdict {
        cenote::Verdict::Reuse
    }

    async fn check(
        &self,
        conn: &mut Connection,
        _: &cenote::ConnectionInfo,
    ) -> Result<(), Refused> {
        self.check(conn).await
    }
}

impl bb8::ManageConnection for Server {
    type Connection = Connection;
    type Error = Refused;

    async fn connect(&self) -> Result<Connection, Refused> {
        self.dial().await
    }

    async fn is_valid(&self, conn: &mut Connection) -> Result<(), Refused> {
        self.check(conn).await
    }

    fn has_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

impl deadpool::managed::Manager for Server {
    type Type = Connection;
    type Error = Refused;

    async fn create(&self) -> Result<Connection, Refused> {
        self.dial().await
    }

    async fn recycle(
        &self,
        conn: &mut Connection,
        _: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<Refused> {
        Ok(self.check(conn).await?)
    }
}

#[async_trait::async_trait]
impl mobc::Manager for Server {
    type Connection = Connection;
    type Error = Refused;

    async fn connect(&self) -> Result<Connection, Refused> {
        self.dial().await
    }

    async fn check(&self, mut conn: Connection) -> Result<Connection, Refused> {
        Server::check(self, &mut conn).await?;
        Ok(conn)
    }
}
