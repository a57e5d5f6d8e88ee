//! A server with TLS that speaks what ALPN decides, and may change its mind.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cenote_http::rustls::crypto::ring;
use cenote_http::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use cenote_http::rustls::{ClientConfig, RootCertStore, ServerConfig};
use cenote_http::{Client, ClientBuilder};
use http::Response;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub const HTTP1: &[u8] = b"http/1.1";
pub const HTTP2: &[u8] = b"h2";

/// It lives as long as its runtime.
pub struct Secure {
    pub port: u16,
    authority: CertificateDer<'static>,
    shared: Arc<Shared>,
}

struct Shared {
    config: Mutex<Arc<ServerConfig>>,
    /// So many handshakes may begin.
    gate: Semaphore,
    accepted: AtomicUsize,
    shaking: AtomicUsize,
    most_shaking: AtomicUsize,
    /// Counts the changes of what is spoken: connections of before go away.
    deploys: watch::Sender<usize>,
}

impl Secure {
    /// A server of `localhost` that offers these protocols, the best first.
    pub async fn offering(protocols: &[&[u8]]) -> Self {
        let server = Self::closed(protocols).await;
        server.open(Semaphore::MAX_PERMITS);
        server
    }

    /// The same, but no handshake begins until it is [opened](Self::open).
    pub async fn closed(protocols: &[&[u8]]) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        let shared = Arc::new(Shared {
            config: Mutex::new(with_protocols(&config, protocols)),
            gate: Semaphore::new(0),
            accepted: AtomicUsize::new(0),
            shaking: AtomicUsize::new(0),
            most_shaking: AtomicUsize::new(0),
            deploys: watch::Sender::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                serving.accepted.fetch_add(1, SeqCst);
                tokio::spawn(Arc::clone(&serving).serve(socket));
            }
        });
        Self {
            port,
            authority: authority.der().clone(),
            shared,
        }
    }

    /// Lets so many handshakes begin.
    pub fn open(&self, handshakes: usize) {
        self.shared.gate.add_permits(handshakes);
    }

    /// From now on it offers these; connections of before go away.
    pub fn deploy(&self, protocols: &[&[u8]]) {
        let mut config = self.shared.config.lock().unwrap();
        *config = with_protocols(&config, protocols);
        self.shared.deploys.send_modify(|deploys| *deploys += 1);
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}/", self.port)
    }

    /// Settings of a client that trusts it.
    pub fn trusting(&self) -> ClientBuilder {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Client::builder().tls(config)
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(SeqCst)
    }

    /// The most that were before the end of their handshake at once.
    pub fn most_shaking(&self) -> usize {
        self.shared.most_shaking.load(SeqCst)
    }
}

fn with_protocols(config: &ServerConfig, protocols: &[&[u8]]) -> Arc<ServerConfig> {
    let mut config = config.clone();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

impl Shared {
    fn current(&self) -> (TlsAcceptor, watch::Receiver<usize>) {
        let config = self.config.lock().unwrap();
        let acceptor = TlsAcceptor::from(Arc::clone(&config));
        (acceptor, self.deploys.subscribe())
    }

    async fn serve(self: Arc<Self>, socket: TcpStream) {
        let shaking = self.shaking.fetch_add(1, SeqCst) + 1;
        self.most_shaking.fetch_max(shaking, SeqCst);
        self.gate.acquire().await.unwrap().forget();
        let (acceptor, deploys) = self.current();
        let accepted = acceptor.accept(socket).await;
        self.shaking.fetch_sub(1, SeqCst);
        let Ok(stream) = accepted else { return };
        match stream.get_ref().1.alpn_protocol() == Some(HTTP2) {
            true => serve_http2(stream, deploys).await,
            false => serve_http1(stream, deploys).await,
        }
    }
}

/// Answers until the client ends the connection, or a deploy does.
async fn serve_http2(stream: TlsStream<TcpStream>, mut deploys: watch::Receiver<usize>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    let mut is_leaving = false;
    loop {
        tokio::select! {
            asked = connection.accept() => {
                let Some(Ok((_, mut answer))) = asked else { return };
                let mut body = answer.send_response(Response::new(()), false).unwrap();
                let _ = body.send_data(Bytes::from("hello"), true);
            }
            _ = deploys.changed(), if !is_leaving => {
                connection.graceful_shutdown();
                is_leaving = true;
            }
        }
    }
}

/// Goes away only with a reply, which says so: a client cannot know it sooner, and be in time.
async fn serve_http1(mut stream: TlsStream<TcpStream>, deploys: watch::Receiver<usize>) {
    let mut unread = Vec::new();
    loop {
        let Some(end) = unread.windows(4).position(|part| part == b"\r\n\r\n") else {
            match stream.read_buf(&mut unread).await {
                Ok(1..) => continue,
                _ => return,
            }
        };
        unread.drain(..end + 4);
        let is_leaving = deploys.has_changed().unwrap_or(true);
        let last = if is_leaving {
            "Connection: close\r\n"
        } else {
            ""
        };
        let reply = format!("HTTP/1.1 200 OK\r\n{last}Content-Length: 5\r\n\r\nhello");
        if stream.write_all(reply.as_bytes()).await.is_err() || is_leaving {
            let _ = stream.shutdown().await;
            return;
        }
    }
}
