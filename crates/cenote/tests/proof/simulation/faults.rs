//! What goes wrong, and when: a schedule made from a seed.

use std::time::Duration;

use cenote::Pool;
use fastrand::Rng;
use tokio::time::{Instant, sleep, sleep_until};

use super::SIZE;
use super::backend::{Backend, Health};
use super::users::Trace;

#[derive(Clone, Copy, Debug)]
enum Fault {
    KillAll,
    KillAllSilently,
    Refuse,
    FallSilent,
    /// Fewer connections are taken than the pool would like.
    Limit(usize),
    SlowDials,
    Heal,
    // Not faults of the backend: what operators do meanwhile.
    Evict,
    Pause,
    Resume,
    Resize(usize),
}

pub struct Schedule {
    steps: Vec<(Duration, Fault)>,
}

impl Schedule {
    /// A dozen faults or so within `storm`.
    pub fn new(rng: &mut Rng, storm: Duration) -> Self {
        let millis = u64::try_from(storm.as_millis()).unwrap_or(u64::MAX);
        let mut steps: Vec<_> = (0..rng.usize(6..=16))
            .map(|_| (Duration::from_millis(rng.u64(..millis)), Fault::any(rng)))
            .collect();
        steps.sort_by_key(|&(at, _)| at);
        Self { steps }
    }

    /// Lets it all happen; afterwards everything is as at first, but for what died.
    pub async fn play(self, pool: &Pool<Backend>, backend: &Backend, trace: &Trace) {
        let began = Instant::now();
        for (at, fault) in self.steps {
            sleep_until(began + at).await;
            trace.add(began, 0, 0);
            fault.strike(pool, backend);
        }
        sleep(Duration::from_millis(100)).await;
        backend.heal();
        pool.resume();
        pool.resize(SIZE).unwrap();
    }
}

impl Fault {
    fn any(rng: &mut Rng) -> Self {
        match rng.u8(..14) {
            0 => Self::KillAll,
            1 => Self::KillAllSilently,
            2 => Self::Refuse,
            3 => Self::FallSilent,
            4 => Self::Limit(rng.usize(..SIZE)),
            5 => Self::SlowDials,
            6 => Self::Evict,
            7 => Self::Pause,
            8 | 9 => Self::Resume,
            10 => Self::Resize(rng.usize(2..=SIZE)),
            _ => Self::Heal,
        }
    }

    fn strike(self, pool: &Pool<Backend>, backend: &Backend) {
        match self {
            Self::KillAll => backend.kill_all(),
            Self::KillAllSilently => backend.kill_all_silently(),
            Self::Refuse => backend.set_health(Health::Refusing),
            Self::FallSilent => backend.set_health(Health::Silent),
            Self::Limit(connections) => backend.set_limit(connections),
            Self::SlowDials => backend.set_dial_time(700),
            Self::Heal => backend.heal(),
            Self::Evict => pool.evict(),
            Self::Pause => pool.pause(),
            Self::Resume => pool.resume(),
            Self::Resize(size) => pool.resize(size).unwrap(),
        }
    }
}
