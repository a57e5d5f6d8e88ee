//! The client as a tower service, with what the clients of others that take one ask of it.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use cenote_http::{Body, Client};
use http::{Request, Response};
use http_body::Frame;
use tower_service::Service;

use crate::server::{Server, ok};

/// A body as other crates have them: not `Sync`, with data of its own.
struct Theirs(Option<Vec<u8>>, std::cell::Cell<()>);

impl http_body::Body for Theirs {
    type Data = std::io::Cursor<Vec<u8>>;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Infallible>>> {
        let data = self.0.take();
        Poll::Ready(data.map(|data| Ok(Frame::data(std::io::Cursor::new(data)))))
    }
}

/// What kube, octocrab and tonic ask for, the strictest of each.
async fn through<S, B>(mut service: S, request: Request<Theirs>) -> Response<B>
where
    S: Service<Request<Theirs>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: http_body::Body<Data = Bytes> + Default + Send + Sync + Unpin + 'static,
    B::Error: Error + Send + Sync + 'static,
{
    std::future::poll_fn(|cx| service.poll_ready(cx))
        .await
        .map_err(Into::into)
        .unwrap();
    service.call(request).await.map_err(Into::into).unwrap()
}

#[tokio::test]
async fn the_client_is_a_service_of_requests_with_any_body() {
    let server = Server::answering(|request| ok(&request.body)).await;
    let client = Client::builder().build().unwrap();
    let request = Request::post(server.url("/"));
    let request = request
        .body(Theirs(Some(b"theirs".to_vec()), Default::default()))
        .unwrap();
    let reply: Response<Body> = through(client, request).await;
    assert_eq!(
        reply.into_body().bytes().await.unwrap(),
        "6\r\ntheirs\r\n0\r\n\r\n"
    );
}

#[test]
fn requests_replies_and_errors_go_anywhere() {
    fn is<T: Send + Sync + Unpin + 'static>() {}
    is::<Client>();
    is::<Body>();
    is::<cenote_http::Response>();
    is::<cenote_http::Error>();
    is::<cenote_http::RouteOptions>();
    fn is_sent<T: Send + 'static>(_: &T) {}
    let client = Client::builder().build().unwrap();
    is_sent(&client.get("http://example.org/").send());
}
