//! hyper without a client around it, which is what any client on top of hyper can reach at most: over HTTP/1.1 a connection
//! for each task, over HTTP/2 one for all.

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::subject::{ReplyBody, Subject};
use super::target::Target;
use crate::callers::CallError;

/// HTTP/1.1; each clone opens a connection of its own with its first request.
pub struct ByHand {
    target: Target,
    host: HeaderValue,
    sender: Option<http1::SendRequest<Empty<Bytes>>>,
}

#[derive(Clone)]
pub struct H2ByHand {
    uri: Uri,
    sender: http2::SendRequest<Empty<Bytes>>,
}

impl Clone for ByHand {
    fn clone(&self) -> Self {
        Self {
            target: self.target.clone(),
            host: self.host.clone(),
            sender: None,
        }
    }
}

impl ByHand {
    async fn send(&mut self) -> Result<Response<Incoming>, CallError> {
        let sender = match &mut self.sender {
            Some(sender) => sender,
            none => {
                let socket = connect(&self.target).await?;
                let (sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
                tokio::spawn(connection);
                none.insert(sender)
            }
        };
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = Uri::from_static("/");
        request.headers_mut().insert(HOST, self.host.clone());
        sender.ready().await?;
        Ok(sender.send_request(request).await?)
    }
}

impl Subject for ByHand {
    const NAME: &'static str = "by_hand";

    async fn open(target: &Target) -> Result<Self, CallError> {
        Ok(Self {
            target: target.clone(),
            host: HeaderValue::try_from(target.addr.to_string())?,
            sender: None,
        })
    }

    async fn get(&mut self) -> Result<Response<impl ReplyBody>, CallError> {
        self.send().await
    }
}

impl Subject for H2ByHand {
    const NAME: &'static str = "h2_by_hand";

    async fn open(target: &Target) -> Result<Self, CallError> {
        let socket = TokioIo::new(connect(target).await?);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), socket).await?;
        tokio::spawn(connection);
        Ok(Self {
            uri: target.uri.clone(),
            sender,
        })
    }

    async fn get(&mut self) -> Result<Response<impl ReplyBody>, CallError> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.uri.clone();
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }
}

async fn connect(target: &Target) -> std::io::Result<TcpStream> {
    let socket = TcpStream::connect(target.addr).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}
