//! A pool from all sides at one moment, for the person on call.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::budget_status::BudgetStatus;
use super::connection_info::ConnectionInfo;
use super::counters::Counters;
use super::holder::{Holder, holders};
use super::pool_settings::PoolSettings;
use super::set_status::SetStatus;
use super::status::Status;
use super::timings::Timings;
use crate::error::{ConnectError, Dialling};
use crate::plural::plural;

/// A pool at one moment: all that it knows of itself. Exact when nobody is using it; under way, each part is right for
/// some moment of the call.
///
/// Its text is for a terminal. Neither it nor the fields hold what was not told to the pool to be shown: no credentials
/// unless a connector puts them into its errors or its [`endpoint`](crate::Connect::endpoint).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// The pool's name.
    pub pool: Arc<str>,
    /// What the pool connects to, if the connector [says](crate::Connect::endpoint).
    pub endpoint: Option<Arc<str>>,
    /// How many connections there are, and what they do.
    pub status: Status,
    /// Each of them, those being opened apart.
    pub connections: Vec<ConnectionSnapshot>,
    /// For how long the first of those that wait has waited.
    pub oldest_waiter: Option<Duration>,
    /// Why connects have been failing since the last that did not.
    pub connect_error: Option<ConnectError>,
    /// How many have failed in a row.
    pub connect_failures: u32,
    /// Until when, from now, the pool dials no more, after these failures.
    pub retry_in: Option<Duration>,
    /// The dial under way, the longest if there are several.
    pub dialling: Option<Dialling>,
    /// The endpoints, of a pool over a [set](crate::Pool::balanced) of them.
    pub endpoints: Option<SetStatus>,
    /// The [`Budget`](crate::Budget) that the pool is under.
    pub budget: Option<BudgetStatus>,
    /// What happened since the pool began.
    pub counters: Counters,
    /// How long callers waited and connecting took.
    pub timings: Timings,
    /// The settings in force.
    pub settings: PoolSettings,
}

/// A connection at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionSnapshot {
    /// Its number, age and uses. `idle_for` is until now, or until its lease began.
    pub info: ConnectionInfo,
    /// What it does.
    pub state: ConnectionState,
}

/// What a connection does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// It has no lease, and is ready for one.
    Idle,
    /// It is in a user's hands.
    #[non_exhaustive]
    Leased {
        /// For how long, to the turn of the pool's clock.
        held_for: Duration,
        /// The call of `get`.
        call_site: &'static Location<'static>,
        /// What its holder [calls](crate::Lease::set_label) the lease.
        label: Option<&'static str>,
    },
    /// It serves the users of a [`SharedPool`](crate::SharedPool), of whom the pool knows only how many they are.
    #[non_exhaustive]
    Shared {
        /// Leases on it.
        leases: usize,
        /// Leases it could carry at once, by what it said last.
        capacity: usize,
    },
    /// It gets no new leases, and leaves its [`SharedPool`](crate::SharedPool) once those it carries have ended.
    Draining,
    /// It is in the pool's own hands: being checked, reset or closed.
    Upkeep,
}

impl Snapshot {
    /// Where in the program the leases were taken that are out: the call sites with the most leases first. Empty of a
    /// [`SharedPool`](crate::SharedPool).
    pub fn holders(&self) -> Vec<Holder> {
        holders(self.connections.iter().filter_map(|conn| match conn.state {
            ConnectionState::Leased {
                held_for,
                call_site,
                label,
            } => Some((call_site, label, held_for)),
            _ => None,
        }))
    }
}

/// More lines than that hide the others.
const LISTED: usize = 10;

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pool {}", self.pool)?;
        if let Some(endpoint) = &self.endpoint {
            write!(f, " to {endpoint}")?;
        }
        write!(f, ": {}", self.status)?;
        if let Some(waited) = self.oldest_waiter {
            write!(f, "\n  waiting     the oldest for {waited:.1?}")?;
        }
        self.fmt_connections(f)?;
        if let Some(endpoints) = &self.endpoints {
            write!(f, "\n  over        {endpoints}")?;
        } else if let Some(error) = &self.connect_error {
            match self.connect_failures {
                1 => write!(f, "\n  connecting  failed: {error}")?,
                failures => write!(
                    f,
                    "\n  connecting  failed {failures} times in a row: {error}"
                )?,
            }
        }
        if let Some(retry_in) = self.retry_in {
            write!(f, "\n  dialling    again in {retry_in:.1?}")?;
        }
        if let Some(dialling) = &self.dialling {
            write!(f, "\n  dialling    {dialling}")?;
        }
        if let Some(budget) = &self.budget {
            write!(f, "\n  under       {budget}")?;
        }
        let Timings {
            waits,
            connects,
            in_use,
        } = &self.timings;
        write!(f, "\n  so far      {}", self.counters)?;
        write!(f, "\n  waits       {waits}\n  connects    {connects}")?;
        write!(f, "\n  in use      {in_use:.1?}, all leases together")?;
        write!(f, "\n  settings    {}", self.settings)
    }
}

impl Snapshot {
    fn fmt_connections(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holders = self.holders();
        for holder in holders.iter().take(LISTED) {
            write!(f, "\n  held        {holder}")?;
        }
        if let Some(others) = holders.get(LISTED..).filter(|others| !others.is_empty()) {
            let leases: usize = others.iter().map(|holder| holder.leases).sum();
            write!(
                f,
                "\n  held        {leases} at {}",
                plural(others.len(), "other place")
            )?;
        }
        let shared = self.connections.iter().filter_map(|conn| match conn.state {
            ConnectionState::Shared { leases, capacity } => Some((conn.info, leases, capacity)),
            _ => None,
        });
        for (info, leases, capacity) in shared.take(LISTED) {
            let ConnectionInfo { id, age, .. } = info;
            write!(
                f,
                "\n  serving     connection {id}, {age:.0?} old: {} out, room for {capacity}",
                plural(leases, "lease")
            )?;
        }
        Ok(())
    }
}
