//! A master, two replicas and three sentinels, which replace the master by themselves.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::future::Future;
use std::time::{Duration, Instant};

use cenote::endpoints::{Discover, EndpointSet};
use cenote::{Connect, Dial};
use cenote_redis::{
    Cmd, FromReply, RedisConnector, RedisError, RedisNode, SentinelSource, Sentinels,
};
use cenote_testkit::{RedisServer, SentinelServer};

/// As the sentinels call the master.
pub const NAME: &str = "orders";

pub struct Group {
    /// The first is the master at the beginning.
    pub servers: Vec<RedisServer>,
    pub sentinels: Vec<SentinelServer>,
}

impl Group {
    /// All are up and know each other, and the sentinels are [patient](Self::be_patient).
    pub async fn start() -> Self {
        let server = || RedisServer::builder().setting("repl-diskless-sync-delay", "0");
        let mut servers = vec![server().start().unwrap()];
        for _ in 0..2 {
            let of_master = format!("127.0.0.1 {}", servers[0].port());
            let replica = server().setting("replicaof", of_master).start();
            servers.push(replica.unwrap());
        }
        until_says(&servers[0].url(), "INFO replication", |info| {
            info.matches("state=online").count() == 2
        })
        .await;
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            let sentinel = SentinelServer::builder(NAME, &servers[0]).start();
            sentinels.push(sentinel.unwrap());
        }
        let group = Self { servers, sentinels };
        group.be_patient().await;
        for sentinel in &group.sentinels {
            until_says(&sentinel.url(), "INFO sentinel", |info| {
                info.contains("slaves=2,sentinels=3")
            })
            .await;
        }
        group
    }

    /// From now on the sentinels find a server down that is silent for half a second.
    pub async fn be_quick(&self) {
        self.set("down-after-milliseconds 500").await;
    }

    /// From now on the sentinels find no server down, however long a busy machine keeps it from answering.
    pub async fn be_patient(&self) {
        self.set("down-after-milliseconds 600000").await;
    }

    /// No master is replaced any more but by command.
    pub async fn agree_on_nothing(&self) {
        self.set("quorum 9").await;
    }

    async fn set(&self, option: &str) {
        for sentinel in &self.sentinels {
            ask::<()>(&sentinel.url(), &format!("SENTINEL SET {NAME} {option}")).await;
        }
    }

    /// The addresses of all three sentinels.
    pub fn addresses(&self) -> String {
        let addresses = self.sentinels.iter().map(|at| at.addr().to_string());
        addresses.collect::<Vec<_>>().join(",")
    }

    /// All three sentinels.
    pub fn sentinels(&self) -> Sentinels {
        sentinels_at(&self.addresses())
    }

    pub fn server_at(&self, port: u16) -> &RedisServer {
        let mut servers = self.servers.iter();
        servers.find(|server| server.port() == port).unwrap()
    }

    /// The last sentinel replaces the master, by command.
    pub async fn fail_over(&self) {
        until("the failover begins", async || {
            // Until the sentinel has heard from the replicas.
            let url = self.sentinels[2].url();
            tried::<()>(&url, &format!("SENTINEL FAILOVER {NAME}"))
                .await
                .is_ok()
        })
        .await;
    }

    /// The port of the master that the last sentinel names.
    pub async fn master(&self) -> u16 {
        let question = format!("SENTINEL GET-MASTER-ADDR-BY-NAME {NAME}");
        let (_, port): (String, u16) = ask(&self.sentinels[2].url(), &question).await;
        port
    }

    /// The sentinels replace the master, which answers no more. The port of the new one; there is no third.
    pub async fn replaced(&self, old: u16) -> u16 {
        self.be_quick().await;
        let new = self.master_after(old).await;
        self.be_patient().await;
        new
    }

    /// When another server than this was seen to be a master.
    pub async fn is_promoted(&self, old: u16) -> Instant {
        until("another is a master", async || {
            for server in self.servers.iter().filter(|at| at.port() != old) {
                let info = tried::<String>(&server.url(), "INFO replication").await;
                if info.is_ok_and(|info| info.contains("role:master")) {
                    return true;
                }
            }
            false
        })
        .await;
        Instant::now()
    }

    /// The port of the new master, once the last sentinel names another than this.
    pub async fn master_after(&self, old: u16) -> u16 {
        until("another master is named", async || {
            self.master().await != old
        })
        .await;
        self.master().await
    }
}

pub fn sentinels_at(addresses: &str) -> Sentinels {
    let connector = RedisConnector::new(&format!("redis://{addresses}")).unwrap();
    Sentinels::new(connector, NAME).unwrap()
}

/// What the source tells next; it must tell.
pub async fn told(source: &mut SentinelSource) -> EndpointSet<RedisNode> {
    let told = ends("the sentinels are asked", source.next()).await;
    told.unwrap().unwrap()
}

/// The ports of the endpoints, in order.
pub fn ports(set: &EndpointSet<RedisNode>) -> Vec<u16> {
    let mut ports: Vec<_> = set.endpoints().iter().map(|at| at.key.port()).collect();
    ports.sort_unstable();
    ports
}

/// Sends one command on a connection of its own. A server that is demoted meanwhile ends it.
async fn tried<T: FromReply>(url: &str, command: &str) -> Result<T, RedisError> {
    let mut words = command.split(' ');
    let cmd = Cmd::new(words.next().unwrap()).args(words);
    let connector = RedisConnector::new(url).unwrap();
    let mut conn = connector.connect(&Dial::new()).await?;
    conn.query(&cmd).await
}

/// The same; it must be answered.
async fn ask<T: FromReply>(url: &str, command: &str) -> T {
    tried(url, command).await.unwrap()
}

/// Asks until it is answered like this.
pub async fn until_says(url: &str, command: &str, expected: impl Fn(&str) -> bool) {
    until(command, async || {
        let answer = tried::<String>(url, command).await;
        answer.is_ok_and(|answer| expected(&answer))
    })
    .await;
}

/// Waits until the condition holds. The limit only turns a hang into a failure.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    ends(what, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// Awaits something that must end. The limit only turns a hang into a failure.
pub async fn ends<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(Duration::from_secs(120), future).await {
        Ok(output) => output,
        Err(_) => panic!("never ended: {what}"),
    }
}
