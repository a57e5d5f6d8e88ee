//! What is measured beside the load: the pool's highest figures, and the CPU time of the process.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote::report::Status;
use tokio::task::JoinHandle;
use tokio::time::sleep;

const EVERY: Duration = Duration::from_millis(2);

/// Looks at a pool's status all the time.
pub struct Watch {
    peak: Arc<Mutex<Peak>>,
    watching: JoinHandle<()>,
}

/// The highest of each; not of their sum, since a dial may end between two looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peak {
    pub opening: usize,
    pub size: usize,
}

impl Peak {
    fn see(&mut self, now: &Status) {
        self.opening = self.opening.max(now.opening);
        self.size = self.size.max(now.size);
    }
}

impl Watch {
    pub fn start(status: impl Fn() -> Status + Send + 'static) -> Self {
        let peak = Arc::<Mutex<Peak>>::default();
        let seen = peak.clone();
        let watching = tokio::spawn(async move {
            loop {
                seen.lock().expect("nobody panics with it").see(&status());
                sleep(EVERY).await;
            }
        });
        Self { peak, watching }
    }

    pub fn peak(&self) -> Peak {
        *self.peak.lock().expect("nobody panics with it")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// CPU time of all threads of this process, in the system's ticks.
#[derive(Clone, Copy)]
pub struct CpuTime(u64);

impl CpuTime {
    /// USER_HZ, which is 100 on every Linux.
    const TICK: Duration = Duration::from_millis(10);

    pub fn now() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
        let (_, after_name) = stat.rsplit_once(')').expect("the name is in brackets");
        let fields = after_name.split_whitespace();
        // The 14th and 15th fields of the line, of which two came before.
        let times = fields.skip(11).take(2);
        Self(
            times
                .map(|ticks| ticks.parse::<u64>().expect("ticks"))
                .sum(),
        )
    }

    /// How much was used since then.
    pub fn elapsed(self) -> Duration {
        let ticks = Self::now().0 - self.0;
        Self::TICK * u32::try_from(ticks).expect("a trial is short")
    }
}
