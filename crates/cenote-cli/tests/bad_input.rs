//! What cannot work is refused at once, with a message that names it and, where something else would be
//! accepted, says what.

mod program;

use program::{Server, closed_port, fresh_path, run, stress};

const USAGE: i32 = 2;
const FAILED: i32 = 1;

#[test]
fn values_out_of_range_are_refused_with_what_is_accepted() {
    let cases: [(&[&str], &str, &str); 25] = [
        (&["--users", "0"], "--users", "from 1 to 100,000"),
        (&["--users", "many"], "--users", "a whole number"),
        (&["--users", "-1"], "--users", "from 1 to 100,000"),
        (&["--think-time", "-1s"], "--think-time", "such as 5s"),
        (&["--duration", "soon"], "--duration", ": write a number"),
        (&["--duration", "0s"], "--duration", "at least 1ms"),
        (&["--duration", "5"], "--duration", "such as 5s"),
        (&["--duration", "3days"], "--duration", "at most 24h"),
        (&["--pool-size", "0"], "--pool-size", "from 1 to 65,535"),
        (
            &["--request-size", "0"],
            "--request-size",
            "from 1 byte to 16MiB",
        ),
        (&["--request-size", "4 acres"], "--request-size", "4KiB"),
        (&["--request-size", "1GiB"], "--request-size", "up to 16MiB"),
        (
            &["--request-size", "1.5KiB"],
            "--request-size",
            "a whole number",
        ),
        (
            &["--acquire-timeout", "0s"],
            "--acquire-timeout",
            "at least 1ms",
        ),
        (
            &["--connect-timeout", "0s"],
            "--connect-timeout",
            "at least 1ms",
        ),
        (
            &["--mode", "shared,none"],
            "--mode",
            "no-pool, exclusive, shared",
        ),
        (
            &["--shared-connections", "0"],
            "--shared-connections",
            "from 1 to 65,535",
        ),
        (&["--tls", "maybe"], "--tls", "on, off"),
        (&["--servers", "0"], "--servers", "from 1 to 1,000"),
        (&["--servers", "1001"], "--servers", "from 1 to 1,000"),
        (&["--slow", "-1"], "--slow", "from 1 to 1,000"),
        (
            &["--slow", "1", "--slow-by", "0s"],
            "--slow-by",
            "at least 1ms",
        ),
        (
            &["--balance", "best"],
            "--balance",
            "p2c, peak-ewma, least-loaded, round-robin, random",
        ),
        (&["--chaos", "--seed", "me"], "--seed", "a whole number"),
        (
            &["--request-timeout", "0s"],
            "--request-timeout",
            "at least 1ms",
        ),
    ];
    for (arguments, option, accepted) in cases {
        run(&[&["stress"], arguments].concat()).refused(USAGE, &[option, accepted]);
    }
}

