//! `rediss://`: the same connection over TLS, with the same promises.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use cenote::endpoints::Discover;
use cenote::error::with_causes;
use cenote::{Connect, Dial, FailureKind, Pool};
use cenote_redis::rustls::crypto::ring;
use cenote_redis::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use cenote_redis::rustls::{ClientConfig, RootCertStore, ServerConfig};
use cenote_redis::{
    Cmd, DialStep, PipelinedConnector, RedisConnector, RedisError, RootsError, Sentinels,
};
use cenote_testkit::{RedisServer, SentinelServer};
use fake::{ends, poll_at_most, until};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A Redis server behind TLS.
struct TlsRedis {
    tls: Tls,
    server: RedisServer,
}

/// What speaks TLS before a server, with a certificate of its own for `localhost`.
struct Tls {
    port: u16,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl Tls {
    async fn before(plain_port: u16) -> Self {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = own.cert.der().clone();
        let pem = own.cert.pem();
        let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut outside = acceptor.accept(socket).await?;
                    let mut inside = TcpStream::connect(("127.0.0.1", plain_port)).await?;
                    tokio::io::copy_bidirectional(&mut outside, &mut inside).await
                });
            }
        });
        Self {
            port,
            certificate,
            pem,
        }
    }

    fn url(&self) -> String {
        format!("rediss://localhost:{}", self.port)
    }
}

impl TlsRedis {
    async fn start() -> Self {
        let server = RedisServer::start().unwrap();
        let tls = Tls::before(server.port()).await;
        Self { tls, server }
    }

    fn url(&self) -> String {
        self.tls.url()
    }

    /// A connector that trusts this server and no other.
    fn connector(&self) -> RedisConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.tls.certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = RedisConnector::new(&self.url()).unwrap();
        connector.tls_config(Arc::new(config))
    }
}

