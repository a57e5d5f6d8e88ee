//! The settings of sources, and the sources made with them.

use std::net::SocketAddr;
use std::time::Duration;

use cenote::error::SettingsError;

use crate::host::{Host, HostQuestion, Place};
use crate::name_servers::NameServers;
use crate::source::{Intervals, Source};
use crate::srv::{Srv, SrvQuestion};

/// No interval and no time-out is shorter, nor longer.
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How the name servers are asked, for sources of any number. [`host`] and [`srv`] use the defaults.
///
/// ```
/// use cenote_dns::Dns;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), cenote::error::SettingsError> {
/// let dns = Dns::new()
///     .name_servers(["10.0.0.53:53".parse().expect("an address")])
///     .max_interval(Duration::from_secs(60));
/// let orders = dns.srv("_orders._tcp.prod.example")?;
/// let cache = dns.host("cache.prod.example:6379")?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is asked before a source of it is"]
pub struct Dns {
    intervals: Intervals,
    timeout: Duration,
    name_servers: Option<Vec<SocketAddr>>,
}

/// The addresses of `host:port`, with the default settings; each is an endpoint.
///
/// A name with a last dot is whole; another may stand for one of the system's search list, as it does everywhere.
///
/// # Errors
/// [`SettingsError`] if there is no host or no port in it.
pub fn host(host_and_port: impl Into<String>) -> Result<Host, SettingsError> {
    Dns::new().host(host_and_port)
}

/// The targets of a service such as `_orders._tcp.prod`, with the default settings; each is an endpoint.
///
/// A name with a last dot is whole; another may stand for one of the system's search list, as it does everywhere.
///
/// # Errors
/// [`SettingsError`] if it is no name.
pub fn srv(service: impl Into<String>) -> Result<Srv, SettingsError> {
    Dns::new().srv(service)
}

impl Default for Dns {
    fn default() -> Self {
        Self::new()
    }
}

impl Dns {
    /// The default settings.
    pub fn new() -> Self {
        Self {
            intervals: Intervals {
                min: Duration::from_secs(5),
                max: Duration::from_secs(300),
            },
            timeout: Duration::from_secs(5),
            name_servers: None,
        }
    }

    /// From one question to the next at least: however short the time to live, however often a refresh is asked for, and
    /// after a failure. Between 10 ms and a day, whatever is said here. Default: 5 s.
    pub fn min_interval(mut self, interval: Duration) -> Self {
        self.intervals.min = interval.clamp(SHORTEST, LONGEST);
        self
    }

    /// From one question to the next at most, however long the time to live; never less than the minimum interval, and a
    /// day at most. Default: 300 s.
    pub fn max_interval(mut self, interval: Duration) -> Self {
        self.intervals.max = interval.clamp(SHORTEST, LONGEST);
        self
    }

    /// How long the answer to one question is waited for, whichever of the name servers gives it: what is sent again and
    /// TCP included. Between 10 ms and a day, whatever is said here, and whatever the system's settings say. Default: 5 s.
    ///
    /// The addresses of a name are told once both families are answered, or have failed.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.clamp(SHORTEST, LONGEST);
        self
    }

    /// Asks these, in this order, for whole names: there is no search list. Default: those of the system.
    pub fn name_servers(mut self, servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.name_servers = Some(servers.into_iter().collect());
        self
    }

    /// The addresses of `host:port`; each is an endpoint.
    ///
    /// # Errors
    /// [`SettingsError`] if there is no host or no port in it, or the list of name servers is empty.
    pub fn host(&self, host_and_port: impl Into<String>) -> Result<Host, SettingsError> {
        let text = host_and_port.into();
        let Some(place) = Place::parse(&text) else {
            let accepted = "a host and a port, such as \"db.internal:5432\"";
            return Err(SettingsError::new(
                "host_and_port",
                format!("{text:?}"),
                accepted,
            ));
        };
        let question = HostQuestion::new(&text, place);
        let source = Source::new(question, self.servers()?, self.intervals());
        Ok(Host::new(text, source))
    }

    /// The targets of a service such as `_orders._tcp.prod`; each is an endpoint.
    ///
    /// # Errors
    /// [`SettingsError`] if it is no name, or the list of name servers is empty.
    pub fn srv(&self, service: impl Into<String>) -> Result<Srv, SettingsError> {
        let text = service.into();
        let Some(question) = SrvQuestion::parse(&text) else {
            let accepted = "the name of a service, such as \"_orders._tcp.prod\"";
            return Err(SettingsError::new("service", format!("{text:?}"), accepted));
        };
        let source = Source::new(question, self.servers()?, self.intervals());
        Ok(Srv::new(text, source))
    }

    fn servers(&self) -> Result<NameServers, SettingsError> {
        match self.name_servers.as_deref() {
            None => Ok(NameServers::of_the_system(self.timeout)),
            Some([]) => Err(SettingsError::new("name_servers", "[]", "one at least")),
            Some(servers) => Ok(NameServers::fixed(self.timeout, servers)),
        }
    }

    fn intervals(&self) -> Intervals {
        let Intervals { min, max } = self.intervals;
        let max = max.max(min);
        Intervals { min, max }
    }
}
