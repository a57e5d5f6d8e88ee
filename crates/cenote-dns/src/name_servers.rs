//! Which name servers there are, read when they are first needed and anew once they have failed again and again: a
//! machine that changes its network changes them (hickory #1132).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ProtocolConfig, ResolverConfig, ResolverOpts,
};
use hickory_resolver::system_conf::read_system_conf;
use tokio::task::spawn_blocking;

use crate::error::DnsError;
use crate::resolver::Resolver;

/// So many failures in a row, and the settings are read anew.
const FAILURES: u32 = 3;

/// Reads the settings. `Err`: what is wrong with them.
type Read = Arc<dyn Fn() -> Result<(ResolverConfig, ResolverOpts), String> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct NameServers {
    read: Read,
    timeout: Duration,
    resolver: Option<Arc<Resolver>>,
    /// Resolutions in a row that failed.
    failures: u32,
}

impl NameServers {
    pub(crate) fn of_the_system(timeout: Duration) -> Self {
        Self::read_by(timeout, || {
            read_system_conf().map_err(|error| error.to_string())
        })
    }

    /// These, for whole names: there is no search list.
    pub(crate) fn fixed(timeout: Duration, servers: &[SocketAddr]) -> Self {
        let servers: Vec<_> = servers.iter().map(of_address).collect();
        Self::read_by(timeout, move || {
            let config = ResolverConfig::from_name_servers(servers.clone());
            Ok((config, ResolverOpts::default()))
        })
    }

    pub(crate) fn read_by(
        timeout: Duration,
        read: impl Fn() -> Result<(ResolverConfig, ResolverOpts), String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            read: Arc::new(read),
            timeout,
            resolver: None,
            failures: 0,
        }
    }

    /// The resolver with which `name` is to be looked up.
    pub(crate) async fn resolver(&mut self, name: &str) -> Result<Arc<Resolver>, DnsError> {
        if let Some(resolver) = &self.resolver {
            return Ok(Arc::clone(resolver));
        }
        let read = Arc::clone(&self.read);
        let settings = spawn_blocking(move || read()).await;
        let settings = settings.unwrap_or_else(|error| Err(error.to_string()));
        let resolver = settings
            .and_then(|(config, options)| Resolver::new(config, options, self.timeout))
            .map_err(|cause| DnsError::System {
                name: name.into(),
                cause,
            })?;
        Ok(Arc::clone(self.resolver.insert(Arc::new(resolver))))
    }

    /// What a resolution came to.
    pub(crate) fn heard<T>(&mut self, told: &Result<T, DnsError>) {
        match told {
            Ok(_) => self.failures = 0,
            Err(_) => self.failures += 1,
        }
        if self.failures == FAILURES {
            self.failures = 0;
            self.resolver = None;
        }
    }
}

/// A name server that listens at this address, UDP and TCP.
pub(crate) fn of_address(address: &SocketAddr) -> NameServerConfig {
    let connections = [ProtocolConfig::Udp, ProtocolConfig::Tcp].map(|protocol| {
        let mut connection = ConnectionConfig::new(protocol);
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use super::*;

    /// Settings that can be read but for the first time, and how often they were.
    fn read_by_count() -> (NameServers, Arc<AtomicU32>) {
        let count = Arc::new(AtomicU32::new(0));
        let read = Arc::clone(&count);
        let name_servers = NameServers::read_by(Duration::from_secs(5), move || {
            if read.fetch_add(1, SeqCst) == 0 {
                return Err("no such file".into());
            }
            let server = of_address(&([127, 0, 0, 1], 1).into());
            let config = ResolverConfig::from_name_servers(vec![server]);
            Ok((config, ResolverOpts::default()))
        });
        (name_servers, count)
    }

    fn failure() -> Result<(), DnsError> {
        Err(DnsError::Aliases {
            name: "db.".into(),
            record: "A",
        })
    }

    /// hickory #1132: the settings were read once, and a machine that changed its network resolved nothing any more.
    #[tokio::test]
    async fn after_three_failures_in_a_row_the_settings_are_read_anew() {
        let (mut name_servers, count) = read_by_count();
        name_servers.resolver("db").await.err();
        for heard in [failure(), failure(), Ok(()), failure(), failure()] {
            name_servers.resolver("db").await.unwrap();
            name_servers.heard(&heard);
        }
        name_servers.resolver("db").await.unwrap();
        assert_eq!(count.load(SeqCst), 2, "one that failed, and one");
        name_servers.heard(&failure());
        name_servers.resolver("db").await.unwrap();
        assert_eq!(count.load(SeqCst), 3);
    }

    #[tokio::test]
    async fn settings_that_cannot_be_read_are_told_and_read_again() {
        let (mut name_servers, _) = read_by_count();
        let error = name_servers.resolver("db").await.err().unwrap();
        let expected = "db: the system's name servers are not known: no such file";
        assert_eq!(error.to_string(), expected);
        assert!(name_servers.resolver("db").await.is_ok());
    }

    #[tokio::test]
    async fn settings_without_a_name_server_are_told() {
        let mut name_servers = NameServers::fixed(Duration::from_secs(5), &[]);
        let error = name_servers.resolver("db").await.err().unwrap();
        assert!(error.to_string().ends_with(": there are none"), "{error}");
    }
}
