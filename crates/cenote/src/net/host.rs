//! Where a server is reached: a name and a port, addresses known beforehand, or the path of a Unix socket; and
//! the order in which the addresses of one host are tried.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One place where a server is reached. Cheap to clone.
///
/// A host may have several addresses; they lead to the same server, and whichever answers first is used. Servers
/// that are *not* the same, such as a primary and a stand-by, are several hosts: see
/// [`each_host`](super::each_host).
///
/// Its text form is what errors show: `db.example:5432`, `[::1]:5432`, `/run/db.sock`.
///
/// ```
/// use cenote::net::Host;
///
/// assert_eq!(Host::new("db.example", 5432).to_string(), "db.example:5432");
/// assert_eq!(Host::new("::1", 5432).to_string(), "[::1]:5432");
///
/// let known = ["10.0.0.1:5432".parse()?, "10.0.0.2:5432".parse()?];
/// assert_eq!(Host::with_addresses("db.example", known).to_string(), "db.example:5432");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// To be looked up at each dial, so that a name which moves is followed.
    Name { name: Arc<str>, port: u16 },
    Addresses {
        name: Arc<str>,
        addresses: Arc<[SocketAddr]>,
    },
    #[cfg(unix)]
    Path(Arc<Path>),
}

impl Host {
    /// The host with this name, which each dial looks up anew, or with this IP address, which is not looked up;
    /// an IPv6 address may stand in brackets.
    pub fn new(name: impl AsRef<str>, port: u16) -> Self {
        let name = name.as_ref();
        let bare = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .unwrap_or(name);
        match bare.parse::<IpAddr>() {
            Ok(address) => Self::with_addresses(bare, [SocketAddr::new(address, port)]),
            Err(_) => Self {
                place: Place::Name {
                    name: name.into(),
                    port,
                },
            },
        }
    }

    /// The host with this name at these addresses, which saves the look-up: the name serves TLS and messages.
    pub fn with_addresses(
        name: impl AsRef<str>,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Self {
        Self {
            place: Place::Addresses {
                name: name.as_ref().into(),
                addresses: addresses.into_iter().collect(),
            },
        }
    }

    /// The server that listens on the Unix socket at this path.
    #[cfg(unix)]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self {
            place: Place::Path(path.into().into()),
        }
    }

    /// The name, as TLS verifies it, or the IP address in its place, without brackets; `None`: a Unix socket.
    pub fn name(&self) -> Option<&str> {
        match &self.place {
            Place::Name { name, .. } | Place::Addresses { name, .. } => Some(name),
            #[cfg(unix)]
            Place::Path(_) => None,
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }
}

impl From<SocketAddr> for Host {
    fn from(address: SocketAddr) -> Self {
        Self::with_addresses(address.ip().to_string(), [address])
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, port) = match &self.place {
            Place::Name { name, port } => (name, Some(*port)),
            Place::Addresses { name, addresses } => (name, common_port(addresses)),
            #[cfg(unix)]
            Place::Path(path) => return write!(f, "{}", path.display()),
        };
        if name.contains(':') {
            write!(f, "[{name}]")?;
        } else {
            f.write_str(name)?;
        }
        match port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// The port of all these addresses, if it is one.
fn common_port(addresses: &[SocketAddr]) -> Option<u16> {
    let port = addresses.first()?.port();
    let same = addresses.iter().all(|address| address.port() == port);
    same.then_some(port)
}

/// The order in which addresses are tried, RFC 8305: the families alternate, beginning with the first one's; within
/// a family the resolver's order, which is the system administrator's, stays. An address named twice is tried once.
pub(super) fn alternate(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut all: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    let Some(first) = all.first() else {
        return all;
    };
    let first_is_v4 = first.is_ipv4();
    let (first_family, other_family): (Vec<_>, Vec<_>) = all
        .iter()
        .copied()
        .partition(|address| address.is_ipv4() == first_is_v4);
    let mut others = other_family.into_iter();
    let mut ordered = Vec::with_capacity(all.len());
    for address in first_family {
        ordered.push(address);
        ordered.extend(others.next());
    }
    ordered.extend(others);
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        let parse = |text: &&str| text.parse().expect("an address");
        texts.iter().map(parse).collect()
    }

    #[test]
    fn families_alternate_and_keep_the_resolvers_order() {
        let found = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let wanted = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert_eq!(alternate(found), wanted);
    }

    #[test]
    fn the_family_that_the_resolver_names_first_begins() {
        let found = addresses(&["1.1.1.1:1", "[::1]:1", "[::2]:1", "[::3]:1"]);
        let wanted = addresses(&["1.1.1.1:1", "[::1]:1", "[::2]:1", "[::3]:1"]);
        assert_eq!(alternate(found), wanted);
    }

    #[test]
    fn an_address_named_twice_is_tried_once() {
        let found = addresses(&["1.1.1.1:1", "1.1.1.1:1", "2.2.2.2:1", "1.1.1.1:1"]);
        assert_eq!(alternate(found), addresses(&["1.1.1.1:1", "2.2.2.2:1"]));
    }

    #[test]
    fn hosts_are_named_as_they_are_written() {
        let cases = [
            (Host::new("db.example", 5432), "db.example:5432"),
            (Host::new("10.0.0.1", 5432), "10.0.0.1:5432"),
            (Host::new("::1", 5432), "[::1]:5432"),
            (Host::new("[::1]", 5432), "[::1]:5432"),
            (
                Host::with_addresses("db", addresses(&["[::1]:1", "1.1.1.1:1"])),
                "db:1",
            ),
            (
                Host::with_addresses("db", addresses(&["[::1]:1", "1.1.1.1:2"])),
                "db",
            ),
            (Host::with_addresses("db", []), "db"),
            (Host::from(addresses(&["[::1]:1"])[0]), "[::1]:1"),
        ];
        for (host, text) in cases {
            assert_eq!(host.to_string(), text);
        }
    }

    #[test]
    fn the_name_for_tls_has_no_brackets_and_no_port() {
        assert_eq!(Host::new("db.example", 5432).name(), Some("db.example"));
        assert_eq!(Host::new("[::1]", 5432).name(), Some("::1"));
        #[cfg(unix)]
        assert_eq!(Host::unix("/run/db.sock").name(), None);
    }
}
