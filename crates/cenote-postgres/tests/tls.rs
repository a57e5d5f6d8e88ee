//! TLS: encrypted when the server offers it, and only with a certificate that is trusted.

#![cfg(feature = "rustls")]

mod fixture;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use cenote::{Connect, Dial};
use cenote_postgres::{PgConnection, PostgresConnector, rustls};
use cenote_testkit::PostgresServer;
use fixture::{connector_to, eventually, text};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

const SQL: &str = "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

/// A server that offers TLS for 127.0.0.1, and its certificate.
async fn server() -> (PostgresServer, CertificateDer<'static>) {
    let server = PostgresServer::start().expect("PostgreSQL starts");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let plain = url(&server, "disable")
        .connect(&Dial::new())
        .await
        .expect("it connects");
    let folder = text(&plain, "SHOW data_directory").await;
    place(Path::new(&folder), "server.crt", &made.cert.pem());
    place(
        Path::new(&folder),
        "server.key",
        &made.signing_key.serialize_pem(),
    );
    plain
        .execute("ALTER SYSTEM SET ssl = on", &[])
        .await
        .expect("it runs");
    plain
        .execute("SELECT pg_reload_conf()", &[])
        .await
        .expect("it runs");
    let reloaded = async || text(&plain, "SHOW ssl").await == "on";
    eventually("the server offers TLS", reloaded).await;
    (server, made.cert.der().clone())
}

/// Writes a file that belongs to whoever the server runs as, and that only they read.
fn place(folder: &Path, name: &str, content: &str) {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("the file is written");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("it is made private");
    let owner = folder.metadata().expect("the folder is there");
    std::os::unix::fs::chown(&path, Some(owner.uid()), Some(owner.gid()))
        .expect("it is given over");
}

fn url(server: &PostgresServer, mode: &str) -> PostgresConnector {
    PostgresConnector::new(&format!("{}?sslmode={mode}", server.url())).expect("the URL is valid")
}

fn trusting(certificate: CertificateDer<'static>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("the certificate is valid");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("default versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

async fn encrypted(conn: &PgConnection) -> String {
    text(conn, SQL).await
}

#[tokio::test]
async fn a_trusted_server_is_spoken_to_encrypted() {
    let (server, certificate) = server().await;
    for connector in [url(&server, "require"), connector_to(&server)] {
        let connector = connector.tls_config(trusting(certificate.clone()));
        let conn = connector.connect(&Dial::new()).await.expect("it connects");
        assert_eq!(encrypted(&conn).await, "true");
    }
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_refused() {
    let (server, _) = server().await;
    let stranger = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("made");
    let connector = url(&server, "require").tls_config(trusting(stranger.cert.der().clone()));
    let error = connector
        .connect(&Dial::new())
        .await
        .map(drop)
        .expect_err("not trusted")
        .to_string();
    assert!(error.contains("invalid peer certificate"), "{error}");
    assert!(error.contains(&server.addr().to_string()), "{error}");
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_required() {
    let (_, certificate) = server().await;
    let plain = PostgresServer::start().expect("PostgreSQL starts");
    let connector = url(&plain, "require").tls_config(trusting(certificate));
    let error = connector
        .connect(&Dial::new())
        .await
        .map(drop)
        .expect_err("no TLS")
        .to_string();
    assert!(error.contains("server does not support TLS"), "{error}");
}
