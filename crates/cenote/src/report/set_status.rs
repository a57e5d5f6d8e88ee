//! What the endpoints of a set look like from outside, now.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::EjectionCause;
use crate::endpoints::{DiscoveryStatus, EndpointId};
use crate::error::ConnectError;
use crate::plural::plural;

/// The endpoints of a pool over a [set](crate::Pool::balanced) at one moment. Under way, each number is right for some
/// moment of the call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SetStatus {
    /// How the discovery stands that tells the set.
    pub discovery: DiscoveryStatus,
    /// Whether so many endpoints are ejected that all which can be reached are used.
    pub is_in_panic: bool,
    /// Those in the set, and those that have left it and still have connections.
    pub endpoints: Vec<EndpointStatus>,
}

/// An endpoint of a set at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndpointStatus {
    /// What names it in its pool: for a lease there, [`Get::at`](crate::pool::Get::at).
    pub id: EndpointId,
    /// What its connector [says](crate::Connect::endpoint) it dials, else its key.
    pub name: Arc<str>,
    /// Whether it serves, and why not.
    pub condition: EndpointCondition,
    /// The part of the load that it is to get, from 0.0 to 1.0.
    pub share: f64,
    /// The part that it got: of all leases that began in the last minute, to within five seconds, those that began here, from
    /// 0.0 to 1.0. `None` if none began at any endpoint.
    pub share_of_last_minute: Option<f64>,
    /// How long its calls take, where they are [timed](crate::Lease::timed_outcome): the mean that
    /// [`Balance::PeakEwma`](crate::endpoints::Balance::PeakEwma) goes by, whichever rule chooses, as it was after the last
    /// call. A slower call raises it at once, one that failed counts as five seconds at least. `None` if no call was timed in
    /// the last minute, nor since the endpoint was down.
    pub latency: Option<Duration>,
    /// Leases out; where connections are shared, many on each.
    pub in_flight: usize,
    /// Connections that are open.
    pub connections: usize,
    /// Connections being opened.
    pub opening: usize,
    /// Why connecting to it fails, since the last dial that did not.
    pub connect_error: Option<ConnectError>,
}

/// Whether an endpoint of a set serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointCondition {
    /// It does.
    Up,
    /// It would where those of a lower priority number, or of any weight, did not suffice.
    Standby,
    /// It has no connection, and cannot be reached.
    #[non_exhaustive]
    Down {
        /// How many dials have failed in a row.
        failures: u32,
        /// Until it may be dialled again.
        retry_in: Duration,
    },
    /// It has no connection, for it is up, and [not what is wanted](crate::FailureKind::Unsuitable): a replica where the
    /// primary is asked for. [`connect_error`](EndpointStatus::connect_error) says what it is.
    #[non_exhaustive]
    Unsuitable {
        /// Until it is dialled again to see whether it still is. Sooner, if callers wait and no other endpoint serves.
        retry_in: Duration,
    },
    /// Its calls fail, and it gets none.
    #[non_exhaustive]
    Ejected {
        /// For how much longer.
        left: Duration,
        /// Why.
        cause: EjectionCause,
    },
    /// Its ejection is over, and one connection is used until a call decides.
    OnTrial,
    /// It gets no more leases, and has connections yet: it has left the set, or has weight 0.
    /// [`in_flight`](EndpointStatus::in_flight) says how many leases it waits for.
    #[non_exhaustive]
    Draining {
        /// How long ago that began.
        since: Duration,
    },
}

impl fmt::Display for EndpointCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => f.write_str("up"),
            Self::Standby => f.write_str("standby"),
            Self::Down { failures, retry_in } => {
                let failed = plural(*failures, "dial");
                write!(f, "down, {failed} failed, next in {retry_in:.1?}")
            }
            Self::Unsuitable { retry_in } => {
                write!(f, "unsuitable, looked at again in {retry_in:.1?}")
            }
            Self::Ejected { left, cause } => write!(f, "ejected for {left:.1?}, {cause}"),
            Self::OnTrial => f.write_str("on trial"),
            Self::Draining { since } => write!(f, "draining since {since:.1?} ago"),
        }
    }
}

impl fmt::Display for EndpointStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id: _,
            name,
            condition,
            share,
            share_of_last_minute,
            latency,
            in_flight,
            connections,
            opening,
            connect_error,
        } = self;
        write!(f, "{name} {condition}, {:.1} % of the load", 100.0 * share)?;
        if let Some(share) = share_of_last_minute {
            write!(f, " ({:.1} % in the last minute)", 100.0 * share)?;
        }
        if let Some(latency) = latency {
            write!(f, ", calls take {latency:.1?}")?;
        }
        write!(
            f,
            ", {} out, {} open, {opening} opening",
            plural(*in_flight, "lease"),
            plural(*connections, "connection")
        )?;
        match connect_error {
            Some(error) => write!(f, ": {error}"),
            None => Ok(()),
        }
    }
}

/// More lines than that hide the others.
const LISTED: usize = 20;

impl fmt::Display for SetStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.discovery.to_string())?;
        if self.is_in_panic {
            f.write_str("; panic: ejected endpoints are used")?;
        }
        for endpoint in self.endpoints.iter().take(LISTED) {
            write!(f, "\n  endpoint    {endpoint}")?;
        }
        match self.endpoints.len().saturating_sub(LISTED) {
            0 => Ok(()),
            others => write!(f, "\n  endpoint    and {}", plural(others, "other")),
        }
    }
}
