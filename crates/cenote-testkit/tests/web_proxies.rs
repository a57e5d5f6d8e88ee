//! What a test may rely on from its tinyproxy and its Dante.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cenote_testkit::{DanteServer, NginxServer, ServerError, TinyproxyServer};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// All that comes in answer to this, until the end.
fn answer(addr: SocketAddr, said: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(said).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

fn request(origin: &NginxServer, fields: &str) -> String {
    let url = origin.url("/");
    format!(
        "GET {url} HTTP/1.0\r\nHost: {}\r\n{fields}\r\n",
        origin.addr()
    )
}

#[test]
fn tinyproxy_passes_requests_of_those_whom_it_knows_on_and_again_after_it_was_killed() {
    let origin = NginxServer::start("location / { return 200 'hello'; }").unwrap();
    let proxy = TinyproxyServer::start("BasicAuth anna secret").unwrap();
    let known = request(&origin, "Proxy-Authorization: Basic YW5uYTpzZWNyZXQ=\r\n");
    for _ in 0..2 {
        assert!(answer(proxy.addr(), known.as_bytes()).ends_with(b"hello"));
        let refused = answer(proxy.addr(), request(&origin, "").as_bytes());
        assert!(refused.starts_with(b"HTTP/1.0 407 "), "{refused:?}");
        proxy.kill().unwrap();
        assert!(TcpStream::connect(proxy.addr()).is_err());
        proxy.restart().unwrap();
    }
}

#[test]
fn settings_that_make_no_sense_are_refused_with_what_tinyproxy_says() {
    let error = TinyproxyServer::start("NoSuchSetting 1").unwrap_err();
    assert!(matches!(error, ServerError::Exited { .. }), "{error}");
    assert!(
        error.to_string().contains("Syntax error on line"),
        "{error}"
    );
}

#[test]
fn dante_leads_to_a_server_by_name_and_again_after_it_was_killed() {
    let origin = NginxServer::start("location / { return 200 'hello'; }").unwrap();
    let proxy = DanteServer::start().unwrap();
    let mut said = b"\x05\x01\0\x05\x01\0\x03\x09localhost".to_vec();
    said.extend(origin.port().to_be_bytes());
    said.extend(b"GET / HTTP/1.0\r\n\r\n");
    for _ in 0..2 {
        let answer = answer(proxy.addr(), &said);
        assert!(answer.starts_with(b"\x05\0\x05\0"), "{answer:?}");
        assert!(answer.ends_with(b"hello"), "{answer:?}");
        proxy.kill().unwrap();
        assert!(TcpStream::connect(proxy.addr()).is_err());
        proxy.restart().unwrap();
    }
}

#[test]
fn a_dante_that_runs_is_restarted() {
    let proxy = DanteServer::start().unwrap();
    for _ in 0..5 {
        proxy.restart().unwrap();
    }
    // It is offered no password, and wants none.
    let mut stream = TcpStream::connect(proxy.addr()).unwrap();
    stream.write_all(b"\x05\x01\0").unwrap();
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"\x05\0");
}

#[test]
fn proxies_that_are_dropped_leave_nothing_behind() {
    let tinyproxy = TinyproxyServer::start("").unwrap();
    let dante = DanteServer::start().unwrap();
    let addrs = [tinyproxy.addr(), dante.addr()];
    let folders = [tinyproxy.folder().to_owned(), dante.folder().to_owned()];
    drop((tinyproxy, dante));
    for (addr, folder) in addrs.into_iter().zip(folders) {
        assert!(TcpStream::connect(addr).is_err());
        assert!(!folder.exists(), "{}", folder.display());
    }
}
