//! Reads and judges connection settings before anything is dialled, and names the endpoint for messages.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use cenote::net;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::error::ConfigError;
use crate::tls_options::{self, TlsOptions};

const DEFAULT_PORT: u16 = 5432;

/// What the driver has where nobody says otherwise: as good as never.
const DRIVERS_IDLE: Duration = Duration::from_secs(2 * 60 * 60);

/// The settings in a connection string: the driver's, and those of TLS that it does not know.
pub(crate) fn parse(text: &str) -> Result<(Config, TlsOptions), ConfigError> {
    if let Some((scheme, _)) = text.split_once("://")
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        && !matches!(scheme, "postgres" | "postgresql")
    {
        return Err(ConfigError::Scheme {
            scheme: scheme.to_owned(),
        });
    }
    let (text, options) = tls_options::split(text)?;
    let config = Config::from_str(&text).map_err(|error| ConfigError::Syntax {
        reason: syntax_reason(&error, &text),
    })?;
    Ok((config, options))
}

/// Options that other clients know, and people therefore try.
const OF_OTHERS: [&str; 19] = [
    "client_encoding",
    "connection_limit",
    "gssencmode",
    "passfile",
    "pgbouncer",
    "pool_max_conns",
    "pool_timeout",
    "requirepeer",
    "requiressl",
    "schema",
    "service",
    "socket_timeout",
    "ssl",
    "sslcert",
    "sslcompression",
    "sslcrl",
    "sslkey",
    "sslpassword",
    "statement_cache_mode",
];

/// Whether what stands behind a password may be its rest, as a character ended it that was not encoded or quoted.
fn password_may_go_on(text: &str) -> bool {
    let after_credentials = text
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('@'));
    let more = after_credentials.is_some_and(|(_, rest)| rest.contains('@'));
    more || text.to_ascii_lowercase().contains("password")
}

fn syntax_reason(error: &tokio_postgres::Error, text: &str) -> String {
    let reason =
        std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    if reason.ends_with("`sslmode`") {
        // The values that other clients know, and this driver does not.
        return format!(
            "{reason}: it takes `disable`, `prefer`, `require` or `verify-full`; \
             certificates are always verified"
        );
    }
    if password_may_go_on(text) {
        // These quote the text.
        if let Some(option) = reason.strip_prefix("unknown option `")
            && !OF_OTHERS.contains(&option.trim_end_matches('`'))
        {
            return "unknown option, not shown as it may be a part of the password: encode or quote that".into();
        }
        if let Some((place, _)) = reason.split_once(": expected") {
            return place.to_owned();
        }
    }
    reason
}

/// Settings that could never work are errors here, so that they do not turn up as failed connects.
pub(crate) fn validate(config: &Config) -> Result<(), ConfigError> {
    let (hosts, addresses, ports) = (
        config.get_hosts(),
        config.get_hostaddrs(),
        config.get_ports(),
    );
    if hosts.is_empty() && addresses.is_empty() {
        return Err(ConfigError::setting(
            "host",
            "is missing: give a host name, an address or a socket's directory",
        ));
    }
    for host in hosts {
        // Where there are no sockets of Unix, the other kind of host is missing.
        #[cfg_attr(not(unix), allow(irrefutable_let_patterns))]
        let Host::Tcp(name) = host else { continue };
        if name.is_empty() {
            return Err(ConfigError::setting("host", "is empty"));
        }
        // What stands before the `@` may be the end of a password: it must not be shown.
        if name.contains('@') {
            return Err(ConfigError::setting(
                "password",
                "contains an `@`: write it as `%40` in a URL",
            ));
        }
        if name.contains(char::is_whitespace) {
            return Err(ConfigError::setting("host", "contains white space"));
        }
    }
    if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
        let problem = format!(
            "has {} entries, but `host` has {}",
            addresses.len(),
            hosts.len()
        );
        return Err(ConfigError::setting("hostaddr", problem));
    }
    let places = hosts.len().max(addresses.len());
    if ports.len() > 1 && ports.len() != places {
        let problem = format!(
            "has {} entries for {places} hosts: give one, or one for each",
            ports.len()
        );
        return Err(ConfigError::setting("port", problem));
    }
    if ports.contains(&0) {
        return Err(ConfigError::setting("port", "is 0: give 1 to 65535"));
    }
    if config.get_ssl_mode() == SslMode::Require && cfg!(not(feature = "rustls")) {
        return Err(ConfigError::setting(
            "sslmode",
            "is `require`, but cenote-postgres was built without its feature `rustls`",
        ));
    }
    Ok(())
}

/// The hosts, in the order given.
pub(crate) fn hosts(config: &Config) -> Vec<net::Host> {
    let (hosts, addresses, ports) = (
        config.get_hosts(),
        config.get_hostaddrs(),
        config.get_ports(),
    );
    let host = |i: usize| {
        let port = ports.get(i).or(ports.first());
        let port = port.copied().unwrap_or(DEFAULT_PORT);
        match (hosts.get(i), addresses.get(i)) {
            (Some(Host::Tcp(name)), Some(address)) => {
                net::Host::with_addresses(name, [SocketAddr::new(*address, port)])
            }
            (Some(Host::Tcp(name)), None) => net::Host::new(name, port),
            #[cfg(unix)]
            (Some(Host::Unix(folder)), _) => {
                net::Host::unix(folder.join(format!(".s.PGSQL.{port}")))
            }
            (None, Some(address)) => net::Host::from(SocketAddr::new(*address, port)),
            (None, None) => unreachable!("there are as many places as hosts or addresses"),
        }
    };
    (0..hosts.len().max(addresses.len())).map(host).collect()
}

