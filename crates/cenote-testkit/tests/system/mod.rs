//! What the tests look at in the system: processes and conditions that come true.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The processes whose working directory is `folder` or below it, as all of a server's are.
pub fn processes_in(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let process = entry.unwrap().path();
            let cwd = fs::read_link(process.join("cwd")).ok()?;
            cwd.starts_with(folder).then_some(process)
        })
        .collect()
}

/// Waits until `holds`, and fails the test if it never does.
pub fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "still waiting until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The state of a process as its `status` file tells it, such as `T (stopped)`.
pub fn state(process: &Path) -> String {
    let status = fs::read_to_string(process.join("status")).unwrap();
    let state = status
        .lines()
        .find_map(|line| line.strip_prefix("State:"))
        .unwrap();
    state.trim().to_owned()
}
