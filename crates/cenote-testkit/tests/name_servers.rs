//! What a test may rely on from its name servers.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cenote_testkit::{KnotServer, NsdServer};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;

#[allow(dead_code, reason = "other tests need the rest")]
mod system;

/// What the server answers, one record a line, in order.
fn answer(server: SocketAddr, name: &str, kind: &str) -> Vec<String> {
    let output = Command::new("kdig")
        .args(["+short", "+timeout=5", &format!("@{}", server.ip())])
        .args(["-p", &server.port().to_string(), name, kind])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn knot_answers_from_its_zone_and_a_change_is_seen_at_once() {
    let server = KnotServer::start("prod.test", "db 30 A 10.0.0.1").unwrap();
    assert_eq!(answer(server.addr(), "db.prod.test", "A"), ["10.0.0.1"]);
    let added = ["db 30 A 10.0.0.2", "_sql._tcp 30 SRV 1 2 5432 db"];
    server.change(&["db A 10.0.0.1"], &added).unwrap();
    assert_eq!(answer(server.addr(), "db.prod.test", "A"), ["10.0.0.2"]);
    let service = answer(server.addr(), "_sql._tcp.prod.test", "SRV");
    assert_eq!(service, ["1 2 5432 db.prod.test."]);
    server.change(&["db"], &[]).unwrap();
    assert_eq!(answer(server.addr(), "db.prod.test", "A"), [""; 0]);
}

#[test]
fn a_change_that_makes_no_sense_is_told_and_changes_nothing() {
    let server = KnotServer::start("prod.test", "db 30 A 10.0.0.1").unwrap();
    let error = server.change(&["db"], &["db 30 A here"]).unwrap_err();
    assert!(
        error.to_string().contains("zone-set db 30 A here"),
        "{error}"
    );
    assert_eq!(answer(server.addr(), "db.prod.test", "A"), ["10.0.0.1"]);
    server.change(&[], &["db 30 A 10.0.0.2"]).unwrap();
    let both = ["10.0.0.1", "10.0.0.2"];
    assert_eq!(answer(server.addr(), "db.prod.test", "A"), both);
}

#[test]
fn killed_knot_comes_back_on_the_same_port_with_what_was_changed() {
    let server = KnotServer::start("prod.test", "").unwrap();
    server.change(&[], &["db 30 A 10.0.0.1"]).unwrap();
    server.kill().unwrap();
    assert_eq!(system::processes_in(server.folder()), [] as [PathBuf; 0]);
    assert!(TcpStream::connect(server.addr()).is_err());
    server.restart().unwrap();
    assert_eq!(answer(server.addr(), "db.prod.test", "A"), ["10.0.0.1"]);
}

#[test]
fn nsd_answers_from_its_zone_and_comes_back_on_the_same_port() {
    let server = NsdServer::start("prod.test", "db 30 A 10.0.0.1").unwrap();
    assert_eq!(answer(server.addr(), "db.prod.test", "A"), ["10.0.0.1"]);
    server.restart().unwrap();
    assert_eq!(answer(server.addr(), "db.prod.test", "A"), ["10.0.0.1"]);
    server.kill().unwrap();
    assert!(TcpStream::connect(server.addr()).is_err());
}

#[test]
fn dropped_they_leave_nothing_behind() {
    let knot = KnotServer::start("prod.test", "").unwrap();
    let nsd = NsdServer::start("prod.test", "").unwrap();
    let folders = [knot.folder().to_owned(), nsd.folder().to_owned()];
    drop((knot, nsd));
    for folder in folders {
        assert!(!folder.exists());
        assert_eq!(system::processes_in(&folder), [] as [PathBuf; 0]);
    }
}
