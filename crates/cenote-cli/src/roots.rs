//! Certificates of authorities that are trusted in place of the system's: read from a file, made into what
//! connectors take.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// Why a file gives no root certificates.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the file given to --root-certificates: {0}")]
pub struct RootsError(Problem);

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("it has no certificate; PEM is expected, with lines -----BEGIN CERTIFICATE-----")]
    Empty,
    #[error("it is not valid PEM")]
    Malformed,
    #[error("certificate {number} in it cannot be read: {cause}")]
    Certificate { number: usize, cause: rustls::Error },
}

/// TLS settings that trust only the certificates in the PEM file at `path`.
pub fn trusting(path: &Path) -> Result<Arc<ClientConfig>, RootsError> {
    let roots = read(path).map_err(RootsError)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the ring provider supports the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn read(path: &Path) -> Result<RootCertStore, Problem> {
    let problem = |error| match error {
        pem::Error::Io(error) => Problem::Unreadable(error),
        pem::Error::NoItemsFound => Problem::Empty,
        _ => Problem::Malformed,
    };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(problem)?;
    for (index, certificate) in certificates.enumerate() {
        let number = index + 1;
        let unusable = |cause| Problem::Certificate { number, cause };
        roots.add(certificate.map_err(problem)?).map_err(unusable)?;
    }
    match roots.is_empty() {
        true => Err(Problem::Empty),
        false => Ok(roots),
    }
}
