//! What a test may rely on from its Redis server.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cenote_testkit::{RedisServer, ServerError};
use std::io::{ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread;

#[allow(dead_code, reason = "other tests need the rest")]
mod system;

fn client(server: &RedisServer) -> TcpStream {
    TcpStream::connect(server.addr()).unwrap()
}

/// Sends one command and reads what comes back at first: `""` when the connection is closed.
fn ask(client: &mut TcpStream, command: &str) -> Result<String> {
    client.write_all(format!("{command}\r\n").as_bytes())?;
    let mut reply = [0; 256];
    let length = client.read(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply[..length]).into_owned())
}

#[test]
fn a_started_server_answers_at_once() {
    let server = RedisServer::start().unwrap();
    assert_eq!(ask(&mut client(&server), "PING").unwrap(), "+PONG\r\n");
}

#[test]
fn a_killed_server_has_closed_its_connections() {
    let server = RedisServer::start().unwrap();
    let mut client = client(&server);
    server.kill().unwrap();
    let answer = ask(&mut client, "PING");
    assert!(
        answer.as_ref().is_ok_and(String::is_empty) || answer.is_err(),
        "{answer:?}"
    );
}

#[test]
fn a_killed_server_refuses_new_connections() {
    let server = RedisServer::start().unwrap();
    server.kill().unwrap();
    let refused = TcpStream::connect(server.addr()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn what_was_written_before_a_kill_is_there_after_a_restart_on_the_same_port() {
    let server = RedisServer::start().unwrap();
    let port = server.port();
    ask(&mut client(&server), "SET key kept").unwrap();
    server.kill().unwrap();
    server.restart().unwrap();
    assert_eq!(
        ask(&mut client(&server), "GET key").unwrap(),
        "$4\r\nkept\r\n"
    );
    assert_eq!(server.port(), port);
}

#[test]
fn a_running_server_is_restarted_in_good_order() {
    let server = RedisServer::start().unwrap();
    ask(&mut client(&server), "SET key kept").unwrap();
    server.restart().unwrap();
    assert_eq!(
        ask(&mut client(&server), "GET key").unwrap(),
        "$4\r\nkept\r\n"
    );
    assert!(
        server.log().contains("scheduling shutdown"),
        "{}",
        server.log()
    );
}

#[test]
fn a_stopped_server_accepts_but_answers_only_when_continued() {
    let server = RedisServer::start().unwrap();
    server.stop().unwrap();
    let mut client = client(&server);
    client.write_all(b"PING\r\n").unwrap();
    client.set_nonblocking(true).unwrap();
    let silent = client.read(&mut [0; 7]).unwrap_err();
    assert_eq!(silent.kind(), ErrorKind::WouldBlock);
    client.set_nonblocking(false).unwrap();
    server.cont().unwrap();
    let mut reply = [0; 7];
    client.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"+PONG\r\n");
}

#[test]
fn a_stopped_server_can_be_killed() {
    let server = RedisServer::start().unwrap();
    server.stop().unwrap();
    server.kill().unwrap();
    assert_eq!(system::processes_in(server.folder()), [] as [PathBuf; 0]);
}

#[test]
fn a_stopped_server_can_be_restarted() {
    let server = RedisServer::start().unwrap();
    server.stop().unwrap();
    server.restart().unwrap();
    assert_eq!(ask(&mut client(&server), "PING").unwrap(), "+PONG\r\n");
}

#[test]
fn a_killed_server_can_be_killed_again_without_effect() {
    let server = RedisServer::start().unwrap();
    server.kill().unwrap();
    server.kill().unwrap();
}

#[test]
fn stopping_a_killed_server_says_that_it_is_not_running() {
    let server = RedisServer::start().unwrap();
    server.kill().unwrap();
    let port = server.port();
    let expected = format!("cannot stop Redis on port {port}: it is not running");
    assert_eq!(server.stop().unwrap_err().to_string(), expected);
}

#[test]
fn a_server_that_ended_by_itself_is_noticed() {
    let server = RedisServer::start().unwrap();
    ask(&mut client(&server), "SHUTDOWN NOSAVE").unwrap();
    system::until("the server has ended", || server.cont().is_err());
    server.restart().unwrap();
    assert_eq!(ask(&mut client(&server), "PING").unwrap(), "+PONG\r\n");
}

#[test]
fn a_password_is_asked_for_and_encoded_in_the_url() {
    let server = RedisServer::builder().password("a b/c").start().unwrap();
    let expected = format!("redis://:a%20b%2Fc@127.0.0.1:{}", server.port());
    assert_eq!(server.url(), expected);
    let mut client = client(&server);
    assert!(ask(&mut client, "PING").unwrap().starts_with("-NOAUTH"));
    assert_eq!(ask(&mut client, "AUTH \"a b/c\"").unwrap(), "+OK\r\n");
}

#[test]
fn a_server_with_a_password_is_restarted_too() {
    let server = RedisServer::builder().password("secret").start().unwrap();
    server.restart().unwrap();
    assert_eq!(ask(&mut client(&server), "AUTH secret").unwrap(), "+OK\r\n");
}

#[test]
fn the_client_limit_is_the_one_that_was_set() {
    let server = RedisServer::builder().max_clients(2).start().unwrap();
    let mut clients = [client(&server), client(&server), client(&server)];
    let answers = clients
        .each_mut()
        .map(|client| ask(client, "PING").unwrap());
    assert_eq!(answers[..2], ["+PONG\r\n", "+PONG\r\n"]);
    assert!(
        answers[2].contains("max number of clients"),
        "{}",
        answers[2]
    );
}

#[test]
fn a_setting_that_redis_refuses_is_named_with_its_log() {
    let error = RedisServer::builder()
        .setting("no-such-setting", "1")
        .start()
        .unwrap_err();
    assert!(matches!(error, ServerError::Exited { .. }), "{error}");
    assert!(error.to_string().contains("no-such-setting"), "{error}");
}

#[test]
fn a_drop_ends_the_server_and_removes_its_folder() {
    let server = RedisServer::start().unwrap();
    let folder = server.folder().to_owned();
    drop(server);
    assert!(!folder.exists());
    assert_eq!(system::processes_in(&folder), [] as [PathBuf; 0]);
}

#[test]
fn a_panic_ends_a_stopped_server_and_removes_its_folder() {
    let server = RedisServer::start().unwrap();
    let folder = server.folder().to_owned();
    let failing = thread::spawn(move || {
        server.stop().unwrap();
        panic!("as a failed assertion would");
    });
    failing.join().unwrap_err();
    assert!(!folder.exists());
    assert_eq!(system::processes_in(&folder), [] as [PathBuf; 0]);
}
