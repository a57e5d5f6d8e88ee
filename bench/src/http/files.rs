//! How many files, and so sockets, this process may have open.

use std::io;

use rustix::process::{Resource, getrlimit, setrlimit};

/// As many as the system lets it: common is a first limit of 1,024, and the rivals open more connections than that.
pub fn allow_many() -> io::Result<()> {
    let mut limits = getrlimit(Resource::Nofile);
    limits.current = limits.maximum;
    Ok(setrlimit(Resource::Nofile, limits)?)
}
