//! Whatever breaks on the wire to Redis: nobody reads another's reply, service resumes, no slot is lost,
//! dials are paced and nothing spins.

#[path = "../../cenote-postgres/tests/wire/faults.rs"]
mod faults;
#[path = "../../cenote-postgres/tests/wire/mod.rs"]
mod wire;

use std::net::SocketAddr;
use std::sync::OnceLock;

use cenote::error::BoxError;
use cenote_redis::{Cmd, RedisConnection, RedisConnector};
use cenote_testkit::RedisServer;
use wire::load::Echo;

impl Echo for RedisConnector {
    async fn echo(redis: &mut RedisConnection, tag: &str) -> Result<String, BoxError> {
        if tag.len().is_multiple_of(2) {
            return Ok(redis.query(&Cmd::new("ECHO").arg(tag)).await?);
        }
        redis.set(tag, tag).await?;
        Ok(redis.get(tag).await?)
    }
}

fn server() -> SocketAddr {
    static SERVER: OnceLock<RedisServer> = OnceLock::new();
    let start = || RedisServer::start().expect("Redis starts");
    SERVER.get_or_init(start).addr()
}

fn connector(proxy: SocketAddr) -> RedisConnector {
    let url = format!("redis://{proxy}");
    RedisConnector::new(&url).expect("the URL is valid")
}