/// For how many a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Users {
    One,
    Many,
}

/// Opens sockets with the options that the settings give, and else with those of [`net::Dialer`].
pub(crate) fn dialer(config: &Config, users: Users) -> net::Dialer {
    let mut dialer = net::Dialer::new();
    if users == Users::Many {
        // To the system, a peer that has no room, since it works on one's statement while the requests of the
        // others pile up, is as bad as one that is gone. These connections have a watch of their own.
        dialer = dialer.tcp_user_timeout(None);
    }
    if let Some(limit) = config.get_tcp_user_timeout() {
        dialer = dialer.tcp_user_timeout(*limit);
    }
    if !config.get_keepalives() {
        return dialer.keepalive(None);
    }
    let mut keepalive = net::Keepalive::new();
    if config.get_keepalives_idle() != DRIVERS_IDLE {
        keepalive = keepalive.idle(config.get_keepalives_idle());
    }
    if let Some(interval) = config.get_keepalives_interval() {
        keepalive = keepalive.interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        keepalive = keepalive.retries(retries);
    }
    dialer.keepalive(keepalive)
}

/// The hosts and ports, comma-separated, in the order in which they are tried.
pub(crate) fn label(config: &Config) -> Arc<str> {
    let (hosts, addresses, ports) = (
        config.get_hosts(),
        config.get_hostaddrs(),
        config.get_ports(),
    );
    let places = (0..hosts.len().max(addresses.len())).map(|i| {
        let port = ports
            .get(i)
            .or(ports.first())
            .copied()
            .unwrap_or(DEFAULT_PORT);
        match (hosts.get(i), addresses.get(i)) {
            (Some(Host::Tcp(name)), _) if name.contains(':') => format!("[{name}]:{port}"),
            (Some(Host::Tcp(name)), _) => format!("{name}:{port}"),
            #[cfg(unix)]
            (Some(Host::Unix(directory)), _) => format!("{}:{port}", directory.display()),
            (None, Some(address)) => std::net::SocketAddr::new(*address, port).to_string(),
            (None, None) => format!("?:{port}"),
        }
    });
    places.collect::<Vec<_>>().join(",").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        match parse(text).and_then(|(config, _)| validate(&config)) {
            Ok(()) => panic!("{text} was accepted"),
            Err(error) => error.to_string(),
        }
    }

    fn named(text: &str) -> Arc<str> {
        label(&parse(text).expect("valid").0)
    }

    #[test]
    fn endpoints_are_named_by_host_and_port() {
        assert_eq!(
            &*named("postgres://me@db.example/orders"),
            "db.example:5432"
        );
        assert_eq!(
            &*named("postgres://me@db:5433,spare:5434/orders"),
            "db:5433,spare:5434"
        );
        assert_eq!(&*named("postgres://me@[::1]:5433/orders"), "[::1]:5433");
        assert_eq!(&*named("hostaddr=10.0.0.1 port=6000"), "10.0.0.1:6000");
        assert_eq!(
            &*named("host=/var/run/postgresql"),
            "/var/run/postgresql:5432"
        );
    }

    #[test]
    fn problems_are_named() {
        for (text, part) in [
            ("mysql://me@db/orders", "mysql://"),
            ("postgres://me@db:port/orders", "`port`"),
            ("postgres://me@db:0/orders", "`port` is 0"),
            ("postgres:///orders", "`host` is missing"),
            ("postgres://me@:5432/orders", "`host` is empty"),
            ("postgres://me@db/orders?ssl=yes", "unknown option `ssl`"),
            ("postgres://me@db/orders?sslmode=allow", "`require`"),
            ("host=db password=a sslcert=b", "unknown option `sslcert`"),
            (
                "postgres://me@db/orders?sslrootcert=",
                "`sslrootcert` is empty",
            ),
            ("host=a,b,c port=1,2", "`port` has 2 entries for 3 hosts"),
            ("host=a,b hostaddr=10.0.0.1", "`hostaddr` has 1 entries"),
            ("nonsense", "not valid"),
            ("", "`host` is missing"),
        ] {
            let problem = problem(text);
            assert!(problem.contains(part), "{text}: {problem}");
        }
    }

    #[test]
    fn a_password_that_spills_into_the_host_is_not_shown() {
        let problem = problem("postgres://me:top@secret@db/orders");
        assert!(
            problem.contains("`%40`") && !problem.contains("secret"),
            "{problem}"
        );
    }

    /// Whatever is mistyped around a password, no error has a part of it.
    #[test]
    fn no_part_of_a_mistyped_password_is_shown() {
        for text in [
            "postgres://me:a@hunter/2?hunter=3@db/orders",
            "postgres://me:a?hunter=1@db/orders",
            "postgres://me:a?b&hunter@db/orders",
            "postgres://me:hunter@2@db/orders",
            "postgres://me:hunter#2@db/orders",
            "postgres://me:p@db:hunter@db/orders",
            "postgres://me:hunter",
            "postgres://hunter@2:5432:1/orders",
            "host=db user=me password=my hunter=2",
            "host=db user=me password=my hunter",
            "host=db user=me password='my' hunter' dbname=a",
            "postgres://me@db/orders?password=a&hunter=b",
            "postgres://me@db/orders?password=a&hunter",
        ] {
            if let Err(error) = parse(text).and_then(|(config, _)| validate(&config)) {
                let problem = format!("{error} {error:?}");
                assert!(!problem.contains("hunter"), "{text}: {problem}");
                assert!(!problem.contains("got"), "{text}: {problem}");
            }
        }
    }
}
