//! TLS for servers that have none: an authority of the test's own, and a front that speaks TLS with a
//! certificate of that authority and passes all on to a server behind it.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// An authority that nobody trusts by himself.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// How a client asks for TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// By beginning to speak it.
    AtOnce,
    /// By PostgreSQL's SSLRequest, which is answered with `S`.
    OnRequest,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are valid");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Its certificate, as PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server with a certificate of this authority for `name`, in front of the one at `behind`.
    pub fn front(&self, name: &str, start: Start, behind: SocketAddr) -> Front {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a valid name");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("default versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .expect("the key is the certificate's");
        let runtime = Runtime::new().expect("threads");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        runtime.spawn(accept(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            start,
            behind,
        ));
        Front {
            port,
            _runtime: runtime,
        }
    }
}

/// It ends when dropped.
pub struct Front {
    pub port: u16,
    _runtime: Runtime,
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, start: Start, behind: SocketAddr) {
    while let Ok((mut socket, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if start == Start::OnRequest {
                const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
                let mut request = [0; 8];
                socket.read_exact(&mut request).await?;
                // In clear nothing is passed on.
                if request != SSL_REQUEST {
                    return Ok((0, 0));
                }
                socket.write_all(b"S").await?;
            }
            let mut outside = acceptor.accept(socket).await?;
            let mut inside = TcpStream::connect(behind).await?;
            tokio::io::copy_bidirectional(&mut outside, &mut inside).await
        });
    }
}
