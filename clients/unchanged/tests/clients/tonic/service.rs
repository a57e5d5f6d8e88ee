//! The services, and a server for them that can be replaced while its port stays.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use http::Uri;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Server as Transport;
use tonic::{Request, Response, Status, Streaming};

use crate::proto::echo_server::{Echo, EchoServer};
use crate::proto::other_server::{Other, OtherServer};

type Replies = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;

#[derive(Clone, Default)]
struct Service {
    calls: Arc<Calls>,
}

/// Calls that never end by themselves, under way now.
#[derive(Default)]
struct Calls(AtomicUsize);

struct Call(Arc<Calls>);

impl Call {
    fn begin(calls: &Arc<Calls>) -> Self {
        calls.0.fetch_add(1, SeqCst);
        Self(Arc::clone(calls))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, SeqCst);
    }
}

#[tonic::async_trait]
impl Echo for Service {
    /// "never" has no reply, "missing" an error; others are answered with themselves, and their field `greeting`.
    async fn say(&self, request: Request<String>) -> Result<Response<String>, Status> {
        let greeting = request.metadata().get("greeting");
        let greeting = greeting.map(|text| text.to_str().unwrap_or_default().to_owned());
        match &**request.get_ref() {
            "never" => {
                let _call = Call::begin(&self.calls);
                std::future::pending().await
            }
            "missing" => Err(Status::not_found("it is missing")),
            text => Ok(Response::new(greeting.unwrap_or_default() + text)),
        }
    }

    type CountStream = Replies;

    /// "3" is answered with "0", "1", "2"; "loss" with "0" and an error; "never" with "0" and no more.
    async fn count(&self, request: Request<String>) -> Result<Response<Replies>, Status> {
        let first = tokio_stream::once(Ok("0".to_owned()));
        Ok(Response::new(match &**request.get_ref() {
            "never" => {
                let call = Call::begin(&self.calls);
                let rest = tokio_stream::pending().map(move |never| {
                    let _ = &call;
                    never
                });
                Box::pin(first.chain(rest))
            }
            "loss" => Box::pin(first.chain(tokio_stream::once(Err(Status::data_loss("lost"))))),
            number => {
                let number: u32 = number
                    .parse()
                    .map_err(|_| Status::invalid_argument("not a number"))?;
                Box::pin(tokio_stream::iter((0..number).map(|i| Ok(i.to_string()))))
            }
        }))
    }

    async fn join(&self, request: Request<Streaming<String>>) -> Result<Response<String>, Status> {
        let mut said = request.into_inner();
        let mut joined = String::new();
        while let Some(text) = said.message().await? {
            joined += &text;
        }
        Ok(Response::new(joined))
    }

    type TalkStream = Replies;

    async fn talk(&self, request: Request<Streaming<String>>) -> Result<Response<Replies>, Status> {
        Ok(Response::new(Box::pin(request.into_inner())))
    }
}

#[tonic::async_trait]
impl Other for Service {
    async fn ask(&self, request: Request<String>) -> Result<Response<String>, Status> {
        Ok(Response::new(request.into_inner() + "?"))
    }
}

/// The server.
pub struct Server {
    pub origin: Uri,
    accepted: Arc<AtomicUsize>,
    calls: Arc<Calls>,
    sockets: watch::Sender<Sockets>,
    serving: Serving,
}

type Sockets = mpsc::UnboundedSender<std::io::Result<TcpStream>>;

struct Serving {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start() -> Self {
        let calls = Arc::new(Calls::default());
        let (sockets, serving) = serve(&calls);
        let (sockets, current) = watch::channel(sockets);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let accepted = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&accepted);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                counted.fetch_add(1, SeqCst);
                let _ = current.borrow().send(Ok(socket));
            }
        });
        Self {
            origin: origin.parse().unwrap(),
            accepted,
            calls,
            sockets,
            serving,
        }
    }

    /// New connections go to a new one; the old one says that it goes away, finishes what it has begun, and ends.
    pub async fn restart(&mut self) {
        let (sockets, serving) = serve(&self.calls);
        self.sockets.send_replace(sockets);
        let old = std::mem::replace(&mut self.serving, serving);
        old.stop.send(()).unwrap();
        old.task.await.unwrap();
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(SeqCst)
    }

    /// Calls under way that never end by themselves.
    pub fn calls(&self) -> usize {
        self.calls.0.load(SeqCst)
    }
}

fn serve(calls: &Arc<Calls>) -> (Sockets, Serving) {
    let (sockets, accepted) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let service = Service {
        calls: Arc::clone(calls),
    };
    let task = tokio::spawn(async move {
        let stopped = async { stopped.await.unwrap_or_default() };
        Transport::builder()
            .add_service(EchoServer::new(service.clone()))
            .add_service(OtherServer::new(service))
            .serve_with_incoming_shutdown(UnboundedReceiverStream::new(accepted), stopped)
            .await
            .unwrap();
    });
    (sockets, Serving { stop, task })
}
