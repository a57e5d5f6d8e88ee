//! A server that speaks HTTP/2 by itself, by h2: for tests in which fields, flow control and bodies matter, and frames do not.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::net::TcpListener;

pub type Asked = Request<RecvStream>;
pub type Answer = SendResponse<Bytes>;

/// It lives as long as its runtime.
pub struct Speaker {
    pub addr: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Speaker {
    /// A server that has each request answered by `answer`, in a task of its own.
    pub async fn answering<F>(
        settings: Builder,
        answer: impl Fn(Asked, Answer) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let accepted = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&accepted);
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, SeqCst);
                let (settings, answer) = (settings.clone(), answer.clone());
                tokio::spawn(async move {
                    let connection = settings.handshake::<_, Bytes>(socket).await;
                    // One that the client gave up meanwhile.
                    let Ok(mut connection) = connection else {
                        return;
                    };
                    while let Some(Ok((asked, reply))) = connection.accept().await {
                        tokio::spawn(answer(asked, reply));
                    }
                });
            }
        });
        Self { addr, accepted }
    }

    /// A server that sends back the body that it is sent, as it arrives, and its trailers.
    pub async fn echo(settings: Builder) -> Self {
        Self::answering(settings, |asked, mut answer| async move {
            let mut body = asked.into_body();
            let Ok(mut reply) = answer.send_response(Response::new(()), false) else {
                return;
            };
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
                if !write(&mut reply, data).await {
                    return;
                }
            }
            match body.trailers().await {
                Ok(Some(trailers)) => drop(reply.send_trailers(trailers)),
                Ok(None) => drop(reply.send_data(Bytes::new(), true)),
                Err(_) => {}
            }
        })
        .await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(SeqCst)
    }
}

/// What is left of a body, as the client takes it to be; none where it does not come to its end.
pub async fn read(body: &mut RecvStream) -> Option<(Vec<u8>, Option<HeaderMap>)> {
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.ok()?;
        let _ = body.flow_control().release_capacity(data.len());
        all.extend(data);
    }
    Some((all, body.trailers().await.ok()?))
}

/// Writes this no faster than the client takes it; false where it takes no more.
pub async fn write(stream: &mut SendStream<Bytes>, mut data: Bytes) -> bool {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = match poll_fn(|cx| stream.poll_capacity(cx)).await {
            Some(Ok(room)) => room.min(data.len()),
            _ => return false,
        };
        if stream.send_data(data.split_to(room), false).is_err() {
            return false;
        }
    }
    true
}
