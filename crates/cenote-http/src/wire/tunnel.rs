//! CONNECT: one exchange with an HTTP proxy, after which the socket leads to the server.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;

use cenote::net::Watched;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, Parts, SendRequest};
use hyper_util::rt::TokioIo;

use super::outgoing::Outgoing;
use crate::proxy::ProxyError;

/// Has the proxy at the other end of `socket` lead on to `host`, which may be an IPv6 address in brackets.
///
/// It runs no task: dropping the future closes the socket.
pub(crate) async fn tunnel(
    socket: Watched,
    host: &str,
    port: u16,
    fields: Vec<(HeaderName, HeaderValue)>,
) -> Result<Watched, ProxyError> {
    let request = request(host, port, fields).map_err(ProxyError::exchange)?;
    let (sender, connection) = http1::handshake(TokioIo::new(socket))
        .await
        .map_err(ProxyError::exchange)?;
    let (reply, parts) = exchange(sender, connection, request)
        .await
        .map_err(ProxyError::exchange)?;
    match parts {
        // The server was not spoken to yet: what is there already is not its answer.
        Some(Parts { read_buf, .. }) if !read_buf.is_empty() => {
            let said = "it went on to speak after it had answered CONNECT";
            Err(ProxyError::exchange(io::Error::new(
                io::ErrorKind::InvalidData,
                said,
            )))
        }
        Some(Parts { io, .. }) => Ok(io.into_inner()),
        None => Err(ProxyError::Status {
            status: reply.status(),
        }),
    }
}

fn request(
    host: &str,
    port: u16,
    fields: Vec<(HeaderName, HeaderValue)>,
) -> http::Result<Request<Outgoing>> {
    let target = format!("{host}:{port}");
    let mut request = Request::new(Outgoing::Empty);
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = Uri::builder().authority(&*target).build()?;
    *request.version_mut() = Version::HTTP_11;
    let said: HeaderMap = fields.into_iter().collect();
    *request.headers_mut() = said;
    request
        .headers_mut()
        .insert(HOST, HeaderValue::try_from(target)?);
    Ok(request)
}

type Io = TokioIo<Watched>;

/// The head of the proxy's reply; and the socket, with what was read beyond that head, if it says yes.
async fn exchange(
    mut sender: SendRequest<Outgoing>,
    connection: Connection<Io, Outgoing>,
    request: Request<Outgoing>,
) -> hyper::Result<(Response<Incoming>, Option<Parts<Io>>)> {
    let mut connection = pin!(connection.without_shutdown());
    let mut parts = None;
    let mut sending = pin!(sender.send_request(request));
    let reply = poll_fn(|cx| {
        let mut broken = None;
        if parts.is_none() {
            match connection.as_mut().poll(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(ended)) => parts = Some(ended),
                Poll::Ready(Err(error)) => broken = Some(error),
            }
        }
        match (sending.as_mut().poll(cx), broken) {
            (Poll::Pending, Some(error)) => Poll::Ready(Err(error)),
            (sent, _) => sent,
        }
    })
    .await?;
    if !reply.status().is_success() {
        return Ok((reply, None));
    }
    let parts = match parts {
        Some(parts) => parts,
        None => connection.await?,
    };
    Ok((reply, Some(parts)))
}
