//! No caught panic is control flow: a program built with `panic = "abort"`, where a caught panic is the end of the
//! process, lives through everything that a pool can be asked where it cannot serve. The program is
//! `examples/aborting.rs`.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The program, built once: only it and its linking are new, what it depends on is there already.
fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["rustc", "--offline", "--message-format=json"])
            .args([
                "--manifest-path",
                concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
            ])
            .args(["--example", "aborting", "--", "-C", "panic=abort"])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let messages = String::from_utf8_lossy(&output.stdout);
        let (_, rest) = messages.rsplit_once("\"executable\":\"").unwrap();
        let (path, _) = rest.split_once('"').unwrap();
        // A place of its own: the same program with unwinding is built to the same.
        let own = PathBuf::from(path).with_file_name("aborting-by-test");
        std::fs::copy(path, &own).unwrap();
        own
    })
}

/// How the situation ended, line by line.
#[track_caller]
fn outcomes(situation: &str) -> Vec<String> {
    let output = Command::new(program()).arg(situation).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{told}{errors}", output.status);
    assert!(!errors.contains("panicked"), "{errors}");
    told.lines().map(ToOwned::to_owned).collect()
}

/// Those that do not say `expected`.
#[track_caller]
fn assert_all_say(situation: &str, expected: &str) {
    let outcomes = outcomes(situation);
    assert!(!outcomes.is_empty());
    for outcome in outcomes {
        assert!(outcome.contains(expected), "{outcome}");
    }
}

/// sqlx, deadpool and tokio's own timers panic there.
#[test]
fn a_get_outside_a_runtime_is_an_error() {
    assert_all_say("outside", "no tokio runtime");
}

/// A runtime built without `enable_time`, on which tokio's timers panic.
#[test]
fn a_get_on_a_runtime_without_timers_is_served_and_timed_out() {
    let outcomes = outcomes("timeless");
    let [own, shared, dial, none] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    for timed_out in [own, shared] {
        assert!(timed_out.contains("no connection within"), "{timed_out}");
    }
    for dialled in [dial, none] {
        assert!(dialled.contains("connect_timeout"), "{dialled}");
    }
}

/// Tokio's timers panic in whoever polls them after their runtime was shut down.
#[test]
fn a_get_that_waits_as_its_runtime_ends_is_told() {
    let outcomes = outcomes("ending");
    assert_eq!(outcomes.len(), 2);
    for outcome in outcomes {
        assert!(outcome.starts_with("pool unnamed: no "), "{outcome}");
    }
}

#[test]
fn a_mux_built_outside_a_runtime_is_an_error() {
    assert_all_say("mux-outside", "runtime is none");
}

#[test]
fn calls_on_a_runtime_without_timers_time_out() {
    assert_all_say("mux-timeless", "no reply within 20ms");
}

#[test]
fn a_thread_that_waits_in_vain_is_told() {
    assert_all_say("threads", "no connection within");
}
