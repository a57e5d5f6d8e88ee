//! smithy's runtime, which is what the AWS SDK's services are made of, of a server of its own.

#[path = "../../../../crates/cenote-http/src/clients/aws.rs"]
mod shown;

use std::convert::Infallible;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{
    HttpStatusCodeClassifier, TransientErrorClassifier,
};
use aws_smithy_runtime_api::client::http::HttpClient;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, OrchestratorError};
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use cenote_aws::CenoteHttpClient;
use cenote_http::Client;
use http_body_util::BodyExt;

use crate::server::{Server, nobody, reply};
use crate::soon;

type Call = Operation<String, String, Infallible>;

/// A call as an SDK makes it: what is said is posted, and an answer other than 200 is not understood.
fn call(addr: impl Display, http: impl HttpClient + 'static, times: TimeoutConfig) -> Call {
    let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
    Operation::builder()
        .service_name("files")
        .operation_name("Echo")
        .http_client(http)
        .endpoint_url(&format!("http://{addr}"))
        .no_auth()
        .with_connection_poisoning()
        .standard_retry(&retries)
        .retry_classifier(HttpStatusCodeClassifier::default())
        .retry_classifier(TransientErrorClassifier::<Infallible>::new())
        .timeout_config(times)
        .sleep_impl(TokioSleep::new())
        .time_source(SystemTimeSource::new())
        .serializer(|said: String| {
            let mut request = HttpRequest::new(SdkBody::from(said));
            request.set_method("POST")?;
            Ok(request)
        })
        .deserializer(|reply| match reply.status().as_u16() {
            200 => {
                let body = reply.body().bytes().unwrap_or_default();
                Ok(String::from_utf8_lossy(body).into_owned())
            }
            status => Err(OrchestratorError::other(format!("status {status}"))),
        })
        .build()
}

fn times() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .build()
}

/// A client whose connections can be looked at.
fn http() -> CenoteHttpClient {
    CenoteHttpClient::new(Client::builder()).unwrap()
}

async fn echo() -> Server {
    Server::answering(|request| async {
        let said = request.into_body().collect().await;
        reply(200, said.map_err(std::io::Error::other)?.to_bytes())
    })
    .await
}

fn connector_error<R>(error: &SdkError<Infallible, R>) -> &ConnectorError {
    match error {
        SdkError::DispatchFailure(failure) => failure.as_connector_error().unwrap(),
        _ => panic!("the connector's error was expected"),
    }
}

#[tokio::test]
async fn calls_are_answered_over_one_connection() {
    let server = echo().await;
    let call = call(server.addr, shown::http_client().unwrap(), times());
    for said in ["a", "b"] {
        assert_eq!(soon(call.invoke(said.into())).await.unwrap(), said);
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn calls_with_other_connect_time_outs_have_clients_of_their_own() {
    let server = echo().await;
    let http = http();
    for seconds in [3, 3, 4] {
        let limit = Duration::from_secs(seconds);
        let times = TimeoutConfig::builder().connect_timeout(limit).build();
        let call = call(server.addr, http.clone(), times);
        soon(call.invoke("a".into())).await.unwrap();
    }
    assert_eq!(server.accepted(), 2);
    // That without a time-out of the SDK's was not used.
    let sizes: usize = http
        .clients()
        .iter()
        .map(|client| client.status().size)
        .sum();
    assert_eq!((http.clients().len(), sizes), (3, 2));
}

/// smithy has the connection closed whose server is in trouble, and tries another.
#[tokio::test]
async fn an_attempt_after_a_servers_trouble_meets_another_connection() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let server = Server::answering(move |_| {
        let is_first = counted.fetch_add(1, SeqCst) == 0;
        async move { reply(if is_first { 503 } else { 200 }, "done") }
    })
    .await;
    let call = call(server.addr, http(), times());
    assert_eq!(soon(call.invoke("a".into())).await.unwrap(), "done");
    assert_eq!((requests.load(SeqCst), server.accepted()), (2, 2));
}

#[tokio::test]
async fn a_call_whose_connection_broke_off_is_repeated() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let server = Server::answering(move |_| {
        let is_first = counted.fetch_add(1, SeqCst) == 0;
        async move {
            match is_first {
                true => Err(std::io::ErrorKind::ConnectionReset.into()),
                false => reply(200, "done"),
            }
        }
    })
    .await;
    let call = call(server.addr, http(), times());
    assert_eq!(soon(call.invoke("a".into())).await.unwrap(), "done");
}

#[tokio::test]
async fn a_server_that_does_not_answer_meets_the_read_time_out() {
    let server = Server::answering(|_| std::future::pending()).await;
    let times = TimeoutConfig::builder()
        .read_timeout(Duration::from_millis(20))
        .build();
    let call = call(server.addr, http(), times);
    let error = soon(call.invoke("a".into())).await.unwrap_err();
    assert!(connector_error(&error).is_timeout(), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_of_io() {
    let call = call(nobody().await, http(), times());
    let error = soon(call.invoke("a".into())).await.unwrap_err();
    assert!(connector_error(&error).is_io(), "{error:?}");
}

#[tokio::test]
async fn a_connect_time_out_that_cannot_be_is_the_users_error() {
    let server = echo().await;
    let times = TimeoutConfig::builder()
        .connect_timeout(Duration::ZERO)
        .build();
    let call = call(server.addr, http(), times);
    let error = soon(call.invoke("a".into())).await.unwrap_err();
    assert!(connector_error(&error).is_user(), "{error:?}");
    assert_eq!(server.accepted(), 0);
}
