//! What `cenote stress` shows after it measured.

mod program;

use program::{Finished, Server, fresh_path, program, run, stress};
use serde_json::Value;

fn json(arguments: &[&str]) -> Value {
    let finished = stress(&[&["--json", "-"], arguments].concat()).succeeded();
    serde_json::from_str(&finished.stdout).expect("the output is JSON")
}

#[test]
fn the_table_compares_the_modes_and_a_sentence_says_what_the_pool_was_worth() {
    let finished = stress(&[]).succeeded();
    for part in [
        "20 users on embedded server, TLS 1.3",
        "no pool",
        "exclusive pool of 10",
        "shared pool of 1",
        "requests/s",
        "wait   p50",
        "total  p99.9",
        "connections opened",
        "errors",
    ] {
        assert!(
            finished.stdout.contains(part),
            "{part:?} is not in: {}",
            finished.stdout
        );
    }
    // What it says depends on how fast the machine is.
    let last = finished.stdout.lines().last().expect("there is output");
    assert!(last.contains("pool") && last.ends_with('.'), "{last}");
}

#[test]
fn nothing_is_shown_on_stderr_that_is_no_terminal() {
    assert_eq!(stress(&[]).succeeded().stderr, "");
}

#[test]
fn one_connection_is_enough_for_a_pool_of_one_while_no_pool_opens_one_for_each_request() {
    let results = json(&["--pool-size", "1"]);
    let [no_pool, pool] = [&results["runs"][0], &results["runs"][1]];
    assert_eq!(
        (&no_pool["mode"], &pool["mode"]),
        (&"no_pool".into(), &"exclusive".into())
    );
    assert_eq!(pool["connections_opened"], 1);
    assert!(
        no_pool["connections_opened"].as_u64() >= no_pool["requests"].as_u64(),
        "{no_pool}"
    );
}

#[test]
fn the_json_has_all_that_was_measured() {
    let results = json(&[
        "--pool-size",
        "3",
        "--request-size",
        "1KiB",
        "--think-time",
        "1ms",
        "--tls",
        "off",
    ]);
    assert_eq!(results["schema"], 1);
    assert_eq!(results["target_kind"], "embedded");
    assert_eq!(results["users"], 20);
    assert_eq!(results["duration_s"], 0.4);
    assert_eq!(results["request_bytes"], 1024);
    assert_eq!(results["think_time_s"], 0.001);
    assert_eq!(results["interrupted"], false);
    assert!(results["verdict"].is_string());
    let pool = &results["runs"][1];
    assert_eq!(pool["pool_size"], 3);
    assert_eq!(pool["errors"], Value::Array(Vec::new()));
    for latency in ["wait_us", "total_us"] {
        let figures: Vec<f64> = ["p50", "p90", "p99", "p99_9", "max"]
            .map(|figure| pool[latency][figure].as_f64().expect(figure))
            .to_vec();
        assert!(figures.is_sorted(), "{latency}: {figures:?}");
    }
    let sample = pool["samples"]
        .as_array()
        .and_then(|samples| samples.last())
        .expect("there are samples");
    for key in [
        "at_s", "requests", "failed", "idle", "leased", "opening", "waiters",
    ] {
        assert!(sample[key].is_number(), "{key} is not in {sample}");
    }
}

