//! TLS: who is trusted, by which name, what is offered, and which connections are whose.

use std::sync::Arc;
use std::sync::mpsc;

use cenote_http::rustls::crypto::ring;
use cenote_http::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use cenote_http::rustls::{ClientConfig, RootCertStore, ServerConfig};
use cenote_http::{Client, RouteOptions, TlsProfile};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::server::{Peer, ok};

/// A server of `localhost` with a certificate of an authority of its own. It answers with the name that it was asked for
/// by TLS, or under `/head` with what it heard, and tells what protocols each connection offered.
pub struct Secure {
    pub port: u16,
    authority: CertificateDer<'static>,
    offers: mpsc::Receiver<Vec<String>>,
}

impl Secure {
    pub async fn start() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = ["localhost", "other.example", "127.0.0.1"].map(str::to_owned);
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, offers) = mpsc::channel();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, tell) = (acceptor.clone(), tell.clone());
                tokio::spawn(async move {
                    let accepted = acceptor.accept(socket).await;
                    let Ok(stream) = accepted else { return };
                    let (_, session) = stream.get_ref();
                    let name = session.server_name().unwrap_or("nobody").to_owned();
                    let protocol = session.alpn_protocol().unwrap_or_default();
                    let protocol = String::from_utf8(protocol.to_vec()).unwrap();
                    tell.send(vec![protocol]).unwrap();
                    let mut peer = Peer::new(stream);
                    while let Some(request) = peer.request().await {
                        let said = match &*request.path {
                            "/head" => &request.head,
                            _ => &name,
                        };
                        peer.say(ok(said)).await;
                    }
                });
            }
        });
        Self {
            port,
            authority: authority.der().clone(),
            offers,
        }
    }

    /// Settings that trust its authority.
    pub fn trusted(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    pub fn client(&self) -> Client {
        Client::builder().tls(self.trusted()).build().unwrap()
    }

    pub fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/", self.port)
    }

    /// How many connections there were since this was asked last.
    pub fn connections(&self) -> usize {
        self.offers.try_iter().count()
    }
}

pub async fn get(client: &Client, url: &str, options: RouteOptions) -> String {
    let reply = client.get(url).route(options).send().await.unwrap();
    reply.text().await.unwrap()
}

#[tokio::test]
async fn a_server_that_is_trusted_is_asked_again_over_the_same_connection() {
    let server = Secure::start().await;
    let client = server.client();
    for _ in 0..5 {
        let name = get(&client, &server.url("localhost"), RouteOptions::new()).await;
        assert_eq!(name, "localhost");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_address_is_verified_as_an_address() {
    let server = Secure::start().await;
    let name = get(
        &server.client(),
        &server.url("127.0.0.1"),
        RouteOptions::new(),
    )
    .await;
    assert_eq!(name, "nobody", "an address is not told");
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_refused_with_the_reason_and_at_once() {
    let server = Secure::start().await;
    let client = Client::builder().build().unwrap();
    let error = client
        .get(server.url("localhost"))
        .send()
        .await
        .unwrap_err();
    assert!(!error.is_timeout());
    let text = error.to_string();
    assert!(
        text.contains(&format!("https://localhost:{}", server.port)),
        "{text}"
    );
    assert!(text.contains("handshake with localhost failed"), "{text}");
    assert_eq!(text.matches("UnknownIssuer").count(), 1, "{text}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let server = Secure::start().await;
    let here = cenote::net::Host::new("127.0.0.1", server.port);
    let request = server.client().get("https://wrong.example/");
    let request = request.route(RouteOptions::new().connect_to(here));
    let error = request.send().await.unwrap_err();
    assert!(error.to_string().contains("wrong.example"), "{error}");
}

/// Else a server could agree to what is not spoken.
#[tokio::test]
async fn what_the_settings_offer_by_alpn_is_replaced_by_what_is_spoken() {
    let server = Secure::start().await;
    let mut config = server.trusted();
    config.alpn_protocols = vec![b"spdy/3".to_vec()];
    let client = Client::builder().tls(config).build().unwrap();
    get(&client, &server.url("localhost"), RouteOptions::new()).await;
    assert_eq!(server.offers.try_recv().unwrap(), ["http/1.1"]);
}

/// aiohttp#12835, requests#5220: the name that is verified is part of who one talks to.
#[tokio::test]
async fn requests_that_verify_another_name_share_no_connection() {
    let server = Secure::start().await;
    let client = server.client();
    let url = server.url("localhost");
    for _ in 0..3 {
        let name = get(&client, &url, RouteOptions::new()).await;
        assert_eq!(name, "localhost");
        let other = RouteOptions::new().server_name("other.example");
        assert_eq!(get(&client, &url, other).await, "other.example");
    }
    assert_eq!(server.connections(), 2);
}

/// requests#5220: a certificate of the same name with other content is another identity.
#[tokio::test]
async fn requests_with_another_tls_profile_share_no_connection() {
    let server = Secure::start().await;
    let client = server.client();
    let url = server.url("localhost");
    let profiles = [0, 1].map(|_| TlsProfile::new(server.trusted()));
    for _ in 0..3 {
        get(&client, &url, RouteOptions::new()).await;
        for profile in &profiles {
            get(&client, &url, RouteOptions::new().tls(profile.clone())).await;
        }
    }
    assert_eq!(server.connections(), 3);
}

/// lua-resty-http#202: plain and encrypted to one host and port are never mixed up.
#[tokio::test]
async fn a_server_with_tls_is_not_spoken_to_without() {
    let server = Secure::start().await;
    let client = server.client();
    get(&client, &server.url("localhost"), RouteOptions::new()).await;
    let plain = format!("http://localhost:{}/", server.port);
    assert!(client.get(plain).send().await.is_err());
    assert_eq!(server.connections(), 1);
}

/// The tickets that a server of TLS 1.3 sends after the handshake are nothing that it says unasked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_connection_is_not_taken_for_one_that_ended() {
    let server = Secure::start().await;
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (client, url) = (server.client(), server.url("localhost"));
        callers.spawn(async move {
            for _ in 0..3 {
                get(&client, &url, RouteOptions::new()).await;
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    assert_eq!(server.connections(), 50);
}
