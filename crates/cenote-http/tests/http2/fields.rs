//! What the server sees of a request's head.

use std::sync::mpsc;

use cenote_http::RouteOptions;
use h2::server::Builder;
use http::{Method, Request, Response, request};

use crate::peer::http2;
use crate::speaker::Speaker;
use crate::streamed::Streamed;

/// A server that tells of the heads it gets.
async fn telling() -> (Speaker, mpsc::Receiver<request::Parts>) {
    let (tell, told) = mpsc::channel();
    let server = Speaker::answering(Builder::new(), move |asked, mut answer| {
        tell.send(asked.into_parts().0).unwrap();
        answer.send_response(Response::new(()), true).unwrap();
        std::future::ready(())
    })
    .await;
    (server, told)
}

fn names(head: &request::Parts) -> Vec<&str> {
    let mut names: Vec<_> = head.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    names
}

/// pingora#713, and RFC 9113, 8.2.2: a server takes a request with one of these for a malformed one.
#[tokio::test]
async fn no_field_that_is_of_one_connection_is_sent() {
    let (server, told) = telling().await;
    let client = http2().build().unwrap();
    let request = client
        .get(server.url("/path?query"))
        .header("connection", "close, x-own")
        .header("x-own", "1")
        .header("keep-alive", "timeout=5")
        .header("proxy-connection", "keep-alive")
        .header("transfer-encoding", "chunked")
        .header("upgrade", "h2c")
        .header("te", "gzip")
        .header("x-kept", "1");
    request.send().await.unwrap();
    let head = told.recv().unwrap();
    assert_eq!(names(&head), ["x-kept"]);
    assert_eq!(head.uri.path_and_query().unwrap(), "/path?query");
    assert_eq!(head.uri.scheme_str(), Some("http"));
}

#[tokio::test]
async fn of_te_trailers_alone_is_sent() {
    let (server, told) = telling().await;
    let client = http2().build().unwrap();
    let request = client.get(server.url("/")).header("te", "gzip, trailers");
    request.send().await.unwrap();
    assert_eq!(told.recv().unwrap().headers["te"], "trailers");
}

#[tokio::test]
async fn a_host_of_ones_own_is_the_authority() {
    let (server, told) = telling().await;
    let client = http2().build().unwrap();
    let request = client.get(server.url("/")).header("host", "other.example");
    request.send().await.unwrap();
    let head = told.recv().unwrap();
    assert_eq!(head.uri.authority().unwrap(), "other.example");
    assert!(names(&head).is_empty());
}

#[tokio::test]
async fn a_user_name_and_a_password_are_not_sent() {
    let (server, told) = telling().await;
    let client = http2().build().unwrap();
    let url = format!("http://user:secret@{}/", server.addr);
    client.get(url).send().await.unwrap();
    let head = told.recv().unwrap();
    assert_eq!(head.uri.authority().unwrap(), &*server.addr.to_string());
    assert!(names(&head).is_empty());
}

#[tokio::test]
async fn the_length_of_a_body_is_sent_where_it_is_known() {
    let (server, told) = telling().await;
    let client = http2().build().unwrap();
    for (method, body, length) in [
        (Method::GET, "", None),
        (Method::DELETE, "", None),
        (Method::POST, "", Some("0")),
        (Method::POST, "four", Some("4")),
        (Method::DELETE, "four", Some("4")),
    ] {
        let request = client.request(method.clone(), server.url("/")).body(body);
        request.send().await.unwrap();
        let head = told.recv().unwrap();
        let sent = head.headers.get("content-length");
        let sent = sent.map(|length| length.to_str().unwrap());
        assert_eq!(sent, length, "{method} {body}");
    }
    let (feed, body) = Streamed::new();
    drop(feed);
    let request = Request::post(server.url("/")).body(body).unwrap();
    client.execute(request).await.unwrap();
    assert!(names(&told.recv().unwrap()).is_empty());
}

/// A request for another protocol that is to go by HTTP/2 all the same is an ordinary one.
#[tokio::test]
async fn a_request_to_leave_for_another_protocol_is_none_where_http2_is_insisted_on() {
    let (server, told) = telling().await;
    let client = http2().build().unwrap();
    let request = client
        .get(server.url("/"))
        .route(RouteOptions::new().version(cenote_http::HttpVersion::Http2))
        .header("connection", "upgrade")
        .header("upgrade", "websocket");
    let reply = request.send().await.unwrap();
    assert!(reply.into_body().upgrade().await.is_err());
    assert!(names(&told.recv().unwrap()).is_empty());
}