#[test]
fn json_on_the_standard_output_is_alone_there() {
    let finished = stress(&["--json", "-"]).succeeded();
    assert!(
        serde_json::from_str::<Value>(&finished.stdout).is_ok(),
        "{}",
        finished.stdout
    );
    assert!(
        finished.stderr.contains("The pool was "),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_report_on_the_standard_output_is_alone_there() {
    let finished = stress(&["--report", "-"]).succeeded();
    let page = finished.stdout.trim();
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"),
        "{page}"
    );
    assert!(
        finished.stderr.contains("The pool was "),
        "{}",
        finished.stderr
    );
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_to_one_place_still_goes_to_the_others() {
    let path = fresh_path("rescued.html");
    let report = ["--report", path.to_str().expect("UTF-8")];
    let finished = stress(&[&["--json", "/dev/full"], &report[..]].concat());
    assert_eq!(finished.status, Some(1), "{finished:?}");
    assert!(finished.stdout.contains("The pool was "), "{finished:?}");
    assert!(
        finished
            .stderr
            .contains("error: cannot write --json to /dev/full"),
        "{finished:?}"
    );
    let page = std::fs::read_to_string(path).expect("it was written");
    assert!(page.ends_with("</html>"), "{page}");
}

#[cfg(unix)]
#[test]
fn too_few_permitted_files_are_warned_of_in_logs_too() {
    let limited = format!(
        "ulimit -n 64; exec {} stress --users 20 --duration 100ms",
        env!("CARGO_BIN_EXE_cenote")
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &limited])
        .output()
        .expect("sh starts");
    let stderr = String::from_utf8(output.stderr).expect("output is UTF-8");
    assert!(
        stderr.contains("warning: up to 140 open files are needed and 64 are permitted"),
        "{stderr}"
    );
}

#[test]
fn a_json_file_replaces_the_old_one() {
    let path = fresh_path("old.json");
    std::fs::write(&path, "x".repeat(1 << 20)).expect("it can be written");
    stress(&["--json", path.to_str().expect("UTF-8")]).succeeded();
    let text = std::fs::read_to_string(&path).expect("it can be read");
    assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
}

#[test]
fn mode_selects_what_runs() {
    let results = json(&["--mode", "exclusive"]);
    assert_eq!(results["runs"].as_array().map(Vec::len), Some(1));
    assert_eq!(results["runs"][0]["mode"], "exclusive");
}

#[test]
fn in_the_shared_mode_all_users_are_on_as_many_connections_as_were_asked_for() {
    for tls in ["on", "off"] {
        let modes = ["--mode", "shared", "--shared-connections", "2"];
        let results = json(&[&modes[..], &["--tls", tls]].concat());
        let shared = &results["runs"][0];
        assert_eq!(
            (&shared["mode"], &shared["pool_size"]),
            (&"shared".into(), &2.into())
        );
        assert_eq!(shared["connections_opened"], 2);
        assert_eq!(shared["errors"], Value::Array(Vec::new()));
        assert!(
            shared["total_us"].is_object(),
            "nothing was answered: {shared}"
        );
    }
}

#[test]
fn large_requests_on_a_shared_connection_come_back() {
    let size = ["--mode", "shared", "--request-size", "256KiB"];
    let results = json(&[&size[..], &["--acquire-timeout", "60s"]].concat());
    assert_eq!(results["runs"][0]["errors"], Value::Array(Vec::new()));
}

#[test]
fn a_shared_run_that_hangs_ends_all_the_same() {
    let server = Server::echo_then_hang(20);
    let results = json(&["--mode", "shared", &server.url()]);
    assert_eq!(results["runs"][0]["unfinished"], results["users"]);
}

#[test]
fn a_sweep_runs_the_pool_at_each_size() {
    let path = fresh_path("sweep.html");
    let finished =
        stress(&["--sweep", "1..5", "--report", path.to_str().expect("UTF-8")]).succeeded();
    let rows = finished
        .stdout
        .lines()
        .skip_while(|line| !line.starts_with("pool size"))
        .skip(2);
    let sizes: Vec<&str> = rows
        .map_while(|row| row.split_whitespace().next())
        .collect();
    assert_eq!(sizes, ["1", "2", "4", "5"]);
    let page = std::fs::read_to_string(path).expect("it can be read");
    assert!(page.contains("Which size?"));
}

#[test]
fn the_report_is_one_page_that_asks_the_network_for_nothing() {
    let path = fresh_path("report.html");
    stress(&["--report", path.to_str().expect("UTF-8")]).succeeded();
    let page = std::fs::read_to_string(path).expect("it can be read");
    for reference in [
        "http:",
        "https:",
        "//",
        "src=",
        "url(",
        "@import",
        "<script",
        "<link rel=\"stylesheet\"",
    ] {
        assert!(!page.contains(reference), "{reference:?} is in the report");
    }
    // Rate over time, two latencies, and two plots of the states of each mode.
    assert_eq!(page.matches("<svg").count(), 1 + 2 + 2 * 3);
    assert!(page.contains("prefers-color-scheme: dark"));
}

#[test]
fn an_echo_server_elsewhere_can_be_loaded() {
    let server = Server::echo();
    let results = json(&[&server.url()]);
    assert_eq!(results["target"], server.url());
    for run in 0..3 {
        assert!(results["runs"][run]["total_us"].is_object(), "{results}");
    }
}

#[test]
fn the_largest_requests_come_back() {
    let server = Server::echo();
    let load = [
        "stress",
        "--users",
        "1",
        "--duration",
        "1s",
        "--mode",
        "exclusive",
    ];
    let patience = [
        "--connect-timeout",
        "60s",
        "--request-size",
        "16MiB",
        "--json",
        "-",
    ];
    let finished = run(&[&load[..], &patience, &[&server.url()]].concat()).succeeded();
    let results: Value = serde_json::from_str(&finished.stdout).expect("the output is JSON");
    assert_eq!(results["runs"][0]["errors"], Value::Array(Vec::new()));
}

#[test]
fn users_that_give_up_waiting_are_counted_by_kind() {
    let finished = stress(&[
        "--pool-size",
        "1",
        "--service-time",
        "20ms",
        "--acquire-timeout",
        "5ms",
        "--mode",
        "exclusive",
    ]);
    let finished = finished.succeeded();
    assert!(
        finished.stdout.contains("  wait: timed out"),
        "{}",
        finished.stdout
    );
    assert!(
        finished
            .stdout
            .contains("wait: timed out, for example: pool stress: no connection within"),
        "{}",
        finished.stdout
    );
}

#[test]
fn requests_cut_off_at_the_end_are_counted() {
    let server = Server::echo_then_hang(20);
    let results = json(&["--mode", "exclusive", &server.url()]);
    assert_eq!(results["runs"][0]["unfinished"], results["users"]);
}

#[test]
fn connections_opened_in_place_of_those_cut_off_at_the_end_are_not_counted() {
    let server = Server::echo_then_hang(20);
    // Many, so that cutting them off takes longer than opening a connection.
    let load = ["stress", "--users", "5000", "--duration", "400ms"];
    let pool = ["--mode", "exclusive", "--pool-size", "1", "--json", "-"];
    let finished = run(&[&load[..], &pool, &[&server.url()]].concat()).succeeded();
    let results: Value = serde_json::from_str(&finished.stdout).expect("the output is JSON");
    assert_eq!(results["runs"][0]["connections_opened"], 1);
}

#[test]
fn help_teaches_by_examples() {
    let help = run(&["--help"]).succeeded().stdout;
    assert!(help.contains("cenote stress --sweep 1..64"), "{help}");
    let help = run(&["stress", "--help"]).succeeded().stdout;
    for part in [
        "Examples:",
        "[default: 1000]",
        "How it measures:",
        "Exit status:",
    ] {
        assert!(help.contains(part), "{part:?} is not in: {help}");
    }
}

/// Tried as a new user would: in half a window the table's lines broke, and no figure stood below its mode.
#[test]
fn the_table_is_readable_in_50_columns() {
    let arguments = ["stress", "--users", "20", "--duration", "300ms"];
    let sweep = ["--sweep", "1..4"];
    let mut command = program(&[&arguments[..], &sweep].concat());
    let output = command.env("COLUMNS", "50").output();
    let finished = Finished::from(output.expect("cenote starts")).succeeded();
    for line in finished.stdout.lines() {
        assert!(
            line.chars().count() <= 50,
            "{line:?} is in: {}",
            finished.stdout
        );
    }
    for block in [
        "no pool",
        "exclusive pool of",
        "shared pool of 1",
        "pool size 2",
    ] {
        let begin = finished
            .stdout
            .lines()
            .position(|line| line.starts_with(block));
        let mut block = finished.stdout.lines().skip(begin.expect(block)).skip(2);
        assert!(
            block
                .next()
                .is_some_and(|line| line.starts_with("requests/s")),
            "{}",
            finished.stdout
        );
    }
}

/// Tried as a new user would: at 100 columns and less, paragraphs broken by hand were broken once more.
#[test]
fn help_is_laid_out_for_the_width_at_hand() {
    for columns in [100, 80, 60, 50] {
        for arguments in [&["--help"][..], &["stress", "--help"], &["stress", "-h"]] {
            let mut command = program(arguments);
            let output = command.env("COLUMNS", columns.to_string()).output();
            let help = Finished::from(output.expect("cenote starts"))
                .succeeded()
                .stdout;
            for line in help.lines() {
                assert!(
                    line.chars().count() <= columns,
                    "{line:?} at {columns}: {help}"
                );
            }
            let notes = help.split_once("How it measures:\n");
            let notes = notes.and_then(|(_, notes)| notes.split_once("Environment:"));
            for paragraph in notes.map_or("", |(notes, _)| notes).split("\n\n") {
                for (line, next) in paragraph.lines().zip(paragraph.lines().skip(1)) {
                    let word = next.split_whitespace().next().unwrap_or_default();
                    let filled = line.chars().count() + 1 + word.chars().count() > columns;
                    assert!(filled, "{line:?} at {columns} is broken twice: {help}");
                }
            }
        }
    }
}
