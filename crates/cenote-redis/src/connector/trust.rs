//! Whom a connector trusts, for `rediss://`.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::ClientConfig;

use super::RedisConnector;
use crate::endpoint::{Endpoint, UrlError};
use crate::tls::{self, RootsError};

impl RedisConnector {
    /// Trusts these root certificates, in PEM, for `rediss://`, and not the system's: for a server with a certificate
    /// of a private authority, or one that has signed its own.
    ///
    /// # Errors
    ///
    /// [`RootsError`](crate::RootsError) when there is no usable certificate in `pem`.
    pub fn root_certificates(mut self, pem: &[u8]) -> Result<Self, RootsError> {
        self.tls = Some(tls::trusting(pem)?);
        Ok(self)
    }

    /// The same from a file, which is read now.
    ///
    /// ```no_run
    /// use cenote_redis::RedisConnector;
    ///
    /// # fn connector() -> Result<RedisConnector, Box<dyn std::error::Error>> {
    /// let connector = RedisConnector::new("rediss://cache.internal:6380")?
    ///     .root_certificates_file("/etc/ssl/internal-ca.pem")?;
    /// # Ok(connector)
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RootsError`](crate::RootsError) when the file cannot be read or has no usable certificate in it.
    pub fn root_certificates_file(mut self, path: impl AsRef<Path>) -> Result<Self, RootsError> {
        self.tls = Some(tls::trusting_file(path.as_ref())?);
        Ok(self)
    }

    /// The TLS settings for `rediss://`: other roots, or a client certificate. By default the
    /// system's root certificates are trusted and no client certificate is sent.
    #[must_use]
    pub fn tls_config(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }
}

/// The TLS settings for the root certificates that a URL names.
pub(super) fn roots_of(endpoint: &Endpoint) -> Result<Option<Arc<ClientConfig>>, UrlError> {
    let Some(path) = &endpoint.root_certificates else {
        return Ok(None);
    };
    let config = tls::trusting_file(path.as_ref());
    config.map(Some).map_err(|error| {
        let mut problem = error.to_string();
        if let Some(cause) = error.source() {
            problem = format!("{problem}: {cause}");
        }
        UrlError::Roots { problem }
    })
}
