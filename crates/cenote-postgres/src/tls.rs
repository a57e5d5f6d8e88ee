//! TLS for connections: rustls with the ring provider, and the system's roots by default.

use std::sync::OnceLock;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

/// What servers from PostgreSQL 17 on ask for when TLS is negotiated directly; older ones ignore it.
const PROTOCOL: &[u8] = b"postgresql";

pub(crate) fn with_config(mut config: ClientConfig) -> MakeRustlsConnect {
    if config.alpn_protocols.is_empty() {
        config.alpn_protocols.push(PROTOCOL.to_vec());
    }
    MakeRustlsConnect::new(config)
}

/// Trusts the system's root certificates; none when the system has none. One for the process: reading
/// them takes milliseconds, and TLS sessions resume only within one configuration.
pub(crate) fn with_system_roots() -> Option<MakeRustlsConnect> {
    static TLS: OnceLock<Option<MakeRustlsConnect>> = OnceLock::new();
    TLS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return None;
        }
        let config = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("the ring provider supports the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Some(with_config(config))
    })
    .clone()
}
