//! What a proxy is made from, what it shows and what it is told apart by.

use cenote::FailureKind;
use http::StatusCode;

use super::*;

fn http(uri: &str) -> Proxy {
    Proxy::http(uri).expect("a proxy's URI")
}

fn socks5(uri: &str) -> Proxy {
    Proxy::socks5(uri).expect("a proxy's URI")
}

#[test]
fn a_proxy_is_shown_as_its_uri_without_credentials() {
    let cases = [
        (
            http("http://proxy.example:3128"),
            "http://proxy.example:3128",
        ),
        (http("http://Proxy.example/"), "http://proxy.example:80"),
        (
            http("http://anna:secret@[0:0::1]:3128"),
            "http://[::1]:3128",
        ),
        (socks5("socks5://anna:secret@proxy"), "socks5://proxy:1080"),
        (socks5("socks5h://proxy:9050"), "socks5://proxy:9050"),
    ];
    for (proxy, text) in cases {
        assert_eq!(proxy.to_string(), text);
        assert_eq!(format!("{proxy:?}"), format!("Proxy({text})"));
    }
}

#[test]
fn what_is_wrong_with_a_uri_is_told_without_what_may_be_a_password() {
    let cases = [
        ("proxy:3128", "without a scheme"),
        (
            "https://anna:secret@proxy",
            "https://proxy, which can't work: its scheme is not http",
        ),
        ("http://anna:secret@:3128", "no host"),
        (
            "http://anna:secret@proxy:99999",
            "http://proxy:99999, which can't work: its port",
        ),
        (
            "http://anna:secret@proxy/secret",
            "http://proxy, which can't work: it has something behind",
        ),
        ("http://anna:secret@proxy?secret", "behind the port"),
        ("http://anna:secret @proxy", "no well-formed URI"),
        ("http://%FF:secret@proxy", "not UTF-8"),
        ("http://an%3Ana:secret@proxy", "a user name with a colon"),
        ("http://anna:%0Asecret@proxy", "a control character"),
    ];
    for (uri, problem) in cases {
        let text = Proxy::http(uri).expect_err(uri).to_string();
        assert!(text.contains(problem), "{uri}: {text}");
        assert!(!text.contains("secret"), "{text}");
    }
    let text = Proxy::socks5("socks5://anna@proxy")
        .expect_err("no password")
        .to_string();
    assert!(text.contains("SOCKS5 takes 1 to 255 bytes"), "{text}");
}

#[test]
fn credentials_in_the_uri_are_decoded_and_the_same_as_those_that_are_said() {
    let said = http("http://proxy").credentials("anna", "p@ss:w%rd");
    let said = said.expect("they can be sent");
    assert_eq!(http("http://anna:p%40ss%3Aw%25rd@proxy"), said);
    assert_eq!(
        said.authorization().expect("Basic"),
        "Basic YW5uYTpwQHNzOnclcmQ="
    );
    let replaced = said.credentials("anna", "").expect("they can be sent");
    assert_eq!(replaced, http("http://anna@proxy"));
}

/// guzzle#3628, curl#4835, bun#28611.
#[test]
fn proxies_that_differ_in_anything_are_different() {
    let with_field = |name: &str, value: &str| {
        let proxy = http("http://proxy").header(name, value);
        proxy.expect("a field of CONNECT")
    };
    let all = [
        http("http://proxy"),
        http("http://proxy:81"),
        http("http://other"),
        http("http://anna:secret@proxy"),
        http("http://anna:other@proxy"),
        with_field("x-zone", "a"),
        with_field("x-zone", "b"),
        with_field("x-other", "a"),
        socks5("socks5://proxy:80"),
        socks5("socks5://anna:secret@proxy:80"),
        socks5("socks5://anna:other@proxy:80"),
    ];
    for (i, one) in all.iter().enumerate() {
        for other in &all[i + 1..] {
            assert_ne!(one, other);
        }
    }
    assert_eq!(with_field("x-zone", "a"), with_field("X-Zone", "a"));
}

#[test]
fn fields_that_cannot_go_with_connect_are_refused_without_their_value() {
    let cases = [
        ("proxy-authorization", "secret", "see `credentials`"),
        ("host", "secret", "CONNECT itself"),
        ("no name", "secret", "invalid HTTP header name"),
        ("x-field", "sec\nret", "x-field with control characters"),
    ];
    for (name, value, problem) in cases {
        let error = http("http://proxy").header(name, value).expect_err(name);
        let text = error.to_string();
        assert!(text.contains(problem), "{text}");
        assert!(!text.contains("sec"), "{text}");
    }
    let error = socks5("socks5://proxy")
        .header("x-field", "a")
        .expect_err("no fields");
    assert!(
        error.to_string().contains("only CONNECT has fields"),
        "{error}"
    );
}

#[test]
fn a_refusal_says_whether_another_attempt_may_fare_better() {
    let status = |code| {
        let status = StatusCode::from_u16(code).expect("a status");
        ProxyError::Status { status }.classify()
    };
    for (code, kind) in [
        (407, FailureKind::Credentials),
        (401, FailureKind::Credentials),
        (403, FailureKind::Final),
        (405, FailureKind::Final),
        (429, FailureKind::Transient),
        (502, FailureKind::Transient),
        (504, FailureKind::Transient),
    ] {
        assert_eq!(status(code), kind, "{code}");
    }
    let problem = || "Host unreachable".into();
    let unreachable = ProxyError::Unreachable { problem: problem() };
    assert_eq!(unreachable.classify(), FailureKind::Transient);
    let refused = ProxyError::Refused { problem: problem() };
    assert_eq!(refused.classify(), FailureKind::Final);
    assert_eq!(ProxyError::Credentials.classify(), FailureKind::Credentials);
}
