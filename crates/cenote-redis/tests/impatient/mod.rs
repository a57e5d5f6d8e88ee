//! Connections that ask for a sign of life soon, and give up soon a server that shows none.

use std::time::Duration;

use cenote_redis::{Cmd, RedisConnector};

pub const SOON: Duration = Duration::from_millis(20);

pub fn command(line: &str) -> Cmd {
    let mut words = line.split(' ');
    Cmd::new(words.next().unwrap()).args(words)
}

pub fn connector(address: impl std::fmt::Display, protocol: u8) -> RedisConnector {
    RedisConnector::new(&format!("redis://{address}?protocol={protocol}"))
        .unwrap()
        .ping_after(SOON)
        .ping_timeout(SOON)
}
