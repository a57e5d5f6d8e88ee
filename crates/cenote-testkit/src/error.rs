//! What can go wrong with a test's server. Every message names the server or program and carries
//! the end of its own output, so that a failed test says why without a second run.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a server could not be started, or a fault could not be injected.
///
/// Its `Debug` form is its message with its cause: what a test's `unwrap` prints is meant to be read.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A program of the server is not installed.
    #[error(
        "`{program}` was found neither in PATH nor in {searched}: `apt-get install {package}` installs it"
    )]
    MissingProgram {
        /// The program that was looked for.
        program: &'static str,
        /// The Debian package that contains it.
        package: &'static str,
        /// Where it was looked for, beside `PATH`.
        searched: &'static str,
    },
    /// PostgreSQL and PgBouncer refuse to run as root, and no account was found to run them as.
    #[error(
        "PostgreSQL and PgBouncer do not run as root, and /etc/passwd has neither `postgres` nor `nobody` to run them as"
    )]
    NoAccount,
    /// A setting that the server would refuse, or that would not mean what it says.
    #[error("{setting} is {value}: {accepted}")]
    BadSetting {
        /// The builder's method.
        setting: &'static str,
        /// What was given.
        value: String,
        /// What would be accepted.
        accepted: &'static str,
    },
    /// The system refused something: a folder, a file, a process, a signal.
    #[error("cannot {action}")]
    System {
        /// What was being done.
        action: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The program that prepares a server's data, or changes them, failed.
    #[error("`{program}` failed ({status}):\n{output}")]
    Setup {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// What it printed.
        output: String,
    },
    /// The server ended before it accepted a connection.
    #[error(
        "{server} on port {port} ended before it was ready ({status}); its log ends with:\n{log}"
    )]
    Exited {
        /// Which server.
        server: &'static str,
        /// The port it was to listen on.
        port: u16,
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// The server runs but did not accept connections in time.
    #[error("{server} on port {port} was not ready after {waited:?}; its log ends with:\n{log}")]
    NotReady {
        /// Which server.
        server: &'static str,
        /// The port it was to listen on.
        port: u16,
        /// How long it was waited for.
        waited: Duration,
        /// The end of its log.
        log: String,
    },
    /// The server is down: it was killed before, or ended by itself.
    #[error("cannot {attempted} {server} on port {port}: it is not running")]
    NotRunning {
        /// Which server.
        server: &'static str,
        /// Its port.
        port: u16,
        /// What was attempted.
        attempted: &'static str,
    },
    /// The server's processes were killed, yet the system still lists some of them.
    #[error("{server} on port {port} still has {left} processes {waited:?} after it was killed")]
    StillRunning {
        /// Which server.
        server: &'static str,
        /// Its port.
        port: u16,
        /// How many processes are left.
        left: usize,
        /// How long they were waited for.
        waited: Duration,
    },
}

impl ServerError {
    /// Makes the `map_err` of a system call that was doing `action`.
    pub(crate) fn system(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::System { action, source }
    }
}

impl fmt::Debug for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        match self.source() {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_unwrap_prints_is_the_message_with_its_cause() {
        let cause = io::Error::other("no space left");
        let error = ServerError::system("make a temporary folder")(cause);
        assert_eq!(
            format!("{error:?}"),
            "cannot make a temporary folder: no space left"
        );
    }
}
