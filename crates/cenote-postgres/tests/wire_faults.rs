//! Whatever breaks on the wire to PostgreSQL: nobody reads another's reply, service resumes, no slot is lost,
//! dials are paced and nothing spins.

#[path = "wire/faults.rs"]
mod faults;
mod wire;

use std::net::SocketAddr;
use std::sync::OnceLock;

use cenote::error::BoxError;
use cenote_postgres::{PgConnection, PostgresConnector};
use cenote_testkit::PostgresServer;
use wire::load::Echo;

impl Echo for PostgresConnector {
    async fn echo(conn: &mut PgConnection, tag: &str) -> Result<String, BoxError> {
        let sql = "SELECT $1::text";
        let row = if tag.len().is_multiple_of(2) {
            conn.query_one(sql, &[&tag]).await?
        } else {
            conn.query_one_cached(sql, &[&tag]).await?
        };
        Ok(row.get(0))
    }
}

fn server() -> SocketAddr {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    let start = || PostgresServer::start().expect("PostgreSQL starts");
    SERVER.get_or_init(start).addr()
}

fn connector(proxy: SocketAddr) -> PostgresConnector {
    let url = format!("postgres://postgres@{proxy}/postgres");
    PostgresConnector::new(&url).expect("the URL is valid")
}
