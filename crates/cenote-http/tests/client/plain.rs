//! Requests and replies, byte for byte.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use cenote_http::Client;
use http_body::Frame;

use crate::server::{Server, ok};

fn client() -> Client {
    Client::builder().build().unwrap()
}

/// A server that answers with what it heard.
async fn mirror() -> Server {
    Server::answering(|request| ok(&format!("{}{}", request.head, request.body))).await
}

#[tokio::test]
async fn a_get_is_sent_with_its_host_and_nothing_that_nobody_asked_for() {
    let server = mirror().await;
    let reply = client().get(server.url("/a/b?c=d")).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let expected = format!("GET /a/b?c=d HTTP/1.1\r\nhost: {}\r\n\r\n", server.addr);
    assert_eq!(reply.text().await.unwrap(), expected);
}

#[tokio::test]
async fn a_uri_without_a_path_asks_for_the_root() {
    let server = mirror().await;
    let reply = client().get(server.url("")).send().await.unwrap();
    let heard = reply.text().await.unwrap();
    assert!(heard.starts_with("GET / HTTP/1.1\r\n"), "{heard}");
}

#[tokio::test]
async fn a_body_that_is_there_is_sent_with_its_length() {
    let server = mirror().await;
    let request = client().post(server.url("/")).header("x-a", "1");
    let reply = request.body("a=b").send().await.unwrap();
    let expected = format!(
        "POST / HTTP/1.1\r\nx-a: 1\r\nhost: {}\r\ncontent-length: 3\r\n\r\na=b",
        server.addr
    );
    assert_eq!(reply.text().await.unwrap(), expected);
}

/// Three pieces, whose number is not known beforehand.
struct Pieces(u8);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0 += 1;
        Poll::Ready((self.0 <= 3).then(|| Ok(Frame::data(Bytes::from_static(b"ab")))))
    }
}

#[tokio::test]
async fn a_body_that_is_made_as_it_is_sent_goes_in_chunks() {
    let server = mirror().await;
    let request = http::Request::put(server.url("/")).body(Pieces(0)).unwrap();
    let reply = client().execute(request).await.unwrap();
    let heard = reply.into_body().bytes().await.unwrap();
    let chunked = b"\r\n\r\n2\r\nab\r\n2\r\nab\r\n2\r\nab\r\n0\r\n\r\n";
    assert!(heard.ends_with(chunked), "{heard:?}");
}

/// HTTP/2 alone is asked for by a request's version.
#[tokio::test]
async fn a_request_of_another_version_is_sent_as_http_1_1() {
    let server = mirror().await;
    for version in [http::Version::HTTP_10, http::Version::HTTP_3] {
        let request = http::Request::get(server.url("/")).version(version);
        let request = request.body(cenote_http::Body::empty()).unwrap();
        let reply = client().execute(request).await.unwrap();
        let heard = reply.into_body().bytes().await.unwrap();
        assert!(heard.starts_with(b"GET / HTTP/1.1\r\n"), "{heard:?}");
    }
}

#[tokio::test]
async fn a_reply_that_says_no_is_a_reply() {
    let server = Server::answering(|_| {
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy".into()
    })
    .await;
    let reply = client().get(server.url("/")).send().await.unwrap();
    assert_eq!(reply.status(), 503);
    assert_eq!(reply.text().await.unwrap(), "busy");
}

#[tokio::test]
async fn requests_one_after_the_other_use_one_connection() {
    let server = Server::echo().await;
    let client = client();
    for n in 0..10 {
        let path = format!("/{n}");
        let reply = client.get(server.url(&path)).send().await.unwrap();
        assert_eq!(reply.text().await.unwrap(), path);
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_body_is_read_in_pieces() {
    let server = Server::scripted(|_, mut peer| async move {
        peer.request().await;
        peer.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
            .await;
        peer.request().await;
    })
    .await;
    let mut reply = client().get(server.url("/")).send().await.unwrap();
    let first = reply.chunk().await.unwrap().unwrap();
    assert_eq!(first, "one");
}
