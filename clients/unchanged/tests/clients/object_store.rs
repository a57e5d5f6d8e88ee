//! object_store's store for S3, of a server that answers as S3 does.

#[path = "../../../../crates/cenote-http/src/clients/object_store.rs"]
mod shown;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED, RANGE, USER_AGENT};
use http::{HeaderValue, Method, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};

use crate::server::{Reply, Server, nobody, reply, stream};
use crate::{http, soon};

/// A bucket.
#[derive(Clone, Default)]
struct Bucket(Arc<Mutex<BTreeMap<String, Bytes>>>);

impl Bucket {
    async fn answer(self, request: Request<Incoming>) -> Reply {
        let path = request.uri().path();
        let key = path.strip_prefix("/bucket/").unwrap_or_default().to_owned();
        match *request.method() {
            Method::PUT => {
                let body = request.into_body().collect().await;
                let body = body.map_err(io::Error::other)?.to_bytes();
                self.0.lock().unwrap().insert(key, body);
                with_tag(reply(200, ""))
            }
            Method::GET if request.uri().query().is_some() => self.list(),
            Method::GET => {
                let Some(object) = self.0.lock().unwrap().get(&key).cloned() else {
                    return reply(404, "");
                };
                let range = request.headers().get(RANGE).map(|range| {
                    let range = range.to_str().unwrap().strip_prefix("bytes=").unwrap();
                    let (from, to) = range.split_once('-').unwrap();
                    (from.parse().unwrap(), to.parse::<usize>().unwrap())
                });
                let Some((from, to)) = range else {
                    return with_tag(reply(200, object));
                };
                let mut part = with_tag(reply(206, object.slice(from..=to)))?;
                let range = format!("bytes {from}-{to}/{}", object.len());
                part.headers_mut()
                    .insert(CONTENT_RANGE, range.parse().unwrap());
                Ok(part)
            }
            _ => reply(405, ""),
        }
    }

    fn list(&self) -> Reply {
        let objects = self.0.lock().unwrap();
        let contents = objects.iter().map(|(key, object)| {
            let size = object.len();
            format!(
                "<Contents><Key>{key}</Key><Size>{size}</Size>\
                 <LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
            )
        });
        let contents: String = contents.collect();
        reply(
            200,
            format!("<ListBucketResult>{contents}</ListBucketResult>"),
        )
    }
}

fn with_tag(reply: Reply) -> Reply {
    let mut reply = reply?;
    let fields = reply.headers_mut();
    fields.insert(ETAG, HeaderValue::from_static("\"1\""));
    let day = HeaderValue::from_static("Thu, 01 Jan 2026 00:00:00 GMT");
    fields.insert(LAST_MODIFIED, day);
    Ok(reply)
}

async fn bucket() -> Server {
    let bucket = Bucket::default();
    Server::answering(move |request| bucket.clone().answer(request)).await
}

fn options(addr: impl std::fmt::Display) -> AmazonS3Builder {
    let retries = RetryConfig {
        backoff: object_store::BackoffConfig {
            init_backoff: Duration::from_millis(1),
            ..Default::default()
        },
        ..Default::default()
    };
    AmazonS3Builder::new()
        .with_bucket_name("bucket")
        .with_endpoint(format!("http://{addr}"))
        .with_access_key_id("id")
        .with_secret_access_key("key")
        .with_retry(retries)
        .with_client_options(plain())
}

fn plain() -> ClientOptions {
    ClientOptions::new().with_allow_http(true)
}

fn no_retries() -> RetryConfig {
    RetryConfig {
        max_retries: 0,
        ..Default::default()
    }
}

fn store(server: &Server) -> AmazonS3 {
    shown::store(options(server.addr), http()).unwrap()
}

/// An error with all that led to it.
fn whole(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(|cause| format!("{cause}\n")).collect()
}

