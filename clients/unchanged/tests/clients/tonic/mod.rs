//! tonic: clients as it generates them, of a server of its own.

#[path = "../../../../../crates/cenote-http/src/clients/tonic_codes.rs"]
mod codes;
mod service;
#[path = "../../../../../crates/cenote-http/src/clients/tonic.rs"]
mod shown;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use cenote_http::Client;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Request, Status};

use self::service::Server;
use crate::proto::echo_client::EchoClient;
use crate::proto::other_client::OtherClient;
use crate::server::nobody;
use crate::{http, soon, until};

fn text(said: &str) -> String {
    said.into()
}

#[tokio::test]
async fn a_call_is_answered() {
    let server = Server::start().await;
    let mut echo = shown::echo(http(), server.origin.clone());
    let reply = soon(echo.say(text("hello"))).await.unwrap();
    assert_eq!(reply.into_inner(), "hello");
}

#[tokio::test]
async fn a_server_streams() {
    let server = Server::start().await;
    let mut echo = shown::echo(http(), server.origin.clone());
    let replies = soon(echo.count(text("1000"))).await.unwrap().into_inner();
    let replies: Vec<String> = soon(replies.map(Result::unwrap).collect()).await;
    assert!((0..1000).map(|number| number.to_string()).eq(replies));
}

#[tokio::test]
async fn a_client_streams() {
    let server = Server::start().await;
    let mut echo = shown::echo(http(), server.origin.clone());
    let said = tokio_stream::iter(["a", "b", "c"].map(text));
    let reply = soon(echo.join(said)).await.unwrap();
    assert_eq!(reply.into_inner(), "abc");
}

#[tokio::test]
async fn both_stream_and_each_hears_the_other_meanwhile() {
    let server = Server::start().await;
    let mut echo = shown::echo(http(), server.origin.clone());
    let (said, saying) = tokio::sync::mpsc::unbounded_channel();
    let saying = UnboundedReceiverStream::new(saying);
    let mut heard = soon(echo.talk(saying)).await.unwrap().into_inner();
    for number in 0..100 {
        said.send(number.to_string()).unwrap();
        let reply = soon(heard.message()).await.unwrap();
        assert_eq!(reply, Some(number.to_string()));
    }
    drop(said);
    assert_eq!(soon(heard.message()).await.unwrap(), None);
}

/// The error is in the head of the reply, which ends the stream: a reply without a body.
#[tokio::test]
async fn an_error_without_a_reply_has_its_code_and_costs_no_connection() {
    let server = Server::start().await;
    let mut echo = shown::echo(http(), server.origin.clone());
    let status = soon(echo.say(text("missing"))).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::NotFound, "it is missing")
    );
    soon(echo.say(text("hello"))).await.unwrap();
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn an_error_behind_replies_comes_behind_them() {
    let server = Server::start().await;
    let mut echo = shown::echo(http(), server.origin.clone());
    let mut replies = soon(echo.count(text("loss"))).await.unwrap().into_inner();
    assert_eq!(soon(replies.message()).await.unwrap(), Some(text("0")));
    let status = soon(replies.message()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::DataLoss, "lost"));
}

#[tokio::test]
async fn a_deadline_is_told_to_the_server_which_ends_the_call() {
    let server = Server::start().await;
    let mut echo = shown::echo(http(), server.origin.clone());
    let mut request = Request::new(text("never"));
    request.set_timeout(Duration::from_millis(20));
    let status = soon(echo.say(request)).await.unwrap_err();
    // What tonic's servers say of it.
    assert!(
        matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded),
        "{status}"
    );
    until(|| server.calls() == 0).await;
}

