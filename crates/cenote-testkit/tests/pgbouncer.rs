//! What a test may rely on from its PgBouncer.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cenote_testkit::{PgBouncerServer, PostgresServer};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

#[allow(dead_code, reason = "other tests need the rest")]
mod system;

fn answer(url: &str, statements: &[&str]) -> String {
    let mut psql = Command::new("psql");
    psql.args([
        "--no-psqlrc",
        "--no-password",
        "--no-align",
        "--tuples-only",
        url,
    ]);
    for statement in statements {
        psql.args(["-c", statement]);
    }
    let output = psql.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn what_its_clients_ask_the_server_behind_it_answers() {
    let server = PostgresServer::start().unwrap();
    let pooler = PgBouncerServer::start(server.addr()).unwrap();
    assert_eq!(
        answer(&pooler.url(), &["SHOW port"]),
        server.port().to_string()
    );
}

#[test]
fn settings_are_its_own_and_a_later_one_wins() {
    let server = PostgresServer::start().unwrap();
    let pooler = PgBouncerServer::builder()
        .setting("pool_mode", "session")
        .setting("admin_users", "postgres")
        .start(server.addr())
        .unwrap();
    let console = pooler
        .url()
        .replace("/postgres", "/pgbouncer")
        .replace("//pgbouncer", "//postgres");
    let settings = answer(&console, &["SHOW CONFIG"]);
    assert!(
        settings
            .lines()
            .any(|line| line.starts_with("pool_mode|session")),
        "{settings}"
    );
}

#[test]
fn killed_it_has_no_process_left_and_comes_back_on_the_same_port() {
    let server = PostgresServer::start().unwrap();
    let pooler = PgBouncerServer::start(server.addr()).unwrap();
    pooler.kill().unwrap();
    assert_eq!(system::processes_in(pooler.folder()), [] as [PathBuf; 0]);
    assert!(TcpStream::connect(pooler.addr()).is_err());
    pooler.restart().unwrap();
    assert_eq!(answer(&pooler.url(), &["SELECT 1"]), "1");
}

#[test]
fn dropped_it_leaves_nothing_behind() {
    let server = PostgresServer::start().unwrap();
    let pooler = PgBouncerServer::start(server.addr()).unwrap();
    let folder = pooler.folder().to_owned();
    drop(pooler);
    assert!(!folder.exists());
    assert_eq!(system::processes_in(&folder), [] as [PathBuf; 0]);
}
