//! The addresses of a host.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use cenote::endpoints::{Discover, Endpoint, EndpointSet};
use hickory_resolver::proto::rr::Name;

use crate::addresses::{self, Known};
use crate::error::DnsError;
use crate::name_servers::NameServers;
use crate::source::{Question, Source, Told};

/// The addresses of a `host:port`, IPv4 and IPv6, asked for again and again: each is an endpoint. Made by
/// [`host`](crate::host).
///
/// An IP address in the place of the host is its only address, and nobody is asked. `localhost` has its two addresses.
pub struct Host {
    text: String,
    source: Source<HostQuestion>,
}

/// What stands before the port.
#[derive(Clone)]
pub(crate) enum Place {
    Address(SocketAddr),
    Name(Name, u16),
}

impl Place {
    /// `None`: it is no host and port.
    pub(crate) fn parse(host_and_port: &str) -> Option<Self> {
        if let Ok(address) = host_and_port.parse() {
            return Some(Self::Address(address));
        }
        let (host, port) = host_and_port.rsplit_once(':')?;
        // Without brackets an IPv6 address and its port are not told apart.
        if host.is_empty() || host == "." || host.contains(':') {
            return None;
        }
        Some(Self::Name(
            Name::from_str_relaxed(host).ok()?,
            port.parse().ok()?,
        ))
    }
}

#[derive(Clone)]
pub(crate) struct HostQuestion {
    text: String,
    place: Place,
    /// What was last found, and under which whole name.
    known: Option<(Name, Known)>,
}

impl HostQuestion {
    pub(crate) fn new(text: &str, place: Place) -> Self {
        Self {
            text: text.into(),
            place,
            known: None,
        }
    }
}

impl Question for HostQuestion {
    type Key = SocketAddr;

    /// A candidate counts if it has addresses of any family; one that fails is not passed over for the next, which may
    /// be another service.
    async fn ask(&mut self, name_servers: &mut NameServers) -> Result<Told<SocketAddr>, DnsError> {
        let mut good_for = Duration::MAX;
        let (name, port) = match &self.place {
            Place::Address(address) => {
                let set = [*address].into_iter().map(endpoint).collect();
                return Ok(Told { set, good_for });
            }
            Place::Name(name, port) => (name, *port),
        };
        let resolver = name_servers.resolver(&self.text).await?;
        for candidate in resolver.candidates(name) {
            let known = self.known.as_ref();
            let before = known
                .filter(|(of, _)| *of == candidate)
                .map(|(_, known)| known);
            let found = addresses::find(&resolver, &candidate, before, &[]).await?;
            good_for = good_for.min(found.good_for);
            if !found.known.is_empty() {
                let addresses = found.known.addresses();
                let set = addresses
                    .map(|ip| endpoint(SocketAddr::new(ip, port)))
                    .collect();
                self.known = Some((candidate, found.known));
                return Ok(Told { set, good_for });
            }
        }
        self.known = None;
        let set = EndpointSet::default();
        Ok(Told { set, good_for })
    }
}

fn endpoint(address: SocketAddr) -> Endpoint<SocketAddr> {
    Endpoint::new(address).addresses([address])
}

impl Host {
    pub(crate) fn new(text: String, source: Source<HostQuestion>) -> Self {
        Self { text, source }
    }
}

impl Discover for Host {
    type Key = SocketAddr;
    type Error = DnsError;

    async fn next(&mut self) -> Option<Result<EndpointSet<SocketAddr>, DnsError>> {
        Some(self.source.next().await)
    }

    fn name(&self) -> String {
        format!("DNS name {}", self.text)
    }

