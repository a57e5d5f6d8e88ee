//! What URLs say, and what is wrong with the others.

use super::*;

fn parsed(url: &str) -> Endpoint {
    Endpoint::parse(url).expect("the URL is good")
}

fn tcp(host: &str, port: u16) -> Host {
    Host::new(host, port)
}

#[test]
fn a_host_alone_is_enough() {
    let endpoint = parsed("redis://cache.example");
    assert_eq!(endpoint.hosts, [tcp("cache.example", 6379)]);
    assert_eq!((endpoint.database, endpoint.credentials), (0, None));
}

#[test]
fn every_part_is_read() {
    let endpoint = parsed("redis://ann:p%40ss%2F@[::1]:7000/5?protocol=2&client_name=web");
    let credentials = endpoint.credentials.clone().expect("the URL has a login");
    assert_eq!(credentials.user.as_deref(), Some("ann"));
    assert_eq!(credentials.password, "p@ss/");
    assert_eq!(
        (endpoint.hosts, endpoint.database),
        (vec![tcp("::1", 7000)], 5)
    );
    assert_eq!(endpoint.protocol, Protocol::Resp2);
    assert_eq!(endpoint.client_name.as_deref(), Some("web"));
}

#[test]
fn several_hosts_are_read_in_their_order_each_with_its_port() {
    let endpoint = parsed("redis://:secret@one,[::2]:7002,three:7003/4");
    let hosts = [tcp("one", 6379), tcp("::2", 7002), tcp("three", 7003)];
    assert_eq!(endpoint.hosts, hosts);
    assert_eq!(
        endpoint.to_string(),
        "redis://one:6379,[::2]:7002,three:7003/4"
    );
    assert_eq!(endpoint.url_of_host(&hosts[1]), "redis://[::2]:7002/4");
}

#[test]
fn a_password_alone_is_the_default_users() {
    let credentials = parsed("redis://:secret@host").credentials;
    assert_eq!(credentials.expect("the URL has a login").user, None);
}

#[test]
fn mistakes_are_named() {
    let cases = [
        ("localhost:6379", UrlError::Scheme),
        ("http://localhost", UrlError::Scheme),
        ("unix:/run/redis.sock", UrlError::Scheme),
        #[cfg(unix)]
        ("unix://run/redis.sock", UrlError::SocketPath),
        #[cfg(unix)]
        ("unix://", UrlError::SocketPath),
        #[cfg(unix)]
        ("unix:///", UrlError::SocketPath),
        #[cfg(unix)]
        ("unix:///s?user=ann", UrlError::UserWithoutPassword),
        #[cfg(unix)]
        ("unix:///s?db=x", UrlError::Database { found: "x".into() }),
        ("redis://", UrlError::NoHost),
        ("redis://one,", UrlError::NoHost),
        ("redis://one,,two", UrlError::NoHost),
        ("redis://one,two:x", UrlError::Port),
        ("redis://:6379", UrlError::NoHost),
        ("redis://host:0", UrlError::Port),
        ("redis://host:65536", UrlError::Port),
        ("redis://host:+1", UrlError::Port),
        ("redis://host:", UrlError::Port),
        ("redis://::1", UrlError::Brackets),
        ("redis://[::1", UrlError::Brackets),
        ("redis://ann@host", UrlError::UserWithoutPassword),
        ("redis://:a@b@host", UrlError::Unencoded),
        ("redis://host/x", UrlError::Database { found: "x".into() }),
        ("redis://host/-1", UrlError::Database { found: "-1".into() }),
        (
            "redis://host?db=1",
            UrlError::UnknownOption { name: "db".into() },
        ),
        (
            "redis://host?protocol=4",
            UrlError::Protocol { found: "4".into() },
        ),
        ("redis://host?client_name=a%20b", UrlError::ClientName),
        (
            "redis://host?sslrootcert=/ca.pem",
            UrlError::RootsWithoutTls,
        ),
        (
            "redis://:a%2@host",
            UrlError::PercentEncoding {
                part: "the password",
            },
        ),
        (
            "redis://:a%ff@host",
            UrlError::PercentEncoding {
                part: "the password",
            },
        ),
    ];
    for (url, expected) in cases {
        assert_eq!(Endpoint::parse(url), Err(expected), "{url}");
    }
}

#[cfg(not(feature = "rustls"))]
#[test]
fn tls_without_the_feature_names_the_feature() {
    let error = Endpoint::parse("rediss://host").unwrap_err();
    assert!(error.to_string().contains("feature `rustls`"), "{error}");
}

#[test]
fn no_error_and_no_text_form_shows_the_password() {
    for url in [
        "redis://ann:hunter2/x@host/0",
        "redis://ann:hunter2?x@host",
        "redis://ann:hunter2#x@host",
        "redis://ann:hunter2@x@host",
        "redis://ann:hunter2%@host",
        "redis://ann:hunter2",
        "valkey://ann:hunter2",
        #[cfg(unix)]
        "unix://ann:hunter2/x@/s",
        #[cfg(unix)]
        "unix:///s?pass=x&hunter2",
        #[cfg(unix)]
        "unix:///s?pass=x&db=hunter2",
        #[cfg(unix)]
        "unix:///s?pass=x&protocol=hunter2",
        #[cfg(unix)]
        "unix:///s?pass=hunter2%",
    ] {
        let error = Endpoint::parse(url).unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("hunter2"),
            "{url}: {error:?}"
        );
    }
    let endpoint = parsed("redis://ann:hunter2@host:1/2");
    assert_eq!(endpoint.to_string(), "redis://host:1/2");
    assert!(!format!("{endpoint:?}").contains("hunter2"));
}

#[cfg(unix)]
#[test]
fn a_socket_has_a_path_and_the_rest_in_options() {
    for url in [
        "unix://ann:p%40ss@/run/redis%20a.sock?db=5&protocol=2",
        "redis+unix:///run/redis%20a.sock?db=5&user=ann&pass=p%40ss&protocol=2",
        "valkey+unix:///run/redis%20a.sock?password=p%40ss&user=ann&protocol=2&db=5",
    ] {
        let endpoint = parsed(url);
        let path = "/run/redis a.sock";
        assert_eq!(endpoint.hosts, [Host::unix(path)], "{url}");
        let login = endpoint.credentials.clone().expect("the URL has a login");
        assert_eq!(
            (login.user.as_deref(), &*login.password),
            (Some("ann"), "p@ss")
        );
        assert_eq!((endpoint.database, endpoint.protocol), (5, Protocol::Resp2));
        assert_eq!(endpoint.to_string(), "unix:///run/redis a.sock?db=5");
    }
}

/// Moving from Redis to Valkey changes the scheme that tools write.
#[test]
fn the_schemes_of_valkey_are_those_of_redis() {
    assert_eq!(parsed("valkey://host/1"), parsed("redis://host/1"));
    #[cfg(feature = "rustls")]
    assert_eq!(parsed("valkeys://host"), parsed("rediss://host"));
}
