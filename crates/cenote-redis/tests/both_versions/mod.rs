//! Pools of exclusive connections in both versions of the protocol, what they are asked, and why they refuse.

use cenote::Pool;
use cenote_redis::{Cmd, RedisConnector, RedisError, Refusal};
use cenote_testkit::RedisServer;

pub fn cmd(line: &str) -> Cmd {
    let mut words = line.split(' ');
    Cmd::new(words.next().unwrap()).args(words)
}

/// A pool of one connection in each version of the protocol.
pub fn pools(server: &RedisServer) -> [Pool<RedisConnector>; 2] {
    [3, 2].map(|version| {
        let url = format!("{}?protocol={version}", server.url());
        let connector = RedisConnector::new(&url).unwrap();
        Pool::builder(connector).max_size(1).build().unwrap()
    })
}

pub fn reason(error: RedisError) -> Refusal {
    match error {
        RedisError::Refused { reason, .. } => reason,
        other => panic!("{other}"),
    }
}
