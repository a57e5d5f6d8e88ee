//! Servers that say what they like: it is shown, but does not act on a terminal, and takes no more room than it
//! should.

mod program;

use std::fs;

use program::{Finished, Server, fresh_path, stress};

const FAILED: i32 = 1;

/// Sets a colour and the window's title, rings, and clears the screen, in seven and in eight bits.
const EVIL: &str = "\x1b[31m\x1b]0;pwned\x07\x1b[2J\u{9b}2J \u{202e}and so on";

fn is_fit_to_be_shown(text: &str) {
    let acts = |letter: &char| letter.is_control() && *letter != '\n' || *letter == '\u{202e}';
    assert_eq!(text.chars().find(acts), None, "{text:?}");
}

fn redis_error(code: &str) -> Vec<u8> {
    format!("-{code} {EVIL}{}\r\n", "x".repeat(60_000)).into_bytes()
}

fn postgres_error() -> Vec<u8> {
    let fields = format!("SFATAL\0C28000\0M{EVIL}{}\0\0", "x".repeat(20_000));
    let length = u32::try_from(fields.len() + 4).expect("it is short");
    [b"E", &length.to_be_bytes()[..], fields.as_bytes()].concat()
}

/// An audit saw the bytes of a server's error on the terminal, up to 60,111 of them.
#[test]
fn what_a_server_refuses_with_is_shown_without_control_characters_and_cut() {
    let redis = Server::start(|_, _| Some(redis_error("ERR")));
    let postgres = Server::start(|_, _| Some(postgres_error()));
    for target in [
        format!("redis://{}", redis.address),
        format!("postgres://{}?sslmode=disable", postgres.address),
    ] {
        let Finished { stderr, .. } = stress(&["--connect-timeout", "60s", &target]).refused(
            FAILED,
            &["\\u{1b}[31m\\u{1b}]0;pwned\\u{7}", "characters more)"],
        );
        is_fit_to_be_shown(&stderr);
        assert!(stderr.chars().count() < 600, "{stderr}");
    }
}

/// The same of errors that are counted by kind and shown with an example, everywhere where they are.
#[test]
fn what_a_server_says_while_it_is_measured_is_fit_for_terminal_json_and_page() {
    const TRIED: usize = 2;
    let server = Server::start(|bytes, answered| {
        let hello = bytes.windows(5).any(|word| word == b"HELLO");
        Some(match hello {
            true => b"%1\r\n$5\r\nproto\r\n:3\r\n".to_vec(),
            false if answered < TRIED => b"+OK\r\n".to_vec(),
            false if answered % 2 == 0 => redis_error("\x1b[31mCODE"),
            false => redis_error("OOPS"),
        })
    });
    let (json, page) = (fresh_path("peer.json"), fresh_path("peer.html"));
    let files = [("--json", &json), ("--report", &page)];
    let files = files.map(|(option, path)| [option, path.to_str().expect("UTF-8")]);
    let target = format!("redis://{}", server.address);
    let mode = ["--mode", "exclusive", "--acquire-timeout", "60s", &target];
    let finished = stress(&[&files.concat()[..], &mode].concat());
    let read = |path| fs::read_to_string(path).expect("it was written");
    let (json, page) = (read(&json), read(&page));
    for text in [&finished.stdout, &finished.stderr, &json, &page] {
        is_fit_to_be_shown(text);
        assert!(!text.contains(&"x".repeat(600)), "{text}");
    }
    for text in [&finished.stdout, &json, &page] {
        for kind in [
            "request: refused by the server (OOPS)",
            "request: refused by the server",
        ] {
            assert!(text.contains(kind), "{kind} is not in: {text}");
        }
    }
    let results: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    let example = results["runs"][0]["errors"][0]["example"].as_str();
    assert!(
        example.is_some_and(|text| text.contains("\\u{1b}[31m")),
        "{example:?}"
    );
}
