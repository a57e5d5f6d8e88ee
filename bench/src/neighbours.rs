//! How much of the machine others used while something was measured: other processes, and other guests of the host.
//!
//! Two threads that must share one core contend less and do less: a figure taken then is another figure. Read from
//! Linux's `/proc`, in its ticks of 10 ms; elsewhere, or for shorter times, nothing is known.

use std::fs;

/// Fewer ticks of the machine than this say nothing.
const TOO_FEW_TICKS: u64 = 10;

/// Ticks since boot: of all processors, of those the idle ones and those the host took away, and of this process and
/// its children that have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticks {
    all: u64,
    idle: u64,
    stolen: u64,
    own: u64,
}

impl Ticks {
    pub fn now() -> Option<Self> {
        let machine = fs::read_to_string("/proc/stat").ok()?;
        let own = fs::read_to_string("/proc/self/stat").ok()?;
        Self::parse(&machine, &own)
    }

    fn parse(machine: &str, own: &str) -> Option<Self> {
        // user nice system idle iowait irq softirq steal; what guests use is in user already.
        let mut fields = Vec::new();
        for field in machine.lines().next()?.split_whitespace().skip(1).take(8) {
            fields.push(field.parse::<u64>().ok()?);
        }
        let idle = fields.get(3)? + fields.get(4)?;
        // After the name in brackets, which may hold anything: state, then as 12th and on utime, stime, and the
        // children's.
        let mut times = 0;
        for ticks in own.rsplit_once(')')?.1.split_whitespace().skip(11).take(4) {
            times += ticks.parse::<u64>().ok()?;
        }
        Some(Self {
            all: fields.iter().sum(),
            idle,
            stolen: *fields.get(7)?,
            own: times,
        })
    }

    /// The share of all processors that others used from then until `now`: 0 to 1.
    pub fn others_until(self, now: Self) -> Option<f64> {
        let all = now.all.saturating_sub(self.all);
        let used = all.saturating_sub(now.idle.saturating_sub(self.idle));
        share(used.saturating_sub(now.own.saturating_sub(self.own)), all)
    }

    /// The share of all processors that the host took away from then until `now`: 0 to 1.
    pub fn stolen_until(self, now: Self) -> Option<f64> {
        let all = now.all.saturating_sub(self.all);
        share(now.stolen.saturating_sub(self.stolen), all)
    }
}

fn share(part: u64, all: u64) -> Option<f64> {
    (all >= TOO_FEW_TICKS).then(|| part as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_what_is_neither_idle_nor_ours_the_host_among_them() {
        let before = Ticks::parse(
            "cpu  100 0 50 800 0 0 0 0 0 0\n",
            "7 (a b) c) R 1 1 1 1 1 1 1 1 1 1 30 10 6 4 0",
        );
        let after = Ticks::parse(
            "cpu  160 0 65 820 0 0 0 5 0 0\n",
            "7 (a b) c) R 1 1 1 1 1 1 1 1 1 1 30 10 50 10 0",
        );
        let (before, after) = (before.unwrap(), after.unwrap());
        assert_eq!(before.others_until(after), Some(0.3));
        assert_eq!(before.stolen_until(after), Some(0.05));
    }

    #[test]
    fn a_moment_too_short_says_nothing() {
        let now = Ticks {
            all: 5,
            idle: 1,
            stolen: 0,
            own: 1,
        };
        assert_eq!(
            Ticks {
                all: 0,
                idle: 0,
                stolen: 0,
                own: 0
            }
            .others_until(now),
            None
        );
    }
}
