//! An echo server in this process, on threads of its own, with a real TLS handshake: a connection to it
//! costs what a connection costs.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, version};

/// What the embedded server is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Echo {
    pub tls: bool,
    /// How long it takes to answer.
    pub service_time: Duration,
    pub request_size: usize,
}

impl fmt::Display for Echo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls {
            "embedded server, TLS 1.3"
        } else {
            "embedded server, no TLS"
        })?;
        if self.service_time.is_zero() {
            return Ok(());
        }
        write!(
            f,
            ", {} a request",
            crate::format::duration(self.service_time)
        )
    }
}

/// A running server; it stops when dropped.
pub struct EmbeddedServer {
    pub address: SocketAddr,
    /// What clients need for TLS, if it is on.
    pub tls: Option<Arc<ClientConfig>>,
    runtime: Option<Runtime>,
}

const BACKLOG: u32 = 4096;

impl EmbeddedServer {
    /// Half of the machine's threads serve; the users have all of them, as clients on one machine do.
    pub fn start(echo: Echo) -> io::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("embedded-server")
            .enable_all()
            .build()?;
        let (acceptor, tls) = match echo.tls {
            false => (None, None),
            true => {
                let (server, client) = identity().map_err(io::Error::other)?;
                (
                    Some(TlsAcceptor::from(Arc::new(server))),
                    Some(Arc::new(client)),
                )
            }
        };
        let listener = {
            let _here = runtime.enter();
            let socket = TcpSocket::new_v4()?;
            socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
            socket.listen(BACKLOG)?
        };
        let address = listener.local_addr()?;
        runtime.spawn(accept(listener, acceptor, echo));
        Ok(Self {
            address,
            tls,
            runtime: Some(runtime),
        })
    }
}

impl Drop for EmbeddedServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A certificate for this run alone, and the two sides' settings.
fn identity() -> Result<(ServerConfig, ClientConfig), Box<dyn std::error::Error + Send + Sync>> {
    let provider = Arc::new(ring::default_provider());
    let issued = rcgen::generate_simple_self_signed([Ipv4Addr::LOCALHOST.to_string()])?;
    let certificate = issued.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(issued.signing_key.serialize_der());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Each connection does the whole handshake, as with PostgreSQL, which resumes no sessions.
    client.resumption = Resumption::disabled();
    Ok((server, client))
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, echo: Echo) {
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => {
                let acceptor = acceptor.clone();
                // A client that goes away is no concern of the server's.
                tokio::spawn(async move { serve(tcp, acceptor, echo).await.ok() });
            }
            // Out of file descriptors, most likely: some will come free.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(tcp: TcpStream, acceptor: Option<TlsAcceptor>, echo: Echo) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    match acceptor {
        Some(acceptor) => answer(acceptor.accept(tcp).await?, echo).await,
        None => answer(tcp, echo).await,
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, echo: Echo) -> io::Result<()> {
    let mut stream = BufReader::new(BufWriter::new(stream));
    let mut request = vec![0; echo.request_size];
    loop {
        stream.read_exact(&mut request).await?;
        if !echo.service_time.is_zero() {
            tokio::time::sleep(echo.service_time).await;
        }
        stream.write_all(&request).await?;
        // As a database does: what is answered goes out once nothing is left to do at once.
        let next_is_here = stream.buffer().len() >= echo.request_size;
        if !next_is_here || !echo.service_time.is_zero() {
            stream.flush().await?;
        }
    }
}
