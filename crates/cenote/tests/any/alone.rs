//! A test in a process of its own: where other tests must not have changed what belongs to the whole process, or must
//! not be on other threads of it.

use std::env;
use std::process::Command;

/// Set in such a process to the name of its test.
const NAME: &str = "CENOTE_TEST_ALONE";

/// Runs `body` in a new process of this binary, in which nothing else runs but the test `name`: the one that calls
/// this.
#[track_caller]
pub fn alone(name: &str, body: impl FnOnce()) {
    if env::var_os(NAME).is_some_and(|own| own == name) {
        return body();
    }
    let output = Command::new(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(NAME, name)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    // A name that is no test's passes too.
    let has_run = told.contains("test result: ok. 1 passed");
    assert!(
        output.status.success() && has_run,
        "{name}: {}\n{told}{errors}",
        output.status
    );
}
