//! A TCP port of 127.0.0.1 that is free now and likely to stay free while its server is down.
//!
//! Ports of the ephemeral range are avoided: the kernel hands them to outgoing connections, so a
//! client that dials a dead server could take its port, or even connect to itself.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, TcpListener};

const LOWEST: u16 = 15_000;
const TRIES: u32 = 100;

/// Whether nothing listens on `port`.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Picks a free port at random, so that tests running side by side rarely pick the same one.
pub(crate) fn pick() -> io::Result<u16> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let end = ephemeral_start(&range);
    if end > LOWEST {
        let width = u64::from(end - LOWEST);
        for _ in 0..TRIES {
            let offset = RandomState::new().build_hasher().finish() % width;
            let port = LOWEST + u16::try_from(offset).expect("the offset is below a u16's width");
            if is_free(port) {
                return Ok(port);
            }
        }
    }
    // Every port is ephemeral here, or all tries were taken: the kernel knows a free one.
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// The first ephemeral port, from the kernel's setting; Linux's default where it can't be read.
fn ephemeral_start(range: &str) -> u16 {
    range
        .split_whitespace()
        .next()
        .and_then(|first| first.parse().ok())
        .unwrap_or(32_768)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ephemeral_range_is_read_from_the_kernels_setting() {
        assert_eq!(ephemeral_start("16000\t60999\n"), 16_000);
        assert_eq!(ephemeral_start(""), 32_768);
    }

    #[test]
    fn a_port_that_is_listened_on_is_not_free() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_free(taken.local_addr().unwrap().port()));
    }
}
