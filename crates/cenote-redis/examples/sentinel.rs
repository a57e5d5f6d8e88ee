//! Writers and readers of a master that is replaced: by sentinels, while they work.
//!
//! ```text
//! cargo run -p cenote-redis --example sentinel                                      # starts servers of its own
//! cargo run -p cenote-redis --example sentinel -- redis://s1:26379,s2:26379 orders  # uses yours
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cenote::{Connect, Dial, Lease, Pool};
use cenote_redis::{Cmd, RedisConnection, RedisConnector, Sentinels};
use cenote_testkit::{RedisServer, SentinelServer};

type Failure = Box<dyn Error + Send + Sync>;

/// As the sentinel of our own calls the master.
const NAME: &str = "orders";

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sentinel: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => {
            let own = Own::start().await?;
            work(&own.sentinel.url(), NAME, own.fail_over()).await
        }
        [sentinels, name] => work(sentinels, name, async { Ok(()) }).await,
        _ => {
            println!(
                "Usage: sentinel [redis://[user:password@]sentinel:port[,sentinel:port...] name]"
            );
            println!("Without arguments it starts a master, a replica and a sentinel of its own.");
            Ok(())
        }
    }
}

/// Writes and reads for five seconds, of which the second begins with what `happens`.
async fn work(
    sentinels: &str,
    name: &str,
    happens: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let sentinels = Sentinels::new(RedisConnector::new(sentinels)?, name)?;
    // The login of the servers would stand here; which they are, the sentinels say.
    let to = RedisConnector::new("redis://orders")?;
    let from = to.clone();
    let writes = Pool::balanced(sentinels.master(), move |at| to.for_node(&at.key)).build()?;
    let reads = Pool::balanced(sentinels.replicas(), move |at| from.for_node(&at.key)).build()?;

    let end = Instant::now() + Duration::from_secs(5);
    let writer = tokio::spawn(async move {
        let mut last = None;
        while Instant::now() < end {
            // One that fails may have been done or not: to ask again is the program's to decide.
            match write(&writes).await {
                Ok((at, count)) if last.as_ref() != Some(&at) => {
                    println!("written at {at}: visit {count}");
                    last = Some(at);
                }
                Ok(_) => {}
                Err(error) => println!("not written: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let reader = tokio::spawn(async move {
        let (mut read, mut failed) = (0, 0);
        while Instant::now() < end {
            match count(&reads).await {
                Ok(_) => read += 1,
                Err(_) => failed += 1,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!("{read} reads answered by replicas, {failed} failed");
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    happens.await?;
    writer.await?;
    reader.await?;
    Ok(())
}

/// Where it was written, and how often by now.
async fn write(pool: &Pool<RedisConnector>) -> Result<(String, i64), Failure> {
    let mut redis = pool.get().await?;
    let count = redis.query(&Cmd::new("INCR").arg("visits")).await?;
    Ok((Lease::connector(&redis).to_string(), count))
}

async fn count(pool: &Pool<RedisConnector>) -> Result<Option<i64>, Failure> {
    Ok(pool.get().await?.get("visits").await?)
}

/// A master, a replica and a sentinel.
struct Own {
    _servers: [RedisServer; 2],
    sentinel: SentinelServer,
}

impl Own {
    async fn start() -> Result<Self, Failure> {
        let master = RedisServer::start()?;
        let of_master = format!("127.0.0.1 {}", master.port());
        let replica = RedisServer::builder()
            .setting("replicaof", of_master)
            .start()?;
        let mut connected = connect(&master.url()).await?;
        let replication = Cmd::new("INFO").arg("replication");
        while !connected
            .query::<String>(&replication)
            .await?
            .contains("state=online")
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let sentinel = SentinelServer::builder(NAME, &master).quorum(1).start()?;
        Ok(Self {
            _servers: [master, replica],
            sentinel,
        })
    }

    async fn fail_over(&self) -> Result<(), Failure> {
        println!("the sentinel replaces the master");
        let mut sentinel = connect(&self.sentinel.url()).await?;
        sentinel
            .command(&Cmd::new("SENTINEL").arg("FAILOVER").arg(NAME))
            .await?;
        Ok(())
    }
}

async fn connect(url: &str) -> Result<RedisConnection, Failure> {
    Ok(RedisConnector::new(url)?.connect(&Dial::new()).await?)
}