#[tokio::test]
async fn a_call_that_is_given_up_is_cancelled_at_the_server() {
    let server = Server::start().await;
    let http = http();
    let mut echo = shown::echo(http.clone(), server.origin.clone());
    let call = tokio::spawn({
        let mut echo = echo.clone();
        async move { echo.say(text("never")).await }
    });
    until(|| server.calls() == 1).await;
    call.abort();
    until(|| server.calls() == 0).await;
    until(|| http.status().leased == 0).await;
    soon(echo.say(text("hello"))).await.unwrap();
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_cancelled_at_the_server_and_costs_no_connection() {
    let server = Server::start().await;
    let mut echo = shown::echo(http(), server.origin.clone());
    let mut replies = soon(echo.count(text("never"))).await.unwrap().into_inner();
    assert_eq!(soon(replies.message()).await.unwrap(), Some(text("0")));
    assert_eq!(server.calls(), 1);
    drop(replies);
    until(|| server.calls() == 0).await;
    soon(echo.say(text("hello"))).await.unwrap();
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn two_services_share_a_connection() {
    let server = Server::start().await;
    let http = http();
    let mut echo = shown::echo(http.clone(), server.origin.clone());
    let mut other = OtherClient::with_origin(http, server.origin.clone());
    let mut talk = soon(echo.count(text("never"))).await.unwrap().into_inner();
    let reply = soon(other.ask(text("what"))).await.unwrap();
    assert_eq!(reply.into_inner(), "what?");
    assert_eq!(soon(talk.message()).await.unwrap(), Some(text("0")));
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn interceptors_work() {
    let server = Server::start().await;
    let greet = |mut request: Request<()>| -> Result<_, Status> {
        request
            .metadata_mut()
            .insert("greeting", "dear ".parse().unwrap());
        Ok(request)
    };
    // Where there is one, the origin is for a layer to say.
    let origin = server.origin.clone();
    let http = tower::ServiceBuilder::new()
        .map_request(move |request| with_origin(request, &origin))
        .service(http());
    let mut echo = EchoClient::with_interceptor(http, greet);
    let reply = soon(echo.say(text("friend"))).await.unwrap();
    assert_eq!(reply.into_inner(), "dear friend");
}

fn with_origin<B>(mut request: http::Request<B>, origin: &http::Uri) -> http::Request<B> {
    let mut parts = origin.clone().into_parts();
    parts.path_and_query = request.uri().path_and_query().cloned();
    *request.uri_mut() = http::Uri::from_parts(parts).unwrap();
    request
}

/// With one connection at a time none is just being opened to the server that ends, which would be an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_are_replaced_under_load_cost_no_call() {
    let mut server = Server::start().await;
    let http = Client::builder().max_per_route(1).build().unwrap();
    let echo = shown::echo(http, server.origin.clone());
    let calls = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let (mut echo, calls) = (echo.clone(), Arc::clone(&calls));
        callers.spawn(async move {
            loop {
                let reply = soon(echo.say(text("hello"))).await.unwrap();
                assert_eq!(reply.into_inner(), "hello");
                calls.fetch_add(1, SeqCst);
            }
        });
    }
    let mut called = async || {
        let before = calls.load(SeqCst);
        let enough = || calls.load(SeqCst) >= before + 100;
        tokio::select! {
            () = until(enough) => {}
            failed = callers.join_next() => panic!("a call failed: {failed:?}"),
        }
    };
    for _ in 0..10 {
        called().await;
        soon(server.restart()).await;
    }
    called().await;
    assert_eq!(server.accepted(), 11);
}

#[tokio::test]
async fn with_codes_a_server_that_is_not_there_is_unavailable() {
    let origin = format!("http://{}", nobody().await).parse().unwrap();
    let mut echo = EchoClient::with_origin(codes::with_codes(http()), origin);
    let status = soon(echo.say(text("hello"))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
}

#[tokio::test]
async fn with_codes_a_call_is_answered_with_an_interceptor_too() {
    let server = Server::start().await;
    let origin = server.origin.clone();
    let http = tower::ServiceBuilder::new()
        .map_request(move |request| with_origin(request, &origin))
        .service(codes::with_codes(http()));
    let mut echo = EchoClient::with_interceptor(http, Ok);
    let reply = soon(echo.say(text("hello"))).await.unwrap();
    assert_eq!(reply.into_inner(), "hello");
}
