//! What a caller is told.

use std::error::Error as _;

use cenote_http::{Client, Error};

use crate::server::Server;

fn client() -> Client {
    Client::builder().build().unwrap()
}

/// A port where nobody listens.
fn nobody() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_the_cause_and_at_once() {
    let port = nobody();
    let url = format!("http://anna:secret@127.0.0.1:{port}/private?key=secret");
    let error = client().get(url).send().await.unwrap_err();
    assert!(matches!(error, Error::NoConnection { .. }));
    assert!(!error.is_timeout());
    let text = error.to_string();
    let route = format!("http[http://127.0.0.1:{port}]");
    assert_eq!(text.matches(&route).count(), 1, "{text}");
    assert_eq!(text.matches("refused").count(), 1, "{text}");
    for secret in ["anna", "secret", "private"] {
        assert!(!text.contains(secret), "{text}");
        assert!(!format!("{error:?}").contains(secret), "{error:?}");
    }
    assert!(error.source().is_none(), "the text has the cause");
}

#[tokio::test]
async fn what_is_no_http_is_told_with_the_route() {
    let server = Server::scripted(|_, mut peer| async move {
        peer.request().await;
        peer.say("SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
    })
    .await;
    let error = client().get(server.url("/")).send().await.unwrap_err();
    let route = format!("http://{}: no reply: ", server.addr);
    assert!(error.to_string().starts_with(&route), "{error}");
    assert_eq!(error.route().unwrap().port(), server.addr.port());
}

#[tokio::test]
async fn requests_that_lead_nowhere_are_told_as_such() {
    let cases = [
        ("/only/a/path", "the URI names no host"),
        (
            "ftp://example.org/",
            "the URI's scheme is neither http nor https",
        ),
    ];
    for (uri, problem) in cases {
        let error = client().get(uri).send().await.unwrap_err();
        assert!(matches!(error, Error::Target { .. }), "{uri}");
        assert_eq!(error.to_string(), problem);
    }
}

#[tokio::test]
async fn a_request_that_is_not_well_formed_is_told_by_send() {
    let request = client().get("http://example.org/").header("no name", "x");
    let error = request.send().await.unwrap_err();
    assert!(matches!(error, Error::Request { .. }), "{error}");
    let error = client().get("http://exa mple/").send().await.unwrap_err();
    assert!(matches!(error, Error::Request { .. }), "{error}");
}
