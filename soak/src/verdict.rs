//! What was found at the end, held against what must be.

use std::fmt;
use std::time::Duration;

use cenote::report::{Counters, Status};

use crate::SIZE;
use crate::samples::{MIB, Samples};
use crate::users::Tally;

pub struct Verdict {
    pub seed: u64,
    pub users: u32,
    pub faults: u64,
    pub tally: Tally,
    /// How soon after the faults every user was served again.
    pub everyone_served: Option<Duration>,
    /// How many places could be leased at once.
    pub places: usize,
    pub status: Status,
    pub counters: Counters,
    pub samples: Samples,
    /// Before the pool was built, and after it was closed.
    pub descriptors: (usize, usize),
}

/// Growth between the first and the last third that is no leak: allocators and caches take what they like.
const TOLERATED: f64 = 8.0 * MIB;

impl Verdict {
    pub fn passes(&self) -> bool {
        self.demands().iter().all(|demand| demand.met)
    }

    fn demands(&self) -> Vec<Demand> {
        let Tally {
            wrong,
            panicked,
            served,
            ..
        } = self.tally;
        let (early, late) = self.samples.ends();
        let (before, after) = self.descriptors;
        vec![
            Demand::new("queries answered", served > 0, served.to_string()),
            Demand::new("no wrong reply", wrong == 0, wrong.to_string()),
            Demand::new("no user panicked", panicked == 0, panicked.to_string()),
            Demand::new(
                "all served after the faults",
                self.everyone_served.is_some(),
                self.everyone_served
                    .map_or("no".into(), |took| format!("in {took:.1?}")),
            ),
            Demand::new(
                "no place lost",
                self.places == SIZE && self.status.leased == 0 && self.status.waiters == 0,
                format!("{} of {SIZE} usable; {}", self.places, self.status),
            ),
            Demand::new(
                "memory flat",
                late - early <= TOLERATED,
                format!(
                    "{:.1} MiB early, {:.1} MiB late, slope {:+.2} MiB/h",
                    early / MIB,
                    late / MIB,
                    self.samples.slope() * 3_600.0 / MIB
                ),
            ),
            Demand::new(
                "file descriptors as before",
                after <= before,
                format!("{before} before, {after} after"),
            ),
        ]
    }
}

struct Demand {
    name: &'static str,
    met: bool,
    found: String,
}

impl Demand {
    fn new(name: &'static str, met: bool, found: String) -> Self {
        Self { name, met, found }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            failed,
            cut_short,
            ref refused,
            ..
        } = self.tally;
        writeln!(
            f,
            "{} users, seed {}: {} faults, {} leases, {} connections opened, {} failed connects",
            self.users,
            self.seed,
            self.faults,
            self.counters.gets,
            self.counters.opened,
            self.counters.connect_failed
        )?;
        writeln!(
            f,
            "{failed} queries failed with their connection, {cut_short} were cut short by their users"
        )?;
        for (kind, count) in refused {
            writeln!(f, "{count} gets failed: {kind}")?;
        }
        writeln!(f)?;
        for demand in self.demands() {
            let word = if demand.met { "ok  " } else { "FAIL" };
            writeln!(f, "{word}  {:28}  {}", demand.name, demand.found)?;
        }
        Ok(())
    }
}
