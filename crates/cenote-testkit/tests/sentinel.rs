//! What a test may rely on from its Redis Sentinel.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cenote_testkit::{RedisServer, SentinelServer, ServerError};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

/// All that the sentinel says to these commands.
fn ask(sentinel: &SentinelServer, commands: &str) -> String {
    let mut client = TcpStream::connect(sentinel.addr()).unwrap();
    client.write_all(commands.as_bytes()).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut reply = String::new();
    client.read_to_string(&mut reply).unwrap();
    reply
}

const MASTER: &str = "SENTINEL GET-MASTER-ADDR-BY-NAME orders\r\n";

#[test]
fn a_sentinel_names_its_master_and_does_so_again_after_a_restart() {
    let master = RedisServer::start().unwrap();
    let sentinel = SentinelServer::builder("orders", &master).start().unwrap();
    let port = master.port().to_string();
    assert!(ask(&sentinel, MASTER).contains(&port));
    let identity = ask(&sentinel, "SENTINEL MYID\r\n");
    sentinel.restart().unwrap();
    assert!(ask(&sentinel, MASTER).contains(&port));
    assert_eq!(ask(&sentinel, "SENTINEL MYID\r\n"), identity);
}

#[test]
fn a_password_is_asked_for_and_is_part_of_the_url() {
    let master = RedisServer::start().unwrap();
    let builder = SentinelServer::builder("orders", &master).password("s3cret");
    let sentinel = builder.start().unwrap();
    assert_eq!(
        sentinel.url(),
        format!("redis://:s3cret@{}", sentinel.addr())
    );
    assert!(ask(&sentinel, MASTER).starts_with("-NOAUTH"));
    let reply = ask(&sentinel, &format!("AUTH s3cret\r\n{MASTER}"));
    assert!(reply.contains(&master.port().to_string()), "{reply}");
}

#[test]
fn a_setting_that_a_sentinel_refuses_is_an_error_with_its_log() {
    let master = RedisServer::start().unwrap();
    let builder = SentinelServer::builder("orders", &master).setting("sentinel no-such-setting 1");
    let error = builder.start().unwrap_err();
    assert!(matches!(error, ServerError::Exited { .. }), "{error}");
    assert!(error.to_string().contains("no-such-setting"), "{error}");
}
