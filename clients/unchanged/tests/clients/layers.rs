//! tower-http's layers over the client: redirects and compression.

#[path = "../../../../crates/cenote-http/src/clients/layers.rs"]
mod shown;

use std::io::Write;

use cenote_http::Body;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, LOCATION};
use http::{HeaderValue, Method, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tower::ServiceExt;

use crate::server::{Reply, Server, reply};
use crate::{http, soon};

async fn answer(request: Request<Incoming>) -> Reply {
    match request.uri().path() {
        "/old" => {
            let mut moved = reply(307, "look there")?;
            let to = HeaderValue::from_static("/new");
            moved.headers_mut().insert(LOCATION, to);
            Ok(moved)
        }
        "/loop" => {
            let mut moved = reply(302, "")?;
            let to = HeaderValue::from_static("/loop");
            moved.headers_mut().insert(LOCATION, to);
            Ok(moved)
        }
        "/packed" => {
            let accepted = request.headers().get(ACCEPT_ENCODING);
            assert!(accepted.is_some_and(|formats| formats.to_str().unwrap().contains("gzip")));
            let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
            packer.write_all(&[b'a'; 10_000])?;
            let mut packed = reply(200, packer.finish()?)?;
            let gzip = HeaderValue::from_static("gzip");
            packed.headers_mut().insert(CONTENT_ENCODING, gzip);
            Ok(packed)
        }
        path => reply(200, format!("{} {path}", request.method())),
    }
}

async fn asked(server: &Server, method: Method, path: &str) -> Result<(u16, Vec<u8>), String> {
    let request = Request::builder().method(method).uri(server.url(path));
    let request = request.body(Body::empty()).unwrap();
    let service = shown::with_redirects(http());
    let reply = soon(service.oneshot(request)).await;
    let reply = reply.map_err(|error| error.to_string())?;
    let status = reply.status().as_u16();
    let Ok(body) = soon(reply.into_body().collect()).await else {
        panic!("the body broke off");
    };
    Ok((status, body.to_bytes().to_vec()))
}

#[tokio::test]
async fn a_redirect_is_followed_over_the_same_connection() {
    let server = Server::answering(answer).await;
    let reply = asked(&server, Method::GET, "/old").await.unwrap();
    assert_eq!(reply, (200, b"GET /new".to_vec()));
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn redirects_without_end_end_with_the_redirect() {
    let server = Server::answering(answer).await;
    let (status, _) = asked(&server, Method::GET, "/loop").await.unwrap();
    assert_eq!(status, 302);
}

#[tokio::test]
async fn what_a_server_compresses_is_decoded() {
    let server = Server::answering(answer).await;
    let reply = asked(&server, Method::GET, "/packed").await.unwrap();
    assert_eq!(reply, (200, vec![b'a'; 10_000]));
}
