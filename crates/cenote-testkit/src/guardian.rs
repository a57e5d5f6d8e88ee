//! Ends a server whose test's process is gone without having dropped it: killed, aborted, or with
//! the server in a `static`. And it cleans up, whichever way a server ended.
//!
//! A shell waits at the end of a pipe that only the test's process holds open. What comes through
//! the pipe is the process id of the server as it runs now (`0`: it is down); the end of the pipe
//! means that the server was dropped or that the test's process is gone. Either way the shell then
//! frees what the server has left and removes its folder. Nothing is looked up by name.

use crate::error::ServerError;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

// The server is frozen first, so that it forks no more while its children are listed. `rm` is
// tried again because a process may still be writing while it dies.
const SCRIPT: &str = r#"
folder=$1 free=$2 server=0
while read -r line; do server=$line; done
if [ "$server" -gt 1 ]; then
    kill -STOP "$server"
    for stat in /proc/[0-9]*/stat; do
        { read -r line <"$stat"; } || continue
        set -- ${line##*) }
        if [ "$2" = "$server" ]; then
            child=${stat#/proc/}
            kill -KILL "${child%/stat}"
        fi
    done
    kill -KILL "$server"
fi
cd "$folder" && eval "$free"
cd /
for _ in 1 2 3 4 5; do rm -rf -- "$folder" && break; sleep 0.2; done
"#;

/// The shell that waits, and the pipe's end that keeps it waiting.
#[derive(Debug)]
pub(crate) struct Guardian {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Guardian {
    /// Starts guarding `folder`, which it removes at the end, after having run the shell command
    /// `free` in it.
    pub(crate) fn watch(folder: &Path, free: &'static str) -> Result<Self, ServerError> {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "guardian"])
            .arg(folder)
            .arg(free)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // The terminal's Ctrl-C goes to the test; the guardian outlives it.
            .process_group(0)
            .current_dir("/")
            .spawn()
            .map_err(ServerError::system("start `sh` to guard the server"))?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe })
    }

    /// Tells which process to end when the test's process is gone; 0 for none.
    pub(crate) fn guards(&mut self, server: u32) {
        if let Some(pipe) = &mut self.pipe {
            // A guardian that someone killed guards nothing: the server still ends at its drop.
            let _ = writeln!(pipe, "{server}");
        }
    }
}

impl Drop for Guardian {
    /// The end of the pipe lets the shell clean up and end.
    fn drop(&mut self) {
        self.pipe = None;
        let _ = self.shell.wait();
    }
}
