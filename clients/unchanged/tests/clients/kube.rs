//! kube's client, of a server that answers as an API server does.

#[path = "../../../../crates/cenote-http/src/clients/kube.rs"]
mod shown;

use bytes::Bytes;
use futures::{AsyncBufReadExt, StreamExt, TryStreamExt};
use http::{Method, Request};
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, LogParams, ResourceExt, WatchEvent, WatchParams};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::server::{Reply, Server, reply, stream};
use crate::{soon, until};

fn pods_of(server: &Server) -> Api<Pod> {
    let client: Client = shown::client(&Config::new(server.url("/").parse().unwrap())).unwrap();
    Api::default_namespaced(client)
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "namespace": "default", "resourceVersion": "1" },
    })
}

fn status(code: u16, reason: &str) -> Reply {
    let what = if code < 400 { "Success" } else { "Failure" };
    let status = json!({
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": what,
        "reason": reason,
        "message": reason,
        "code": code,
    });
    reply(code, status.to_string())
}

async fn answer(request: Request<Incoming>) -> Reply {
    match (request.method().clone(), request.uri().path()) {
        (Method::GET, "/api/v1/namespaces/default/pods") => {
            let list = json!({
                "apiVersion": "v1",
                "kind": "PodList",
                "metadata": { "resourceVersion": "1" },
                "items": [pod("a"), pod("b")],
            });
            reply(200, list.to_string())
        }
        (Method::GET, "/api/v1/namespaces/default/pods/a/log") => reply(200, "one\ntwo\n"),
        (Method::DELETE, "/api/v1/namespaces/default/pods/a") => status(200, "deleted"),
        _ => status(404, "NotFound"),
    }
}

#[tokio::test]
async fn pods_are_listed_and_deleted_and_their_logs_read_over_one_connection() {
    let server = Server::answering(answer).await;
    let pods = pods_of(&server);
    let list = soon(pods.list(&ListParams::default())).await.unwrap();
    let names: Vec<String> = list.iter().map(ResourceExt::name_any).collect();
    assert_eq!(names, ["a", "b"]);
    let log = soon(pods.logs("a", &LogParams::default())).await.unwrap();
    assert_eq!(log, "one\ntwo\n");
    let lines = soon(pods.log_stream("a", &LogParams::default()))
        .await
        .unwrap();
    let lines: Vec<String> = soon(lines.lines().try_collect()).await.unwrap();
    assert_eq!(lines, ["one", "two"]);
    let deleted = soon(pods.delete("a", &DeleteParams::default()))
        .await
        .unwrap();
    assert!(deleted.right().is_some_and(|status| status.is_success()));
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn what_the_server_refuses_is_told_as_its_status() {
    let server = Server::answering(answer).await;
    let error = soon(pods_of(&server).get("missing")).await.unwrap_err();
    assert!(
        matches!(&error, kube::Error::Api(status) if status.is_not_found()),
        "{error:?}"
    );
}

/// A watch has its connection, other requests have others; dropped, it ends at the server.
#[tokio::test]
async fn a_watch_stays_open_beside_other_requests_until_it_is_dropped() {
    let (watches, mut watched) = mpsc::unbounded_channel();
    let server = Server::answering(move |request| {
        let watches = watches.clone();
        async move {
            match request.uri().query() {
                Some(query) if query.contains("watch=true") => {
                    let (events, reply) = stream();
                    watches.send(events).unwrap();
                    reply
                }
                _ => answer(request).await,
            }
        }
    })
    .await;
    let pods = pods_of(&server);
    let watch = soon(pods.watch(&WatchParams::default(), "0"))
        .await
        .unwrap();
    let mut watch = Box::pin(watch);
    let events = soon(watched.recv()).await.unwrap();
    for name in ["a", "b", "c"] {
        let event = json!({ "type": "ADDED", "object": pod(name) }).to_string() + "\n";
        // In two pieces, as it may come.
        let (first, rest) = event.split_at(event.len() / 2);
        events.send(Ok(Bytes::from(first.to_owned()))).unwrap();
        events.send(Ok(Bytes::from(rest.to_owned()))).unwrap();
        let seen = soon(watch.next()).await.unwrap().unwrap();
        assert!(
            matches!(&seen, WatchEvent::Added(pod) if pod.name_any() == name),
            "{seen:?}"
        );
        soon(pods.list(&ListParams::default())).await.unwrap();
    }
    assert_eq!(server.accepted(), 2);
    drop(watch);
    until(|| events.is_closed()).await;
}
