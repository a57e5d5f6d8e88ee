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

/// Writes a file that belongs to the account that the server runs as, and that only this reads.
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

/// Slim images have no root certificates; the same program on a desk has them. A password must not go in clear to a
/// server that offers TLS for that.
#[tokio::test]
async fn prefer_without_root_certificates_does_not_go_on_in_clear() {
    const NO_ROOTS: &str = "CENOTE_TEST_NO_ROOTS";
    if let Ok(url) = std::env::var(NO_ROOTS) {
        // This process has no roots: the parent said so before it began.
        let connector = PostgresConnector::new(&url).expect("the URL is valid");
        let refused = connector.connect(&Dial::new()).await.map(drop);
        let error = refused.expect_err("not trusted").to_string();
        assert!(error.contains("no root certificates"), "{error}");
        return;
    }
    let (server, _) = server().await;
    let program = std::env::current_exe().expect("this test's own program");
    let outcome = tokio::process::Command::new(program)
        .args([
            "--exact",
            "prefer_without_root_certificates_does_not_go_on_in_clear",
        ])
        .env(NO_ROOTS, server.url())
        .env("SSL_CERT_FILE", "/nonexistent")
        .env("SSL_CERT_DIR", "/nonexistent")
        .output()
        .await
        .expect("it runs");
    let said = String::from_utf8_lossy(&outcome.stdout);
    assert!(outcome.status.success(), "{said}");
}

#[tokio::test]
async fn prefer_goes_on_in_clear_with_a_server_that_has_no_tls() {
    let plain = PostgresServer::start().expect("PostgreSQL starts");
    let connector = url(&plain, "prefer");
    let conn = connector.connect(&Dial::new()).await.expect("it connects");
    assert_eq!(encrypted(&conn).await, "false");
}

/// A private authority, as libpq has it in the URL.
#[tokio::test]
async fn the_certificates_of_a_file_are_trusted_and_no_others() {
    let (server, _) = server().await;
    let plain = url(&server, "disable").connect(&Dial::new()).await;
    let data = text(&plain.expect("it connects"), "SHOW data_directory").await;
    // It is its own authority.
    let right = Path::new(&data).join("server.crt");
    let wrong = server.folder().join("stranger.pem");
    let stranger = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("made");
    std::fs::write(&wrong, stranger.cert.pem()).expect("the file is written");
    let connector = |file: &Path| {
        let url = format!(
            "{}?sslmode=verify-full&sslrootcert={}",
            server.url(),
            file.display()
        );
        PostgresConnector::new(&url).expect("the URL is valid")
    };
    let conn = connector(&right).connect(&Dial::new()).await;
    assert_eq!(encrypted(&conn.expect("it is trusted")).await, "true");
    let refused = connector(&wrong).connect(&Dial::new()).await.map(drop);
    let error = refused.expect_err("not trusted").to_string();
    assert!(error.contains("sslrootcert"), "{error}");
    let missing = format!("{}?sslrootcert=/nonexistent.pem", server.url());
    let error = PostgresConnector::new(&missing).expect_err("there is no such file");
    assert!(error.to_string().contains("/nonexistent.pem"), "{error}");
}
