//! TLS for `rediss://`: rustls with the ring provider, and the system's roots by default.

use std::io;
use std::sync::{Arc, OnceLock};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

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
    let stream = TlsConnector::from(config).connect(name, socket).await?;
    Ok(Stream::Tls(Box::new(stream)))
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
                "no root certificate found on this system ({}); set tls_config",
                cause.as_deref().unwrap_or("the store is empty")
            ),
        ));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