#[test]
fn a_bad_sweep_is_refused_with_one_that_would_work() {
    for sweep in ["64..1", "0..4", "1..", "..8", "-1..4", "none", "1..100000"] {
        run(&["stress", "--sweep", sweep]).refused(USAGE, &["--sweep", "such as 1..64"]);
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    run(&["stress", "--sweep", "1..4", "--pool-size", "4"])
        .refused(USAGE, &["--sweep", "--pool-size"]);
    run(&["stress", "--sweep", "1..4", "--mode", "no-pool"]).refused(USAGE, &["--sweep", "--mode"]);
    run(&["stress", "--pool-size", "4", "--mode", "no-pool"])
        .refused(USAGE, &["--pool-size", "--mode"]);
    run(&["stress", "--shared-connections", "2", "--mode", "exclusive"])
        .refused(USAGE, &["--shared-connections", "--mode"]);
    run(&["stress", "--tls", "on", "tcp://127.0.0.1:1"]).refused(USAGE, &["--tls", "embedded"]);
    run(&["stress", "--service-time", "1ms", "redis://127.0.0.1"])
        .refused(USAGE, &["--service-time", "embedded"]);
}

#[test]
fn options_for_several_servers_are_refused_where_they_mean_nothing() {
    let cases: [(&[&str], &[&str]); 10] = [
        (&["--servers", "2", "tcp://h:1"], &["--servers", "embedded"]),
        (&["--chaos", "tcp://a:1,b:2"], &["--chaos", "embedded"]),
        (&["--slow", "1", "redis://h"], &["--slow", "embedded"]),
        (
            &["--slow", "1"],
            &["--slow 1", "--servers", "--service-time"],
        ),
        (&["--slow-by", "1ms"], &["--slow <K>"]),
        (&["--seed", "1"], &["--chaos"]),
        (
            &["--servers", "2", "--slow", "3"],
            &["--slow 3", "--servers", "2"],
        ),
        (
            &["--balance", "p2c"],
            &["--balance", "--servers", "tcp://HOST:PORT,HOST:PORT"],
        ),
        // The hosts of a database are one server, looked for at each.
        (
            &["--balance", "random", "redis://a,b"],
            &["--balance", "several servers"],
        ),
        (
            &["--servers", "2", "--balance", "p2c", "--mode", "no-pool"],
            &["--balance", "--mode"],
        ),
    ];
    for (arguments, parts) in cases {
        run(&[&["stress"], arguments].concat()).refused(USAGE, parts);
    }
}

#[test]
fn a_server_that_is_named_twice_is_refused() {
    run(&["stress", "tcp://a:1,b:2,a:1"]).refused(USAGE, &["a:1 twice"]);
}

#[test]
fn a_service_of_which_no_server_answers_is_refused_with_what_each_says() {
    let places = [closed_port(), closed_port()].map(|port| format!("127.0.0.1:{port}"));
    let target = format!("tcp://{}", places.join(","));
    stress(&[&target]).refused(
        FAILED,
        &[&target, "none of its servers", &places[0], &places[1]],
    );
}

#[test]
fn results_that_would_overwrite_each_other_are_refused() {
    for (json, report) in [("-", "-"), ("a.out", "a.out"), ("a.out", "./a.out")] {
        run(&["stress", "--json", json, "--report", report])
            .refused(USAGE, &["--json", "--report", json]);
    }
}

#[test]
fn an_unknown_target_is_refused_with_those_that_are_known() {
    let refused = run(&["stress", "mysql://root:hunter2@127.0.0.1"]);
    let refused = refused.refused(
        USAGE,
        &[
            "`mysql`",
            "embedded",
            "tcp://HOST:PORT",
            "postgres://",
            "redis://",
        ],
    );
    assert!(!refused.stderr.contains("hunter2"), "{}", refused.stderr);
    run(&["stress", "localhost"]).refused(USAGE, &["this target", "tcp://HOST:PORT"]);
    run(&["stress", "tcp://127.0.0.1"]).refused(USAGE, &["tcp://127.0.0.1:7", "tcp://HOST:PORT"]);
}

#[test]
fn an_unreachable_target_is_named() {
    let target = format!("tcp://127.0.0.1:{}", closed_port());
    stress(&[&target]).refused(FAILED, &["error:", &target, "refused"]);
}

#[test]
fn unreachable_databases_are_named_without_their_passwords() {
    for scheme in ["postgres", "redis"] {
        let place = format!("127.0.0.1:{}", closed_port());
        let target = format!("{scheme}://app:hunter2@{place}/0");
        let refused = stress(&[&target]).refused(FAILED, &["error:", &place, "refused"]);
        assert!(!refused.stderr.contains("hunter2"), "{}", refused.stderr);
    }
}

#[test]
fn urls_that_the_driver_cannot_read_are_refused_without_their_passwords() {
    for target in [
        "postgres://app:hunter2@127.0.0.1:port/orders",
        "redis://app:hunter2@127.0.0.1:port",
    ] {
        let refused = stress(&[target]).refused(FAILED, &["error:", "port"]);
        assert!(!refused.stderr.contains("hunter2"), "{}", refused.stderr);
    }
}

#[test]
fn a_target_that_does_not_answer_is_given_up_after_the_connect_timeout() {
    let server = Server::hang();
    let refused = stress(&["--connect-timeout", "100ms", &server.url()]);
    refused.refused(
        FAILED,
        &[&server.url(), "one request took longer than 100ms"],
    );
}

#[test]
fn a_target_that_is_no_echo_server_is_found_out() {
    let server = Server::garble();
    stress(&[&server.url()]).refused(FAILED, &[&server.url(), "is this an echo server?"]);
}

#[test]
fn files_that_cannot_be_written_are_known_before_anything_runs() {
    let server = Server::hang();
    for option in ["--json", "--report"] {
        for path in ["/nonexistent/file", "/"] {
            // A run against this target would say something else.
            stress(&[option, path, &server.url()]).refused(FAILED, &["cannot write", option, path]);
        }
    }
}

#[test]
fn a_folder_that_is_missing_is_named() {
    stress(&["--report", "/nonexistent/folder/page.html"])
        .refused(FAILED, &["there is no folder /nonexistent/folder"]);
}

#[test]
fn a_run_that_fails_leaves_no_new_file_and_the_old_one_as_it_was() {
    let (new, old) = (fresh_path("new.json"), fresh_path("old.html"));
    std::fs::write(&old, "precious").expect("it can be written");
    let text = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let target = format!("tcp://127.0.0.1:{}", closed_port());
    stress(&["--json", &text(&new), "--report", &text(&old), &target]).refused(FAILED, &[&target]);
    assert!(!new.exists());
    assert_eq!(
        std::fs::read_to_string(&old).expect("it is there"),
        "precious"
    );
}
