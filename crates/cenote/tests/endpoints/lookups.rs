use std::time::Duration;

use cenote::endpoints::{Discovery, Lookup};

#[tokio::test]
async fn the_addresses_of_a_name_are_its_endpoints() {
    let mut discovery = Discovery::start(Lookup::new("localhost:5432").unwrap()).unwrap();
    let set = discovery.changed().await.unwrap();
    assert!(!set.is_empty());
    for endpoint in set.endpoints() {
        assert!(endpoint.key.ip().is_loopback(), "{endpoint:?}");
        assert_eq!((endpoint.key.port(), endpoint.weight), (5432, 1));
        assert_eq!(endpoint.addresses, [endpoint.key]);
    }
}

#[tokio::test]
async fn a_name_is_looked_up_at_any_pace() {
    for every in [Duration::MAX, Duration::ZERO] {
        let lookup = Lookup::new("localhost:80").unwrap().every(every);
        let mut discovery = Discovery::start(lookup).unwrap();
        discovery.changed().await.unwrap();
        assert_eq!(discovery.status().failing, None);
    }
}

#[tokio::test]
async fn a_name_that_is_not_found_is_told_with_what_the_system_says() {
    // Reserved for names that do not exist (RFC 6761).
    let discovery = Discovery::start(Lookup::new("no.invalid:80").unwrap()).unwrap();
    let failing = loop {
        match discovery.status().failing {
            Some(failing) => break failing,
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    let start = "no.invalid:80: the addresses were not found: ";
    assert!(failing.error.starts_with(start), "{}", failing.error);
}

#[test]
fn a_name_without_a_port_is_refused() {
    for name in [
        "localhost",
        "localhost:",
        ":80",
        "localhost:http",
        "localhost:65536",
        "",
    ] {
        let error = Lookup::new(name).unwrap_err();
        assert_eq!(error.setting, "host_and_port");
        assert!(error.value.contains(name), "{error}");
    }
    assert!(Lookup::new("[::1]:80").is_ok());
}