    fn refresh(&mut self) {
        self.source.refresh();
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.debug("Host", &self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    use hickory_resolver::config::{ResolverConfig, ResolverOpts};
    use hickory_resolver::proto::op::ResponseCode;
    use hickory_resolver::proto::rr::RecordType::{A, AAAA};

    use super::*;
    use crate::name_servers::of_address;
    use crate::scripted::{Asked, Say, Scripted, addresses};

    /// Name servers with this script, where the search list is `a.test`, `b.test`.
    async fn searching(
        script: impl Fn(&Asked) -> Say + Send + Sync + 'static,
    ) -> (NameServers, Scripted) {
        let server = Scripted::start(script).await;
        let domains = ["a.test", "b.test"].map(|domain| Name::from_ascii(domain).unwrap());
        let servers = vec![of_address(&server.addr)];
        let config = ResolverConfig::from_parts(None, domains.into(), servers);
        let name_servers = NameServers::read_by(Duration::from_secs(5), move || {
            Ok((config.clone(), ResolverOpts::default()))
        });
        (name_servers, server)
    }

    fn question() -> HostQuestion {
        HostQuestion::new("db:80", Place::parse("db:80").unwrap())
    }

    fn set(addresses: &[&str]) -> EndpointSet<SocketAddr> {
        let addresses = addresses.iter().map(|text| text.parse().unwrap());
        addresses.map(endpoint).collect()
    }

    #[tokio::test]
    async fn the_first_name_of_the_search_list_that_has_addresses_counts() {
        // One has an address of either family: it is asked for both before the next is.
        let script = |asked: &Asked| match (asked.name.as_str(), asked.kind) {
            ("db.b.test", AAAA) => Say::Records(60, addresses("db.b.test", &["fd00::1"])),
            ("db", A) => Say::Records(60, addresses("db", &["10.6.6.6"])),
            _ => Say::NoData(0),
        };
        let (mut name_servers, _server) = searching(script).await;
        let told = question().ask(&mut name_servers).await.unwrap();
        assert_eq!(told.set, set(&["[fd00::1]:80"]));
    }

    #[tokio::test]
    async fn a_name_of_the_search_list_that_fails_is_not_passed_over_for_another() {
        let script = |asked: &Asked| match asked.name.as_str() {
            "db.a.test" => Say::Code(ResponseCode::ServFail),
            other => Say::Records(60, addresses(other, &["10.6.6.6"])),
        };
        let (mut name_servers, _server) = searching(script).await;
        let error = question().ask(&mut name_servers).await.err().unwrap();
        let error = error.to_string();
        assert!(error.starts_with("db.a.test. A: "), "{error}");
    }

    #[tokio::test]
    async fn what_is_known_of_one_name_of_the_search_list_is_not_told_of_another() {
        let is_gone = Arc::new(AtomicBool::new(false));
        let script = {
            let is_gone = Arc::clone(&is_gone);
            move |asked: &Asked| match (asked.name.as_str(), is_gone.load(SeqCst), asked.kind) {
                ("db.a.test", false, AAAA) => {
                    Say::Records(60, addresses("db.a.test", &["fd00::1"]))
                }
                ("db.b.test", true, A) => Say::Records(60, addresses("db.b.test", &["10.0.0.1"])),
                ("db.b.test", true, _) => Say::Code(ResponseCode::ServFail),
                _ => Say::NoData(0),
            }
        };
        let (mut name_servers, _server) = searching(script).await;
        let mut question = question();
        let told = question.ask(&mut name_servers).await.unwrap();
        assert_eq!(told.set, set(&["[fd00::1]:80"]));
        is_gone.store(true, SeqCst);
        let told = question.ask(&mut name_servers).await.unwrap();
        assert_eq!(told.set, set(&["10.0.0.1:80"]));
    }

    /// hickory #1132: a machine that changed its network asked the name servers of the old one.
    #[tokio::test]
    async fn name_servers_that_answer_no_more_are_read_anew() {
        let old_server = Scripted::start(|_| Say::Code(ResponseCode::Refused)).await;
        let new_server = Scripted::start(|asked| match asked.kind {
            A => Say::Records(60, addresses("db", &["10.0.0.1"])),
            _ => Say::NoData(0),
        })
        .await;
        let (old, new) = (old_server.addr, new_server.addr);
        let was_read = AtomicBool::new(false);
        let mut name_servers = NameServers::read_by(Duration::from_secs(5), move || {
            let is_new = was_read.swap(true, SeqCst);
            let server = of_address(if is_new { &new } else { &old });
            let config = ResolverConfig::from_name_servers(vec![server]);
            Ok((config, ResolverOpts::default()))
        });
        let mut question = question();
        for _ in 0..3 {
            let told = question.ask(&mut name_servers).await;
            assert!(told.is_err());
            name_servers.heard(&told);
        }
        let told = question.ask(&mut name_servers).await.unwrap();
        assert_eq!(told.set, set(&["10.0.0.1:80"]));
    }
}
