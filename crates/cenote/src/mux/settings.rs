//! What may be set of a mux: the defaults, what cannot work, and what follows from it.

use std::thread::available_parallelism;
use std::time::Duration;

use crate::error::SettingsError;
use crate::plural::plural;
use crate::settings::refuse;
use crate::signals::Signals;

/// The most lanes that there may be.
pub(super) const MAX_ENCODERS: usize = 128;

/// The default of `encoders` where there may be several, at most.
const DEFAULT_ENCODERS: usize = 16;

/// The most requests that may be pending on one connection.
const MAX_IN_FLIGHT: usize = 1 << 20;

/// How often time is looked at, at least, in the shortest of what is watched.
const TICKS: u32 = 8;

/// Nothing shorter is watched: a tick is a millisecond or more.
const SHORTEST: Duration = Duration::from_millis(8);

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) max_in_flight: usize,
    pub(super) max_queued: usize,
    pub(super) max_buffered: usize,
    pub(super) max_frame: usize,
    pub(super) encoders: Option<usize>,
    pub(super) call_timeout: Option<Duration>,
    pub(super) drain_timeout: Duration,
    pub(super) max_timeouts: u32,
    pub(super) max_abandoned: Option<usize>,
    pub(super) max_silence: Option<Duration>,
    pub(super) ping_after: Option<Duration>,
    pub(super) ping_timeout: Duration,
    pub(super) signals: Signals,
}

/// How time is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticks {
    pub(super) every: Duration,
    pub(super) per_call: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_in_flight: 1024,
            max_queued: 10_000,
            max_buffered: 1 << 20,
            max_frame: 64 << 20,
            encoders: None,
            call_timeout: Some(Duration::from_secs(30)),
            drain_timeout: Duration::from_secs(5),
            max_timeouts: 8,
            max_abandoned: None,
            max_silence: Some(Duration::from_secs(3)),
            ping_after: None,
            ping_timeout: Duration::from_secs(5),
            signals: Signals::default(),
        }
    }
}

impl Settings {
    /// How many clones of `Codec` are to encode.
    pub(super) fn encoders_for<Codec>(&self) -> usize {
        let by_default = || match size_of::<Codec>() {
            0 => available_parallelism().map_or(1, |cores| (2 * cores.get()).min(DEFAULT_ENCODERS)),
            _ => 1,
        };
        // What cannot work is refused before any is used.
        self.encoders
            .unwrap_or_else(by_default)
            .min(self.max_in_flight / 2)
            .clamp(1, MAX_ENCODERS)
    }

    pub(super) fn max_abandoned(&self) -> usize {
        (self.max_abandoned).unwrap_or_else(|| self.max_in_flight.div_ceil(2))
    }

    /// How often the driver looks at the time, and after how many of its looks a call has had its time.
    /// Nothing is watched for less than eight of them, and a call's time-out is a whole number of them.
    pub(super) fn ticks(&self) -> Option<Ticks> {
        let ping = self.ping_after.map(|after| after.min(self.ping_timeout));
        let least = self.call_timeout.into_iter().chain(ping).min()?;
        let every = least / TICKS;
        let counted = self.call_timeout.and_then(|limit| {
            let ticks = limit.as_nanos().div_ceil(every.as_nanos());
            let per_call = u32::try_from(ticks).ok()?;
            Some(Ticks {
                every: limit / per_call,
                per_call,
            })
        });
        // Beyond what is counted, no call is ever overdue.
        let per_call = u32::MAX;
        Some(counted.unwrap_or(Ticks { every, per_call }))
    }

    /// Refuses what cannot work, with tags of `tag_bits`.
    pub(super) fn validate(&self, tag_bits: u32) -> Result<(), SettingsError> {
        let (pings, and_ping) = match self.ping_after {
            Some(_) => (1, ", one of them the ping's"),
            None => (0, ""),
        };
        let most = MAX_IN_FLIGHT.min((1 << tag_bits.min(21)) - pings);
        if self.max_in_flight == 0 || self.max_in_flight > most {
            let accepted = format!(
                "1 to {most}, with tags of {}{and_ping}",
                plural(tag_bits, "bit")
            );
            return refuse("max_in_flight", self.max_in_flight, &accepted);
        }
        match self.encoders {
            Some(encoders) if !(1..=MAX_ENCODERS).contains(&encoders) => {
                return refuse("encoders", encoders, &format!("1 to {MAX_ENCODERS}"));
            }
            _ => {}
        }
        if self.max_abandoned == Some(0) {
            return refuse("max_abandoned", 0, "at least 1: any call may be cancelled");
        }
        for (setting, value) in [
            ("max_buffered", self.max_buffered),
            ("max_frame", self.max_frame),
            ("max_timeouts", self.max_timeouts as usize),
        ] {
            if value == 0 {
                return refuse(setting, value, "at least 1");
            }
        }
        for (setting, value) in [
            ("call_timeout", self.call_timeout),
            ("max_silence", self.max_silence),
            ("ping", self.ping_after),
            ("ping_timeout", Some(self.ping_timeout)),
        ] {
            match value {
                Some(value) if value < SHORTEST => {
                    return refuse(setting, format!("{value:?}"), "at least 8 ms");
                }
                _ => {}
            }
        }
        Ok(())
    }
}
