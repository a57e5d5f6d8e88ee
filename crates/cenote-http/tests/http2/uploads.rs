//! The bodies of requests: how long they have their place, who ends them, and what is told of one that fails.

use std::io;
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use cenote_http::Client;
use h2::server::Builder;
use http::{Method, Request, Response};
use tokio::sync::Notify;

use crate::peer::{END_STREAM, NO_ERROR, Server, eventually, get, http2};
use crate::speaker::{Speaker, read, write};
use crate::streamed::Streamed;

fn client() -> Client {
    http2().max_per_route(1).build().unwrap()
}

/// RFC 9113, 8.1: the server has said all, and does not want the rest of the request.
#[tokio::test]
async fn a_reply_that_comes_before_the_request_is_sent_is_whole_and_ends_the_request() {
    let server = Server::scripted(|_, mut peer| async move {
        peer.settings(&[]).await;
        while let Some(stream) = peer.request().await {
            peer.begin_answer(stream).await;
            peer.data(stream, b"early", END_STREAM).await;
            peer.reset(stream, NO_ERROR).await;
        }
    })
    .await;
    let client = client();
    for _ in 0..20 {
        let (feed, body) = Streamed::new();
        feed.data("some");
        let request = Request::post(server.url("/")).body(body).unwrap();
        let reply = client.execute(request).await.unwrap();
        assert_eq!(reply.into_body().bytes().await.unwrap(), "early");
        eventually("nobody sends the rest", || feed.is_dropped()).await;
        eventually("its lease is over", || client.status().leased == 0).await;
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_request_that_outlasts_its_reply_has_its_lease_until_it_is_sent() {
    let (tell, told) = mpsc::channel();
    let server = Speaker::answering(Builder::new(), move |asked, mut answer| {
        let tell = tell.clone();
        async move {
            answer.send_response(Response::new(()), true).unwrap();
            let sent = read(&mut asked.into_body()).await;
            tell.send(sent.map(|(body, _)| body)).unwrap();
        }
    })
    .await;
    let client = client();
    let (feed, body) = Streamed::new();
    let request = Request::post(server.url("/")).body(body).unwrap();
    let reply = client.execute(request).await.unwrap();
    assert!(reply.into_body().bytes().await.unwrap().is_empty());
    assert_eq!(client.status().leased, 1);
    feed.data("late");
    drop(feed);
    eventually("its lease is over", || client.status().leased == 0).await;
    let mut sent = None;
    eventually("it arrives", || {
        sent = sent.take().or(told.try_recv().ok());
        sent.is_some()
    })
    .await;
    assert_eq!(sent, Some(Some(b"late".to_vec())));
}

/// The place of a request is taken until the server has it, though its body is there as a whole: else the next would wait for it
/// unseen.
#[tokio::test]
async fn a_long_request_that_outlasts_its_reply_has_its_lease_until_it_is_sent() {
    let may_read = Arc::new(Notify::new());
    let read_on = Arc::clone(&may_read);
    let server = Speaker::answering(Builder::new(), move |asked, mut answer| {
        let read_on = Arc::clone(&read_on);
        async move {
            answer.send_response(Response::new(()), true).unwrap();
            read_on.notified().await;
            let sent = read(&mut asked.into_body()).await.unwrap();
            assert_eq!(sent.0.len(), 200_000);
        }
    })
    .await;
    let client = client();
    let request = client.post(server.url("/")).body(vec![0; 200_000]);
    assert_eq!(request.send().await.unwrap().bytes().await.unwrap(), "");
    assert_eq!(client.status().leased, 1);
    may_read.notify_one();
    eventually("its lease is over", || client.status().leased == 0).await;
}

/// A server whose replies have no end, and that tells how the requests ended.
async fn endless() -> (Speaker, mpsc::Receiver<Option<Vec<u8>>>) {
    let (tell, told) = mpsc::channel();
    let server = Speaker::answering(Builder::new(), move |asked, mut answer| {
        let tell = tell.clone();
        async move {
            let mut reply = answer.send_response(Response::new(()), false).unwrap();
            assert!(write(&mut reply, Bytes::from("some")).await);
            let sent = read(&mut asked.into_body()).await;
            tell.send(sent.map(|(body, _)| body)).unwrap();
        }
    })
    .await;
    (server, told)
}

#[tokio::test]
async fn a_reply_that_nobody_reads_ends_its_request() {
    let (server, told) = endless().await;
    let client = client();
    let (feed, body) = Streamed::new();
    let request = Request::post(server.url("/")).body(body).unwrap();
    drop(client.execute(request).await.unwrap());
    eventually("nobody sends the rest", || feed.is_dropped()).await;
    let mut sent = None;
    eventually("the server hears of it", || {
        sent = sent.take().or(told.try_recv().ok());
        sent.is_some()
    })
    .await;
    assert_eq!(sent, Some(None), "it is not taken for a whole one");
    eventually("its lease is over", || client.status().leased == 0).await;
}

#[tokio::test]
async fn a_request_whose_body_fails_behind_the_head_of_its_reply_breaks_the_reply_and_says_why() {
    let (server, told) = endless().await;
    let client = client();
    let (feed, body) = Streamed::new();
    let request = Request::post(server.url("/")).body(body).unwrap();
    let mut reply = client.execute(request).await.unwrap().into_body();
    assert_eq!(reply.chunk().await.unwrap().unwrap(), "some");
    feed.fail(io::Error::other("the disk is gone"));
    let error = reply.chunk().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("the disk is gone"), "{error}");
    let mut sent = None;
    eventually("the server hears of it", || {
        sent = sent.take().or(told.try_recv().ok());
        sent.is_some()
    })
    .await;
    assert_eq!(sent, Some(None), "it is not taken for a whole one");
    eventually("its lease is over", || client.status().leased == 0).await;
}

/// reqwest#2081: an upload that waits for room costs the others nothing.
#[tokio::test]
async fn uploads_that_the_server_does_not_read_stop_no_other_request() {
    let may_read = Arc::new(Notify::new());
    let read_on = Arc::clone(&may_read);
    let mut settings = Builder::new();
    settings.initial_connection_window_size(1 << 20);
    let server = Speaker::answering(settings, move |asked, mut answer| {
        let read_on = Arc::clone(&read_on);
        async move {
            if asked.method() == Method::POST {
                read_on.notified().await;
                assert!(read(&mut asked.into_body()).await.is_some());
            }
            answer.send_response(Response::new(()), true).unwrap();
        }
    })
    .await;
    let client = client();
    // More than its window takes.
    let body = Bytes::from(vec![0; 200_000]);
    let upload = tokio::spawn(client.post(server.url("/")).body(body).send());
    for _ in 0..50 {
        get(&client, &server.url("/")).await.unwrap();
    }
    may_read.notify_one();
    upload.await.unwrap().unwrap();
    assert_eq!(server.accepted(), 1);
}

/// The text of the failed body is the error's, and the server does not take what came for the whole.
#[tokio::test]
async fn a_request_whose_body_fails_says_why() {
    let server = Server::scripted(|_, mut peer| async move {
        peer.settings(&[]).await;
        peer.closed().await;
    })
    .await;
    let (feed, body) = Streamed::new();
    let request = Request::post(server.url("/")).body(body).unwrap();
    feed.data("some");
    feed.fail(io::Error::other("the disk is gone"));
    let error = client().execute(request).await.unwrap_err();
    assert!(error.to_string().contains("the disk is gone"), "{error}");
}
