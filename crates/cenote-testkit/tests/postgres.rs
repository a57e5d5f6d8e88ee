//! What a test may rely on from its PostgreSQL server.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cenote_testkit::{PostgresServer, ServerError};
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

#[allow(dead_code, reason = "other tests need the rest")]
mod system;

fn psql(url: &str) -> Command {
    let mut command = Command::new("psql");
    command
        .args([
            "--no-psqlrc",
            "--no-password",
            "--no-align",
            "--tuples-only",
        ])
        .arg(url);
    command
}

/// Runs one statement on a connection of its own.
fn query(url: &str, statement: &str) -> Output {
    psql(url).args(["-c", statement]).output().unwrap()
}

fn answer(server: &PostgresServer, statement: &str) -> String {
    let output = query(&server.url(), statement);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A connection that stays, and has answered once.
fn connected(server: &PostgresServer) -> Child {
    let mut client = psql(&server.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    say(&mut client, "SELECT 'hello'");
    assert_eq!(hear(&mut client), "hello");
    client
}

fn say(client: &mut Child, statement: &str) {
    writeln!(client.stdin.as_mut().unwrap(), "{statement};").unwrap();
}

/// The next line that the client prints; `""` when it has ended.
fn hear(client: &mut Child) -> String {
    let mut line = String::new();
    BufReader::with_capacity(1, client.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    line.trim().to_owned()
}

#[test]
fn a_started_server_answers_at_once() {
    let server = PostgresServer::start().unwrap();
    assert_eq!(answer(&server, "SELECT 1"), "1");
}

#[test]
fn a_killed_server_has_no_process_left_and_refuses_new_connections() {
    let server = PostgresServer::start().unwrap();
    let mut client = connected(&server);
    server.kill().unwrap();
    assert_eq!(system::processes_in(server.folder()), [] as [PathBuf; 0]);
    let refused = TcpStream::connect(server.addr()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    drop(client.stdin.take());
    client.wait().unwrap();
}

#[test]
fn what_was_committed_before_a_kill_is_there_after_a_restart_on_the_same_port() {
    let server = PostgresServer::start().unwrap();
    let port = server.port();
    answer(&server, "CREATE TABLE kept AS SELECT 42 AS n");
    server.kill().unwrap();
    server.restart().unwrap();
    assert_eq!(answer(&server, "SELECT n FROM kept"), "42");
    assert_eq!(server.port(), port);
}

#[test]
fn a_running_server_is_restarted_in_good_order_under_its_clients() {
    let server = PostgresServer::start().unwrap();
    let mut client = connected(&server);
    server.restart().unwrap();
    let log = server.log();
    assert!(
        log.contains("terminating connection due to administrator command"),
        "{log}"
    );
    assert!(!log.contains("automatic recovery"), "{log}");
    assert_eq!(answer(&server, "SELECT 1"), "1");
    drop(client.stdin.take());
    client.wait().unwrap();
}

#[test]
fn a_stopped_server_freezes_the_connections_that_exist() {
    let server = PostgresServer::start().unwrap();
    let mut client = connected(&server);
    server.stop().unwrap();
    say(&mut client, "SELECT 'thawed'");
    let processes = system::processes_in(server.folder());
    assert!(processes.len() > 1, "{processes:?}");
    for process in processes {
        assert_eq!(system::state(&process), "T (stopped)");
    }
    server.cont().unwrap();
    assert_eq!(hear(&mut client), "thawed");
    drop(client.stdin.take());
    client.wait().unwrap();
}

#[test]
fn a_stopped_server_still_accepts_connections_and_serves_them_when_continued() {
    let server = PostgresServer::start().unwrap();
    server.stop().unwrap();
    let mut client = TcpStream::connect(server.addr()).unwrap();
    // A request for TLS: the server answers `N` for no.
    client.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
    client.set_nonblocking(true).unwrap();
    let silent = client.read(&mut [0]).unwrap_err();
    assert_eq!(silent.kind(), ErrorKind::WouldBlock);
    client.set_nonblocking(false).unwrap();
    server.cont().unwrap();
    let mut reply = [0];
    client.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"N");
}

#[test]
fn a_stopped_server_can_be_killed_and_restarted() {
    let server = PostgresServer::start().unwrap();
    server.stop().unwrap();
    server.kill().unwrap();
    server.restart().unwrap();
    server.stop().unwrap();
    server.restart().unwrap();
    assert_eq!(answer(&server, "SELECT 1"), "1");
}

#[test]
fn stopping_a_killed_server_says_that_it_is_not_running() {
    let server = PostgresServer::start().unwrap();
    server.kill().unwrap();
    let port = server.port();
    let expected = format!("cannot stop PostgreSQL on port {port}: it is not running");
    assert_eq!(server.stop().unwrap_err().to_string(), expected);
}

#[test]
fn a_password_is_asked_for_and_encoded_in_the_url() {
    let server = PostgresServer::builder().password("a b/c").start().unwrap();
    assert_eq!(answer(&server, "SELECT 1"), "1");
    let url = server.url();
    assert!(
        url.starts_with("postgres://postgres:a%20b%2Fc@127.0.0.1:"),
        "{url}"
    );
    let refused = query(&url.replace(":a%20b%2Fc", ""), "SELECT 1");
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("no password supplied"), "{told}");
}

#[test]
fn the_connection_limit_is_exact() {
    let server = PostgresServer::builder()
        .max_connections(2)
        .start()
        .unwrap();
    let clients = [connected(&server), connected(&server)];
    let refused = query(&server.url(), "SELECT 1");
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("too many clients already"), "{told}");
    for mut client in clients {
        drop(client.stdin.take());
        client.wait().unwrap();
    }
}

#[test]
fn any_setting_can_be_set() {
    let server = PostgresServer::builder()
        .setting("work_mem", "7MB")
        .start()
        .unwrap();
    assert_eq!(answer(&server, "SHOW work_mem"), "7MB");
}

#[test]
fn a_setting_that_postgres_refuses_is_named_with_its_log() {
    let error = PostgresServer::builder()
        .setting("no_such_setting", "1")
        .start()
        .unwrap_err();
    assert!(matches!(error, ServerError::Exited { .. }), "{error}");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[test]
fn a_drop_ends_the_server_and_removes_its_folder() {
    let server = PostgresServer::start().unwrap();
    let folder = server.folder().to_owned();
    drop(server);
    assert!(!folder.exists());
    assert_eq!(system::processes_in(&folder), [] as [PathBuf; 0]);
}

#[test]
fn a_panic_ends_a_stopped_server_and_removes_its_folder() {
    let server = PostgresServer::start().unwrap();
    let folder = server.folder().to_owned();
    let failing = thread::spawn(move || {
        server.stop().unwrap();
        panic!("as a failed assertion would");
    });
    failing.join().unwrap_err();
    assert!(!folder.exists());
    assert_eq!(system::processes_in(&folder), [] as [PathBuf; 0]);
}

/// The System V shared memory segment that the server's lock file names.
fn shared_memory(server: &PostgresServer) -> String {
    let lock = fs::read_to_string(server.folder().join("data/postmaster.pid")).unwrap();
    lock.lines()
        .nth(6)
        .unwrap()
        .split_whitespace()
        .last()
        .unwrap()
        .to_owned()
}

fn system_has_segment(id: &str) -> bool {
    let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap();
    segments
        .lines()
        .any(|line| line.split_whitespace().nth(1) == Some(id))
}

#[test]
fn a_killed_server_leaves_no_shared_memory_after_its_drop() {
    let server = PostgresServer::start().unwrap();
    let segment = shared_memory(&server);
    assert!(system_has_segment(&segment));
    server.kill().unwrap();
    drop(server);
    assert!(!system_has_segment(&segment));
}

/// Waits until the statement answers so.
fn await_answer(server: &PostgresServer, statement: &str, expected: &str) {
    let begun = std::time::Instant::now();
    while answer(server, statement) != expected {
        assert!(begun.elapsed().as_secs() < 60, "never: {statement}");
        thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_standby_follows_is_promoted_and_the_primary_of_before_follows_it() {
    let first = PostgresServer::builder().replicating().start().unwrap();
    answer(&first, "CREATE TABLE orders (id int)");
    let second = PostgresServer::standby_of(&first).unwrap();
    let third = PostgresServer::standby_of(&first).unwrap();
    answer(&first, "INSERT INTO orders VALUES (1)");
    for standby in [&second, &third] {
        await_answer(standby, "SELECT count(*) FROM orders", "1");
        assert_eq!(answer(standby, "SELECT pg_is_in_recovery()"), "t");
    }
    first.shut_down().unwrap();
    second.promote().unwrap();
    await_answer(&second, "SELECT pg_is_in_recovery()", "f");
    answer(&second, "INSERT INTO orders VALUES (2)");
    for standby in [&first, &third] {
        standby.follow(&second).unwrap();
        await_answer(standby, "SELECT count(*) FROM orders", "2");
    }
}

#[test]
fn a_server_that_is_not_replicating_has_no_standbys() {
    let server = PostgresServer::start().unwrap();
    let error = PostgresServer::standby_of(&server).unwrap_err();
    assert!(matches!(error, ServerError::Setup { .. }), "{error}");
    let error = server.promote().unwrap_err();
    assert!(matches!(error, ServerError::Setup { .. }), "{error}");
}
