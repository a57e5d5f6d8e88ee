//! TLS for connections: rustls with the ring provider, and the system's roots by default.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::ConfigError;

/// What servers from PostgreSQL 17 on ask for when TLS is negotiated directly; older ones ignore it.
const PROTOCOL: &[u8] = b"postgresql";

pub(crate) fn with_config(mut config: ClientConfig) -> MakeRustlsConnect {
    if config.alpn_protocols.is_empty() {
        config.alpn_protocols.push(PROTOCOL.to_vec());
    }
    MakeRustlsConnect::new(config)
}

fn with_roots(roots: RootCertStore) -> MakeRustlsConnect {
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("the ring provider supports the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    with_config(config)
}

/// Trusts the system's root certificates; none when the system has none, which is asked again. One for the
/// process: reading them takes milliseconds, and TLS sessions resume only within one configuration.
pub(crate) fn with_system_roots() -> Option<MakeRustlsConnect> {
    static TLS: Mutex<Option<MakeRustlsConnect>> = Mutex::new(None);
    // A panic under the lock left nothing half done.
    let mut known = TLS.lock().unwrap_or_else(PoisonError::into_inner);
    if known.is_none() {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if !roots.is_empty() {
            *known = Some(with_roots(roots));
        }
    }
    known.clone()
}

/// Trusts the certificates of a PEM file and no others.
pub(crate) fn with_roots_of(file: &Path) -> Result<MakeRustlsConnect, ConfigError> {
    let problem = |problem: String| ConfigError::setting("sslrootcert", problem);
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| problem(format!("cannot be read from {}: {error}", file.display())))?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(problem(format!(
            "names {}, which holds no certificate in PEM form",
            file.display()
        )));
    }
    Ok(with_roots(roots))
}
