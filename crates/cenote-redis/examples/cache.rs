//! A cache in front of something slow, shared by a hundred tasks.
//!
//! ```text
//! cargo run -p cenote-redis --example cache                        # starts a server of its own
//! cargo run -p cenote-redis --example cache -- redis://127.0.0.1/  # uses yours
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use cenote::Pool;
use cenote_redis::{Cmd, RedisConnector};
use cenote_testkit::RedisServer;

const USERS: usize = 100;
const ARTICLES: usize = 20;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cache: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let (_server, url) = match std::env::args().nth(1) {
        Some(help) if help == "-h" || help == "--help" => {
            println!("Usage: cache [redis://[user:password@]host[:port][/database]]");
            println!("Without a URL it starts a redis-server of its own.");
            return Ok(());
        }
        Some(url) => (None, url),
        None => {
            let server = RedisServer::start()?;
            let url = server.url();
            (Some(server), url)
        }
    };
    let connector = RedisConnector::new(&url)?.client_name("cenote-cache")?;
    println!("cache at {connector}");
    let pool = Pool::builder(connector).name("cache").max_size(8).build()?;
    forget_all(&pool).await?;

    let misses = Arc::new(AtomicUsize::new(0));
    let begin = Instant::now();
    let mut users = tokio::task::JoinSet::new();
    for user in 0..USERS {
        let (pool, misses) = (pool.clone(), misses.clone());
        users.spawn(async move {
            for turn in 0..50 {
                let id = (user * 7 + turn) % ARTICLES;
                if let Err(error) = article(&pool, id, &misses).await {
                    eprintln!("user {user}: {error}");
                }
            }
        });
    }
    users.join_all().await;
    println!(
        "{} reads in {:.0?}, {} of them from the source",
        USERS * 50,
        begin.elapsed(),
        misses.load(Relaxed)
    );
    println!("views: {:?}", most_viewed(&pool).await?);
    println!("{}", pool.status());
    pool.close().await;
    Ok(())
}

/// An article, from the cache or else from the source; each read is counted.
async fn article(
    pool: &Pool<RedisConnector>,
    id: usize,
    misses: &AtomicUsize,
) -> Result<String, Box<dyn Error + Send + Sync>> {
    let key = format!("cenote:article:{id}");
    let mut redis = pool.get().await?;
    // One round trip for both commands. An error reply is a value of its own here, hence the `?`s.
    let mut replies = redis
        .pipeline(&[
            Cmd::new("GET").arg(&key),
            Cmd::new("ZINCRBY").arg("cenote:views").arg(1).arg(id),
        ])
        .await?;
    replies.pop().ok_or("ZINCRBY was not answered")??;
    let cached = replies.pop().ok_or("GET was not answered")??;
    if let Some(text) = cenote_redis::FromReply::from_reply(cached)? {
        return Ok(text);
    }
    // Others may use the connection while this task waits for something else.
    drop(redis);
    misses.fetch_add(1, Relaxed);
    let text = read_from_source(id).await;
    let store = Cmd::new("SET").arg(&key).arg(&text).arg("EX").arg(60);
    pool.get().await?.command(&store).await?;
    Ok(text)
}

async fn read_from_source(id: usize) -> String {
    tokio::time::sleep(Duration::from_millis(20)).await;
    format!("The text of article {id}.")
}

async fn most_viewed(pool: &Pool<RedisConnector>) -> Result<Vec<String>, Box<dyn Error>> {
    let top = ["cenote:views", "0", "2", "REV"];
    Ok(pool
        .get()
        .await?
        .query(&Cmd::new("ZRANGE").args(top))
        .await?)
}

async fn forget_all(pool: &Pool<RedisConnector>) -> Result<(), Box<dyn Error>> {
    let keys = (0..ARTICLES).map(|id| format!("cenote:article:{id}"));
    let forget = Cmd::new("DEL").arg("cenote:views").args(keys);
    let gone: i64 = pool.get().await?.query(&forget).await?;
    println!("forgot {gone} keys of an earlier run");
    Ok(())
}