#[tokio::test]
async fn objects_are_put_read_in_parts_and_listed_over_one_connection() {
    let server = bucket().await;
    let store = store(&server);
    let path = Path::from("dir/object");
    soon(store.put(&path, "hello world".into())).await.unwrap();
    let read = soon(async { store.get(&path).await?.bytes().await }).await;
    assert_eq!(read.unwrap(), "hello world");
    assert_eq!(soon(store.get_range(&path, 6..9)).await.unwrap(), "wor");
    let pieces = PutPayload::from_iter(["a", "b", "c"].map(Bytes::from));
    soon(store.put(&Path::from("pieces"), pieces))
        .await
        .unwrap();
    let listed: Vec<_> = soon(store.list(None).try_collect()).await.unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|found| (found.location.as_ref(), found.size))
        .collect();
    assert_eq!(listed, [("dir/object", 11), ("pieces", 3)]);
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn what_is_missing_is_not_found() {
    let server = bucket().await;
    let error = soon(store(&server).get(&Path::from("missing"))).await;
    let error = error.unwrap_err();
    assert!(
        matches!(error, object_store::Error::NotFound { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_put_whose_connection_broke_off_is_repeated() {
    let bucket = Bucket::default();
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let server = Server::answering(move |request| {
        let is_first = counted.fetch_add(1, SeqCst) == 0;
        let bucket = bucket.clone();
        async move {
            match is_first {
                true => Err(io::ErrorKind::ConnectionReset.into()),
                false => bucket.answer(request).await,
            }
        }
    })
    .await;
    soon(store(&server).put(&Path::from("object"), "hello".into()))
        .await
        .unwrap();
    assert_eq!((requests.load(SeqCst), server.accepted()), (2, 2));
}

#[tokio::test]
async fn a_server_that_does_not_answer_meets_the_time_out() {
    let server = Server::answering(|_| std::future::pending()).await;
    let limit = Duration::from_millis(30);
    let options = options(server.addr)
        .with_retry(no_retries())
        .with_client_options(plain().with_timeout(limit));
    let store = shown::store(options, http()).unwrap();
    let error = soon(store.get(&Path::from("object"))).await.unwrap_err();
    let said = whole(&error);
    assert!(
        said.contains("no whole reply within 30ms (timeout)"),
        "{said}"
    );
}

#[tokio::test]
async fn a_body_that_stops_meets_the_read_time_out() {
    let server = Server::answering(|_| async {
        let (pieces, reply) = stream();
        pieces.send(Ok(Bytes::from_static(b"half"))).unwrap();
        std::mem::forget(pieces);
        let mut reply = with_tag(reply)?;
        reply.headers_mut().insert(CONTENT_LENGTH, 8.into());
        Ok(reply)
    })
    .await;
    let limit = Duration::from_millis(30);
    let options = options(server.addr)
        .with_retry(no_retries())
        .with_client_options(plain().with_read_timeout(limit));
    let store = shown::store(options, http()).unwrap();
    let reply = soon(store.get(&Path::from("object"))).await.unwrap();
    let error = soon(reply.bytes()).await.unwrap_err();
    let said = whole(&error);
    assert!(
        said.contains("nothing came for 30ms (read_timeout)"),
        "{said}"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_the_cause() {
    let addr = nobody().await;
    let options = options(addr).with_retry(no_retries());
    let store = shown::store(options, http()).unwrap();
    let error = soon(store.get(&Path::from("object"))).await.unwrap_err();
    let said = whole(&error);
    assert!(said.contains(&addr.to_string()), "{said}");
}

#[tokio::test]
async fn http_without_tls_is_refused_unless_it_is_allowed() {
    let server = bucket().await;
    let options = options(server.addr).with_client_options(ClientOptions::new());
    let store = shown::store(options, http()).unwrap();
    let error = soon(store.get(&Path::from("object"))).await.unwrap_err();
    let said = whole(&error);
    assert!(said.contains("allow_http is not set"), "{said}");
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn the_options_agent_is_sent() {
    let seen = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&seen);
    let server = Server::answering(move |request| {
        *noted.lock().unwrap() = request.headers().get(USER_AGENT).cloned();
        async { reply(404, "") }
    })
    .await;
    let agent = HeaderValue::from_static("mine");
    let options = options(server.addr).with_client_options(plain().with_user_agent(agent.clone()));
    let store = shown::store(options, http()).unwrap();
    soon(store.get(&Path::from("object"))).await.unwrap_err();
    assert_eq!(*seen.lock().unwrap(), Some(agent));
}

#[test]
fn an_option_that_only_the_client_could_follow_is_refused_by_name() {
    let trusting = plain().with_allow_invalid_certificates(true);
    let options = options("s3.example").with_client_options(trusting);
    let error = shown::store(options, http()).unwrap_err();
    let said = whole(&error);
    assert!(said.contains("allow_invalid_certificates"), "{said}");
}
