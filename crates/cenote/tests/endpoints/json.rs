//! `examples/watched_json`: a format of one's own, with errors that help.

#[path = "../../examples/watched_json/format.rs"]
mod format;

use std::fs;
use std::net::SocketAddr;

use cenote::endpoints::{Discovery, Endpoint, EndpointSet, WatchedFile};
use cenote::error::with_causes;

use crate::files::{LOOK, fails};

fn error(text: &str) -> String {
    with_causes(&*format::endpoints(text.as_bytes()).unwrap_err())
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

#[test]
fn a_key_alone_is_an_endpoint_and_an_object_says_more_of_one() {
    let text = r#"[
        "db1:5432",
        { "key": "db2:5432" },
        { "key": "db3:5432", "addresses": ["10.0.0.3:5432", "[::3]:5432"], "weight": 2, "priority": 1 },
        { "key": "db4:5432", "weight": 0 }
    ]"#;
    let key = |key: &str| Endpoint::new(key.to_owned());
    let db3 = key("db3:5432").addresses([at("10.0.0.3:5432"), at("[::3]:5432")]);
    let expected = EndpointSet::from([
        key("db1:5432"),
        key("db2:5432"),
        db3.weight(2).priority(1),
        key("db4:5432").weight(0),
    ]);
    assert_eq!(format::endpoints(text.as_bytes()).unwrap(), expected);
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let unknown = error("[\n  { \"key\": \"a\", \"wieght\": 2 }\n]");
    assert!(
        unknown.contains("`wieght`") && unknown.contains("line 2"),
        "{unknown}"
    );
    let no_key = error("[\n  \"a\",\n  { \"weight\": 2 }\n]");
    assert!(
        no_key.contains("`key`") && no_key.contains("line 3"),
        "{no_key}"
    );
    let no_address = error("[{ \"key\": \"a\", \"addresses\": [\"db1:80\"] }]");
    assert!(
        no_address.contains("socket address") && no_address.contains("line 1"),
        "{no_address}"
    );
    for (text, why) in [
        ("[{ \"key\": \"a\", \"weight\": -1 }]", "u32"),
        ("[{ \"key\": \"a\", \"priority\": 70000 }]", "u16"),
        ("[7]", "the key of an endpoint, or an object with one"),
        ("{}", "a sequence"),
        ("", "EOF"),
        ("[\"a\"", "EOF"),
    ] {
        let error = error(text);
        assert!(error.contains(why), "{text}: {error}");
    }
}

/// pingora #1006: what one reload could not make sense of froze the set for good.
#[tokio::test]
async fn a_file_that_makes_no_sense_is_named_and_the_last_good_set_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backends.json");
    fs::write(&path, r#"["a", "b"]"#).unwrap();
    let file = WatchedFile::new(&path, format::endpoints).every(LOOK);
    let mut discovery = Discovery::start(file).unwrap();
    let good = discovery.changed().await.unwrap();
    fs::write(&path, "[\"a\",\n\"b\"\n\"c\"]").unwrap();
    fails(&discovery, "line 3").await;
    let status = discovery.status().to_string();
    assert!(
        status.contains("backends.json: what it says makes no sense"),
        "{status}"
    );
    assert_eq!(discovery.set(), good);
    fs::write(&path, r#"["a", "b", "c"]"#).unwrap();
    assert_eq!(discovery.changed().await.unwrap().len(), 3);
}
