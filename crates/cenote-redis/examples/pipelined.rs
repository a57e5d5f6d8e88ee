//! A thousand tasks on one connection, and a worker that waits for jobs without holding them up.
//!
//! ```text
//! cargo run -p cenote-redis --example pipelined                        # starts a server of its own
//! cargo run -p cenote-redis --example pipelined -- redis://127.0.0.1/  # uses yours
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use cenote_redis::{Cmd, RedisClient, RedisConnector, RedisError};
use cenote_testkit::RedisServer;

const USERS: usize = 1_000;
const VISITS: usize = 20;
const JOBS: &str = "cenote:jobs";
const COUNT: &str = "cenote:visits";

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pipelined: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let (_server, url) = match std::env::args().nth(1) {
        Some(help) if help == "-h" || help == "--help" => {
            println!("Usage: pipelined [redis://[user:password@]host[:port][/database]]");
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
    let connector = RedisConnector::new(&url)?.client_name("cenote-pipelined")?;
    println!("pipelined at {connector}");
    let redis = RedisClient::builder(connector)
        .name("shop")
        .shared_connections(1)
        .build()?;
    let forget = Cmd::new("DEL").arg(JOBS).arg(COUNT);
    redis.command(&forget).await?;

    let worker = tokio::spawn(work(redis.clone()));
    let begin = Instant::now();
    let mut users = tokio::task::JoinSet::new();
    for user in 0..USERS {
        let redis = redis.clone();
        users.spawn(async move { visit(&redis, user).await });
    }
    while let Some(visited) = users.join_next().await {
        visited??;
    }
    println!(
        "{} visits of {USERS} users in {:.0?}",
        redis.get::<u64>(COUNT).await?,
        begin.elapsed()
    );
    println!("{}", redis.status());

    redis
        .command(&Cmd::new("LPUSH").arg(JOBS).arg("done"))
        .await?;
    println!("the worker did {} jobs meanwhile", worker.await??);
    redis.command(&forget).await?;
    redis.close().await;
    Ok(())
}

/// Counts visits; now and then there is a job to do.
async fn visit(redis: &RedisClient, user: usize) -> Result<(), RedisError> {
    for _ in 0..VISITS {
        redis.command(&Cmd::new("INCR").arg(COUNT)).await?;
    }
    if user.is_multiple_of(100) {
        // Both or neither, in one round trip, and nobody else's command in between.
        let job = [
            Cmd::new("MULTI"),
            Cmd::new("INCR").arg(COUNT),
            Cmd::new("RPUSH").arg(JOBS).arg(user),
            Cmd::new("EXEC"),
        ];
        for reply in redis.pipeline(&job).await? {
            reply?;
        }
    }
    Ok(())
}

/// Waits for jobs, on a connection of its own: on the shared one, everybody's replies would wait too.
async fn work(redis: RedisClient) -> Result<usize, RedisError> {
    let next = Cmd::new("BLPOP").arg(JOBS).arg(0);
    let mut done = 0;
    loop {
        // The list's name and the element.
        let job: Vec<String> = redis.query(&next).await?;
        if job.last().is_some_and(|job| job == "done") {
            return Ok(done);
        }
        done += 1;
    }
}
