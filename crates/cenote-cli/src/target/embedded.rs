//! Echo servers in this process, on threads of their own, with a real TLS handshake: a connection to one
//! costs what a connection costs.

mod server;

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, version};

pub use self::server::Behaviour;
use self::server::Server;
use super::Place;
use crate::format;

/// What one embedded server is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Echo {
    pub tls: bool,
    /// How long it takes to answer.
    pub service_time: Duration,
    pub request_size: usize,
}

/// What all of them are to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    pub echo: Echo,
    /// Those that are there from the start.
    pub servers: usize,
    /// So many of those, the first, are slow,
    pub slow: usize,
    /// by so much.
    pub slow_by: Duration,
    /// Others that serve and are told to nobody yet.
    pub spare: usize,
}

impl Fleet {
    fn server(&self, number: usize) -> Echo {
        let more = match number < self.slow {
            true => self.slow_by,
            false => Duration::ZERO,
        };
        Echo {
            service_time: self.echo.service_time + more,
            ..self.echo
        }
    }
}

impl fmt::Display for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.servers {
            1 => f.write_str("embedded server")?,
            several => write!(f, "{several} embedded servers")?,
        }
        f.write_str(if self.echo.tls {
            ", TLS 1.3"
        } else {
            ", no TLS"
        })?;
        if !self.echo.service_time.is_zero() {
            write!(
                f,
                ", {} a request",
                format::duration(self.echo.service_time)
            )?;
        }
        match self.slow {
            0 => Ok(()),
            slow => write!(
                f,
                ", {slow} of them {} slower",
                format::duration(self.slow_by)
            ),
        }
    }
}

/// Running servers; they stop when dropped.
pub struct EmbeddedServers {
    /// What clients need for TLS, if it is on.
    pub tls: Option<Arc<ClientConfig>>,
    servers: Vec<Server>,
    runtime: Option<Runtime>,
}

impl EmbeddedServers {
    /// Half of the machine's threads serve; the users have all of them, as clients on one machine do.
    pub fn start(fleet: &Fleet) -> io::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("embedded-server")
            .enable_all()
            .build()?;
        let (acceptor, tls) = match fleet.echo.tls {
            false => (None, None),
            true => {
                let (server, client) = identity().map_err(io::Error::other)?;
                (
                    Some(TlsAcceptor::from(Arc::new(server))),
                    Some(Arc::new(client)),
                )
            }
        };
        let here = runtime.enter();
        let servers = (0..fleet.servers + fleet.spare)
            .map(|number| Server::start(fleet.server(number), acceptor.clone()))
            .collect::<io::Result<_>>()?;
        drop(here);
        Ok(Self {
            tls,
            servers,
            runtime: Some(runtime),
        })
    }

    /// Where one of them listens; they are numbered from 0.
    pub fn place(&self, number: usize) -> &Place {
        &self.servers[number].place
    }

    /// What one of them does from now on.
    pub fn set(&self, number: usize, behaviour: Behaviour) {
        self.servers[number].set(behaviour);
    }
}

impl Drop for EmbeddedServers {
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
