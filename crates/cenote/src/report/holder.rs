//! Where in the program leases were taken that are out.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// A place in the program, and the leases taken there that are out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The call of `get`.
    pub call_site: &'static Location<'static>,
    /// How many leases.
    pub leases: usize,
    /// For how long the oldest of them has been out, to the turn of the pool's clock.
    pub longest: Duration,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            call_site,
            leases,
            longest,
        } = self;
        let (file, line) = (call_site.file(), call_site.line());
        write!(f, "{leases} at {file}:{line} for up to {longest:.1?}")
    }
}
