//! TLS for `rediss://`: rustls with the ring provider, and the system's roots by default.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, Error, RootCertStore};

use crate::stream::Stream;

pub(crate) async fn handshake(
    socket: TcpStream,
    host: &str,
    config: Option<&Arc<ClientConfig>>,
) -> io::Result<Stream> {
    let config = match config {
        Some(config) => config.clone(),
        None => default_config()?,
    };
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let connected = TlsConnector::from(config).connect(name, socket).await;
    let stream = connected.map_err(name_plain_text)?;
    Ok(Stream::Tls(Box::new(stream)))
}

/// The peer's answer is not TLS at all.
#[derive(Debug, thiserror::Error)]
#[error("the answer is not TLS: a server without TLS wants a redis:// URL")]
struct NotTls(#[source] Error);

/// Says so when it is not.
fn name_plain_text(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    match cause {
        Some(Error::InvalidMessage(problem)) => {
            let problem = Error::InvalidMessage(*problem);
            io::Error::new(error.kind(), NotTls(problem))
        }
        _ => error,
    }
}

/// One configuration for the process: reading the roots takes milliseconds, and TLS sessions resume
/// only within a configuration.
fn default_config() -> io::Result<Arc<ClientConfig>> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    // Two that race here both load, and the first one's stays. A failure is not kept.
    let config = system_config()?;
    Ok(CONFIG.get_or_init(|| Arc::new(config)).clone())
}

fn system_config() -> io::Result<ClientConfig> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let cause = found.errors.first().map(ToString::to_string);
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!(
                "no root certificate found on this system ({}); set tls_config or root_certificates",
                cause.as_deref().unwrap_or("the store is empty")
            ),
        ));
    }
    config_of(roots).map_err(io::Error::other)
}

fn config_of(roots: RootCertStore) -> Result<ClientConfig, Error> {
    let versions = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}

/// Why root certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootsError {
    /// The file cannot be read.
    #[error("cannot read the root certificates in {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The text is not PEM.
    #[error("the root certificates are not in PEM format")]
    NotPem(#[source] pem::Error),
    /// The text is PEM, perhaps, but has no certificate in it.
    #[error("there is no certificate (BEGIN CERTIFICATE) among the root certificates")]
    None,
    /// A certificate cannot sign others.
    #[error("a root certificate is not usable")]
    Unusable(#[source] Error),
}

/// Trusts these certificates, in PEM, and no others.
pub(crate) fn trusting(certificates: &[u8]) -> Result<Arc<ClientConfig>, RootsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(certificates) {
        let certificate = certificate.map_err(RootsError::NotPem)?;
        roots.add(certificate).map_err(RootsError::Unusable)?;
    }
    if roots.is_empty() {
        return Err(RootsError::None);
    }
    config_of(roots).map(Arc::new).map_err(RootsError::Unusable)
}

/// The same from a file.
pub(crate) fn trusting_file(path: &Path) -> Result<Arc<ClientConfig>, RootsError> {
    let certificates = std::fs::read(path).map_err(|source| RootsError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    trusting(&certificates)
}
