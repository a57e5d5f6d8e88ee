//! How a pool over a set of endpoints chooses among them: what users say of it.

use crate::policy::balance::Rule;

/// Which endpoint of a set serves next. Whatever is chosen, shares follow the endpoints' weights; an endpoint without an
/// idle connection is passed over while another has one; and nobody waits while any connection is idle.
///
/// ```
/// use cenote::endpoints::{Balance, EndpointSet, fixed};
/// # use cenote::{Connect, Pool};
/// # fn pool<C: Connect>(connect: fn(&str) -> C) -> Result<Pool<C>, cenote::error::SettingsError> {
/// # let _runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # let _guard = _runtime.enter();
/// let servers = fixed(EndpointSet::of(["10.0.0.1:80", "10.0.0.2:80"]));
/// Pool::balanced(servers, move |at| connect(at.key))
///     .balance(Balance::RoundRobin)
///     .build()
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Balance {
    /// Of two drawn at random, the one with fewer leases out (Mitzenmacher, *The power of two choices in randomized load
    /// balancing*): nearly as even as a look at all, at a cost that does not depend on how many there are. The default.
    #[default]
    PowerOfTwo,
    /// Of two drawn at random, the one whose calls take less time, each by as many as it has leases out: for services whose
    /// servers are unlike, and calls that are alike (linkerd2 #11043).
    ///
    /// How long calls take is told by [`Lease::timed_outcome`](crate::Lease::timed_outcome), or
    /// [`SharedLease::timed_outcome`](crate::SharedLease::timed_outcome): how long a lease is held is its user's affair. A
    /// mean that fades in ten seconds, and that a slower call raises at once (peak EWMA, of Finagle); one that failed counts
    /// as five seconds at least, so that an endpoint that fails fast draws no calls. An endpoint nothing is known of is as
    /// fast as the one it is compared with. As long as nobody tells, this is [`PowerOfTwo`](Self::PowerOfTwo).
    PeakEwma,
    /// Of all, the one with the fewest leases out. Looks at every endpoint, for each lease.
    LeastLoaded,
    /// One after the other, those of greater weight more often, and smoothly so. Each thread goes its own round.
    RoundRobin,
    /// Any. With connections opened where there are the fewest, which every rule does, this is how tk_pool spreads load.
    Random,
}

impl Balance {
    pub(crate) fn rule(self) -> Rule {
        match self {
            Self::PowerOfTwo => Rule::PowerOfTwo,
            Self::PeakEwma => Rule::PeakEwma,
            Self::LeastLoaded => Rule::LeastLoaded,
            Self::RoundRobin => Rule::RoundRobin,
            Self::Random => Rule::Random,
        }
    }
}
