//! TLS: rustls with the ring provider, and the system's roots by default.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::sync::{Arc, LazyLock};

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{AlertDescription, ClientConfig, Error, RootCertStore};

use crate::version::HttpVersion;
use crate::wire::Transport;

/// TLS settings with an identity.
///
/// Clones are the same profile. Two profiles differ even where their settings are alike, and share no connection: one that
/// is made anew, with a rotated certificate, leads to new connections, and those of the old one end as they idle. So a
/// profile is made once and kept, not made for each request.
///
/// ```
/// use cenote_http::{RouteOptions, TlsProfile};
/// # fn f(config: cenote_http::rustls::ClientConfig) {
/// let as_robot = TlsProfile::new(config);
/// let options = RouteOptions::new().tls(as_robot.clone());
/// # }
/// ```
#[derive(Clone)]
pub struct TlsProfile(Arc<Configs>);

/// The settings, with what each version of HTTP offers by ALPN.
struct Configs {
    any: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

impl TlsProfile {
    /// A profile with these settings. What they offer by ALPN is replaced by the [versions](crate::HttpVersion) of HTTP that
    /// a route may speak.
    pub fn new(config: ClientConfig) -> Self {
        let offering = |protocols: &[&[u8]]| {
            // Clones resume each other's sessions.
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Arc::new(config)
        };
        Self(Arc::new(Configs {
            any: offering(&[HTTP2, HTTP1]),
            http1: offering(&[HTTP1]),
            http2: offering(&[HTTP2]),
        }))
    }

    /// The profile that trusts the system's roots, and nobody where it has none: one for the process, for reading the
    /// roots takes milliseconds, and TLS sessions resume only within a profile.
    pub(crate) fn system() -> Self {
        static SYSTEM: LazyLock<TlsProfile> = LazyLock::new(|| {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("ring has the ciphers of TLS 1.2 and 1.3")
                .with_root_certificates(roots)
                .with_no_client_auth();
            TlsProfile::new(config)
        });
        SYSTEM.clone()
    }
}

impl PartialEq for TlsProfile {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for TlsProfile {}

impl Hash for TlsProfile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl fmt::Debug for TlsProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The settings may hold keys.
        f.write_str("TlsProfile(..)")
    }
}

/// What came of a handshake.
pub(crate) struct Encrypted {
    pub(crate) transport: Box<dyn Transport>,
    /// Whether both agreed on HTTP/2.
    pub(crate) is_http2: bool,
}

/// `name` is a DNS name, or an IP address, perhaps in brackets.
pub(crate) async fn handshake(
    socket: impl Transport,
    name: &str,
    profile: &TlsProfile,
    version: HttpVersion,
) -> io::Result<Encrypted> {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(bare.to_owned())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let config = match version {
        HttpVersion::Any => &profile.0.any,
        HttpVersion::Http1 => &profile.0.http1,
        HttpVersion::Http2 => &profile.0.http2,
    };
    let connector = TlsConnector::from(Arc::clone(config));
    let stream = connector.connect(name, socket).await?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
    Ok(Encrypted {
        transport: Box::new(stream),
        is_http2,
    })
}

/// Whether the server speaks nothing of what it was offered by ALPN.
pub(crate) fn is_without_protocol(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    matches!(
        cause,
        Some(Error::AlertReceived(
            AlertDescription::NoApplicationProtocol
        ))
    )
}

/// Whether another handshake would fail the same way: something is set wrong.
pub(crate) fn is_final(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    let is_rejected = matches!(
        cause,
        Some(
            Error::InvalidCertificate(_)
                | Error::InvalidMessage(_)
                | Error::NoCertificatesPresented
                | Error::AlertReceived(_)
                | Error::PeerIncompatible(_)
        )
    );
    is_rejected || error.kind() == io::ErrorKind::InvalidInput
}