fn echo(text: &str) -> Cmd {
    Cmd::new("ECHO").arg(text)
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_is_named() {
    let server = TlsRedis::start().await;
    let connector = RedisConnector::new(&server.url()).unwrap();
    let error = ends("the error", connector.connect(&Dial::new()))
        .await
        .unwrap_err();
    let text = format!("TLS handshake with {} failed", server.url());
    assert_eq!(error.to_string(), text);
    // On a system without any roots, that is what the error says.
    let cause = error.source().unwrap().to_string();
    assert!(cause.contains("certificate"), "{cause}");
    assert_eq!(connector.classify(&error), FailureKind::Final);
}

/// A private authority, as inside a company: trusted by its certificate, without a configuration of rustls.
#[tokio::test]
async fn a_private_root_certificate_is_trusted_from_memory_and_from_a_file() {
    let server = TlsRedis::start().await;
    let connector = RedisConnector::new(&server.url()).unwrap();
    let trusting = connector
        .clone()
        .root_certificates(server.tls.pem.as_bytes());
    let conn = trusting.unwrap().connect(&Dial::new()).await;
    conn.unwrap().command(&Cmd::new("PING")).await.unwrap();

    let path = server.server.folder().join("ca.pem");
    std::fs::write(&path, &server.tls.pem).unwrap();
    let trusting = connector.clone().root_certificates_file(&path).unwrap();
    let shared = PipelinedConnector::from(trusting);
    shared.connect(&Dial::new()).await.unwrap();

    let none = connector.clone().root_certificates(b"nothing of the kind");
    assert!(matches!(none, Err(RootsError::None)));
    let half = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let half = connector.clone().root_certificates(half.as_bytes());
    assert!(matches!(half, Err(RootsError::Unusable(_))), "{half:?}");
    let gone = connector.root_certificates_file("/no/such/file.pem");
    let error = gone.unwrap_err();
    assert!(error.to_string().contains("/no/such/file.pem"), "{error}");
}

#[tokio::test]
async fn a_private_root_certificate_can_stand_in_the_url() {
    let server = TlsRedis::start().await;
    let path = server.server.folder().join("own ca.pem");
    std::fs::write(&path, &server.tls.pem).unwrap();
    let option = path.to_str().unwrap().replace(' ', "%20");
    let url = format!("{}?sslrootcert={option}", server.url());
    let connector = RedisConnector::new(&url).unwrap();
    connector.connect(&Dial::new()).await.unwrap();

    let gone = format!("{}?sslrootcert=/no/such/file.pem", server.url());
    let error = RedisConnector::new(&gone).unwrap_err().to_string();
    assert!(error.contains("/no/such/file.pem: No such file"), "{error}");
}

/// Half a command to one, half a greeting to the other: each may wait for the rest.
#[tokio::test]
async fn a_url_with_tls_for_a_server_without_is_named() {
    let server = RedisServer::start().unwrap();
    let url = format!("rediss://localhost:{}", server.port());
    let connector = RedisConnector::new(&url).unwrap();
    let pem = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let connector = connector.root_certificates(pem.cert.pem().as_bytes());
    let connector = connector.unwrap();
    let dial = Dial::within(Duration::from_secs(1));
    let error = ends("the error", connector.connect(&dial))
        .await
        .unwrap_err();
    let texts = with_causes(&error);
    assert!(texts.contains("redis:// URL"), "{texts}");
    assert!(texts.contains(&url), "{texts}");
}

/// What a real Redis says on its port for TLS to who does not speak it.
#[tokio::test]
async fn a_url_without_tls_for_a_real_port_with_tls_is_named() {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = RedisServer::start().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.folder().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let certificate = file("server.pem", own.cert.pem());
    let _server = RedisServer::builder()
        .setting("tls-port", port.to_string())
        .setting("tls-cert-file", &certificate)
        .setting(
            "tls-key-file",
            file("key.pem", own.signing_key.serialize_pem()),
        )
        .setting("tls-ca-cert-file", &certificate)
        .setting("tls-auth-clients", "no")
        .start()
        .unwrap();
    let plain = RedisConnector::new(&format!("redis://localhost:{port}")).unwrap();
    let error = ends("the error", plain.connect(&Dial::new()))
        .await
        .unwrap_err();
    let texts = with_causes(&error);
    assert!(texts.contains("rediss:// URL"), "{texts}");

    let encrypted = RedisConnector::new(&format!("rediss://localhost:{port}"))
        .unwrap()
        .root_certificates_file(certificate)
        .unwrap();
    let mut conn = encrypted.connect(&Dial::new()).await.unwrap();
    conn.command(&Cmd::new("PING")).await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_answer_a_tls_handshake_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rediss://{}", listener.local_addr().unwrap());
    let pem = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let connector = RedisConnector::new(&url).unwrap();
    let connector = connector.root_certificates(pem.cert.pem().as_bytes());
    let dial = Dial::within(Duration::from_millis(200));
    let connected = connector.unwrap();
    let connected = ends("the dial", connected.connect(&dial)).await;
    let Err(RedisError::NoAnswer { step, .. }) = connected else {
        panic!("{connected:?}");
    };
    assert_eq!(step, DialStep::Tls);
}

#[tokio::test]
async fn a_url_without_tls_for_a_server_with_tls_is_named() {
    let server = TlsRedis::start().await;
    let url = server.url().replace("rediss", "redis");
    let connector = RedisConnector::new(&url).unwrap();
    let error = ends("the error", connector.connect(&Dial::new()))
        .await
        .unwrap_err();
    let cause = error.source().unwrap().to_string();
    assert!(
        cause.contains("the server wants a rediss:// URL"),
        "{cause}"
    );
}

#[tokio::test]
async fn a_large_pipeline_goes_through() {
    let server = TlsRedis::start().await;
    let mut conn = server.connector().connect(&Dial::new()).await.unwrap();
    let text = "x".repeat(1 << 20);
    let cmds: Vec<Cmd> = (0..16).map(|_| echo(&text)).collect();
    let replies = ends("the pipeline", conn.pipeline(&cmds)).await.unwrap();
    assert_eq!(replies.len(), 16);
    assert!(replies.iter().all(Result::is_ok));
}

/// redis-py #2665, over TLS; and idle TLS connections are not taken for closed ones.
#[tokio::test]
async fn a_lease_dropped_at_any_poll_never_shows_its_reply_to_the_next() {
    let server = TlsRedis::start().await;
    let pool = Pool::builder(server.connector())
        .max_size(1)
        .build()
        .unwrap();
    for polls in 0.. {
        let mut lease = pool.get().await.unwrap();
        let finished = poll_at_most(polls, lease.command(&echo("private"))).await;
        drop(lease);
        let mut lease = ends("the next lease", pool.get()).await.unwrap();
        assert_eq!(lease.query::<String>(&echo("mine")).await.unwrap(), "mine");
        if finished.is_some() {
            break;
        }
    }
    assert_eq!(pool.counters().opened, 1);
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_not_open() {
    let server = TlsRedis::start().await;
    let connector = server.connector();
    let mut idle = connector.connect(&Dial::new()).await.unwrap();
    let id: i64 = idle.query(&Cmd::new("CLIENT").arg("ID")).await.unwrap();
    let mut other = connector.connect(&Dial::new()).await.unwrap();
    let kill = Cmd::new("CLIENT").arg("KILL").arg("ID").arg(id);
    other.command(&kill).await.unwrap();
    until("the end is noticed", || !connector.is_open(&idle)).await;
    assert!(connector.is_open(&other));
}

#[tokio::test]
async fn many_users_share_one_connection_over_tls() {
    let server = TlsRedis::start().await;
    let connector = PipelinedConnector::from(server.connector());
    let redis = connector.connect(&Dial::new()).await.unwrap();
    let mut users = tokio::task::JoinSet::new();
    for user in 0..50 {
        let redis = redis.clone();
        users.spawn(async move {
            for turn in 0..20 {
                let text = format!("{user}/{turn}");
                let reply: String = redis.query(&echo(&text)).await.unwrap();
                assert_eq!(reply, text);
            }
        });
    }
    ends("the users", users.join_all()).await;
}

/// The sentinels' TLS and login are the connector's that is given for them, and apart from the servers'.
#[tokio::test]
async fn sentinels_are_asked_over_tls() {
    let master = RedisServer::start().unwrap();
    let sentinel = SentinelServer::builder("orders", &master).start().unwrap();
    let tls = Tls::before(sentinel.port()).await;
    let connector = RedisConnector::new(&tls.url()).unwrap();
    let connector = connector.root_certificates(tls.pem.as_bytes()).unwrap();
    let sentinels = Sentinels::new(connector, "orders").unwrap();
    let mut source = sentinels.timeout(Duration::from_secs(60)).master();
    let set = ends("the answer", source.next()).await.unwrap().unwrap();
    assert_eq!(
        set.endpoints()[0].key.to_string(),
        master.addr().to_string()
    );
}
