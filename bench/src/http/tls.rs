//! TLS at both ends: the server's certificate, made for the run, and clients that trust nobody else.

use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::target::HOST;
use crate::callers::CallError;

/// Both protocols, the better one first.
pub const BOTH: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The settings of a server that speaks both protocols, and its certificate.
pub fn server() -> Result<(ServerConfig, CertificateDer<'static>), CallError> {
    let made = rcgen::generate_simple_self_signed([HOST.to_string()])?;
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)?;
    config.alpn_protocols = BOTH.map(<[u8]>::to_vec).to_vec();
    Ok((config, certificate))
}

/// The settings of a client; what it offers by ALPN, it says itself.
pub fn client(trusted: Option<CertificateDer<'static>>) -> Result<ClientConfig, CallError> {
    let mut roots = RootCertStore::empty();
    if let Some(certificate) = trusted {
        roots.add(certificate)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
