//! What a test may rely on from its nginx.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cenote_testkit::{NginxServer, ServerError};
use std::io::{Read, Write};
use std::net::TcpStream;

fn asked(stream: &mut TcpStream) -> String {
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut reply = Vec::new();
    while !reply.ends_with(b"hello") {
        let mut bytes = [0; 1024];
        let length = stream.read(&mut bytes).unwrap();
        assert!(length > 0, "it ended: {reply:?}");
        reply.extend_from_slice(&bytes[..length]);
    }
    String::from_utf8(reply).unwrap()
}

#[test]
fn nginx_serves_its_site_and_again_after_it_was_killed() {
    let server = NginxServer::start("location / { return 200 'hello'; }").unwrap();
    let mut client = TcpStream::connect(server.addr()).unwrap();
    let reply = asked(&mut client);
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    assert!(reply.contains("Content-Type: text/plain\r\n"), "{reply}");
    server.kill().unwrap();
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
    assert!(TcpStream::connect(server.addr()).is_err());
    server.restart().unwrap();
    asked(&mut TcpStream::connect(server.addr()).unwrap());
}

/// What was idle is closed, what was asked is answered, and what connects then is served.
#[test]
fn an_nginx_that_is_reloaded_ends_idle_connections_and_goes_on() {
    let server = NginxServer::start("location / { return 200 'hello'; }").unwrap();
    let mut idle = TcpStream::connect(server.addr()).unwrap();
    asked(&mut idle);
    server.reload().unwrap();
    assert!(matches!(idle.read(&mut [0]), Ok(0) | Err(_)));
    asked(&mut TcpStream::connect(server.addr()).unwrap());
    server.kill().unwrap();
    let refused = server.reload();
    assert!(matches!(refused, Err(ServerError::NotRunning { .. })));
}

#[test]
fn an_nginx_for_http2_says_its_settings_first() {
    let server = NginxServer::start_http2("").unwrap();
    let mut client = TcpStream::connect(server.addr()).unwrap();
    client
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    let mut head = [0; 9];
    client.read_exact(&mut head).unwrap();
    assert_eq!(head[3], 4, "SETTINGS: {head:?}");
}

#[test]
fn a_site_that_makes_no_sense_is_refused_with_what_nginx_says() {
    let error = NginxServer::start("no_such_setting on;").unwrap_err();
    assert!(matches!(error, ServerError::Exited { .. }), "{error}");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[test]
fn an_nginx_that_is_dropped_leaves_nothing_behind() {
    let server = NginxServer::start("").unwrap();
    let (addr, folder) = (server.addr(), server.folder().to_owned());
    drop(server);
    assert!(TcpStream::connect(addr).is_err());
    assert!(!folder.exists());
}
