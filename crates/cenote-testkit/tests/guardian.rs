//! What becomes of a server whose test never drops it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cenote_testkit::{PostgresServer, RedisServer};
use std::env;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

#[allow(dead_code, reason = "other tests need the rest")]
mod system;

const ROLE: &str = "CENOTE_TESTKIT_ROLE";

/// Not a test of its own: what the tests below run in a process of its own and then end.
#[test]
fn the_test_that_is_ended() {
    let folder = match env::var(ROLE).as_deref() {
        Ok("redis") => Box::leak(Box::new(RedisServer::start().unwrap())).folder(),
        Ok("postgres") => Box::leak(Box::new(PostgresServer::start().unwrap())).folder(),
        _ => return,
    };
    println!("folder={}", folder.display());
    stdout().flush().unwrap();
    stdin().read_line(&mut String::new()).unwrap();
}

fn run_as(role: &str) -> (Child, PathBuf) {
    let mut test = Command::new(env::current_exe().unwrap())
        .args(["--exact", "the_test_that_is_ended", "--nocapture"])
        .env(ROLE, role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let folder = BufReader::new(test.stdout.as_mut().unwrap())
        .lines()
        .find_map(|line| Some(PathBuf::from(line.unwrap().split_once("folder=")?.1)))
        .unwrap();
    assert!(!system::processes_in(&folder).is_empty());
    (test, folder)
}

fn is_gone(folder: &Path) -> bool {
    !folder.exists() && system::processes_in(folder).is_empty()
}

#[test]
fn a_redis_server_is_ended_when_its_test_is_killed() {
    let (mut test, folder) = run_as("redis");
    test.kill().unwrap();
    test.wait().unwrap();
    system::until("the server and its folder are gone", || is_gone(&folder));
}

#[test]
fn a_postgres_server_is_ended_when_its_test_is_killed() {
    let (mut test, folder) = run_as("postgres");
    test.kill().unwrap();
    test.wait().unwrap();
    system::until("the server and its folder are gone", || is_gone(&folder));
}

#[test]
fn a_server_that_is_never_dropped_ends_with_its_process() {
    let (mut test, folder) = run_as("redis");
    drop(test.stdin.take());
    assert!(test.wait().unwrap().success());
    system::until("the server and its folder are gone", || is_gone(&folder));
}
