//! Ctrl-C: the first ends the measuring and shows what there is, the second ends the program.

mod program;

use std::process::Child;
use std::time::Duration;

use program::{Finished, Server, fresh_path, interrupt, program, terminate};

const INTERRUPTED: Option<i32> = Some(130);

fn start(arguments: &[&str]) -> Child {
    let common = [
        "stress",
        "--users",
        "4",
        "--pool-size",
        "4",
        "--duration",
        "1h",
    ];
    program(&[&common, arguments].concat())
        .spawn()
        .expect("cenote starts")
}

fn finished(child: Child) -> Finished {
    Finished::from(child.wait_with_output().expect("it ends"))
}

#[test]
fn what_was_measured_until_then_is_shown() {
    let server = Server::echo();
    let path = fresh_path("interrupted.json");
    let child = start(&[
        "--mode",
        "exclusive",
        "--json",
        path.to_str().expect("UTF-8"),
        &server.url(),
    ]);
    server.wait_for(100);
    interrupt(&child);
    let finished = finished(child);
    assert_eq!(finished.status, INTERRUPTED, "{finished:?}");
    assert!(
        finished.stdout.contains("(ended early)")
            && finished.stdout.contains("exclusive pool of 4"),
        "{finished:?}"
    );
    let results: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).expect("it was written"))
            .expect("it is JSON");
    assert_eq!(results["interrupted"], true);
    assert!(
        results["runs"][0]["requests"].as_u64() > Some(0),
        "{results}"
    );
}

#[test]
fn so_it_is_when_the_system_asks_for_the_end() {
    let server = Server::echo();
    let child = start(&["--mode", "exclusive", &server.url()]);
    server.wait_for(100);
    terminate(&child);
    let finished = finished(child);
    assert_eq!(finished.status, INTERRUPTED, "{finished:?}");
    assert!(finished.stdout.contains("(ended early)"), "{finished:?}");
}

#[test]
fn modes_that_had_not_begun_are_left_out() {
    let server = Server::echo();
    let child = start(&["--json", "-", &server.url()]);
    server.wait_for(100);
    interrupt(&child);
    let results: serde_json::Value =
        serde_json::from_str(&finished(child).stdout).expect("it is JSON");
    assert_eq!(results["runs"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_second_one_ends_the_program_at_once_and_leaves_no_empty_file() {
    let server = Server::echo_then_hang(100);
    let path = fresh_path("quit.json");
    let json = ["--json", path.to_str().expect("UTF-8")];
    let mut child = start(&[&["--mode", "exclusive", &server.url()], &json[..]].concat());
    server.wait_for(100);
    while child.try_wait().expect("it can be asked").is_none() {
        interrupt(&child);
        std::thread::sleep(Duration::from_millis(10));
    }
    let finished = finished(child);
    assert_eq!(
        (finished.status, finished.stdout.as_str()),
        (INTERRUPTED, "")
    );
    assert!(!path.exists());
}
