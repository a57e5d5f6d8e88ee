//! A server that somebody names, and what it is said to be.

use std::fmt;
use std::sync::Arc;

use cenote::error::SettingsError;
use cenote::net::Host;

/// What a server is to the others that have the same data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ServerRole {
    /// It takes writes.
    Master,
    /// It follows a master, and is read from.
    Replica,
}

/// A server of a replicated set, and what tells it from the others: host, port and role. What
/// [`Sentinels`](crate::Sentinels) tell.
///
/// Its text form is `10.0.0.1:6379`, `[fd00::1]:6379`.
///
/// ```
/// use cenote_redis::{RedisNode, ServerRole};
///
/// let node = RedisNode::new("redis1.internal", 6379, ServerRole::Master)?;
/// assert_eq!(node.to_string(), "redis1.internal:6379");
/// # Ok::<(), cenote::error::SettingsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RedisNode {
    host: Arc<str>,
    port: u16,
    role: ServerRole,
}

/// The longest name that DNS has.
const LONGEST_HOST: usize = 255;

impl RedisNode {
    /// A server at this host, a name or an IP address without brackets.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] if the host is neither by its characters, or the port is 0.
    pub fn new(host: &str, port: u16, role: ServerRole) -> Result<Self, SettingsError> {
        let is_of_a_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte);
        let is_host = !host.is_empty() && host.len() <= LONGEST_HOST;
        if !is_host || !host.bytes().all(is_of_a_host) {
            let accepted = "a host name or an IP address, without brackets";
            return Err(SettingsError::new("host", format!("{host:?}"), accepted));
        }
        if port == 0 {
            return Err(SettingsError::new("port", "0", "1 to 65535"));
        }
        let host = host.into();
        Ok(Self { host, port, role })
    }

    /// Its name, or its IP address without brackets, as TLS verifies it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it is said to be.
    pub fn role(&self) -> ServerRole {
        self.role
    }

    pub(crate) fn place(&self) -> Host {
        Host::new(&*self.host, self.port)
    }
}

impl fmt::Display for RedisNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_host_and_port_is_refused() {
        for (host, port) in [("", 1), ("a b", 1), ("a@b", 1), ("a\n", 1), ("a", 0)] {
            assert!(RedisNode::new(host, port, ServerRole::Master).is_err());
        }
        let node = RedisNode::new("fd00::1", 6379, ServerRole::Replica).unwrap();
        assert_eq!(node.to_string(), "[fd00::1]:6379");
    }
}
