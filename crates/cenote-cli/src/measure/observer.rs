//! Looks at a run from a thread of its own, which busy users cannot delay: keeps samples over time and
//! moves the progress display.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::endpoints::Log;
use super::recorder::Recorder;
use crate::progress::Progress;
use crate::way::{Gauges, Way};

/// A run at one moment.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Sample {
    /// Seconds since the run began.
    pub at_s: f64,
    /// Successful requests since the run began.
    pub requests: u64,
    /// Failed requests since the run began.
    pub failed: u64,
    #[serde(flatten)]
    pub gauges: Gauges,
}

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Of longer runs not every look is kept, so that plots and files stay small.
const KEPT: u32 = 400;
/// The rate on display is that of the last half second.
const RECENT: usize = 10;

/// What users see of each endpoint is added up for so many parts of a run, or for fewer that are not shorter than
/// a few looks.
const PARTS: u32 = 60;
const SHORTEST_PART: Duration = Duration::from_millis(100);

/// The observing thread.
pub struct Observer {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<(Vec<Sample>, Log)>,
}

impl Observer {
    pub fn start<W: Way>(
        way: Arc<W>,
        recorder: Arc<Recorder>,
        duration: Duration,
        progress: Progress,
    ) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let started = Instant::now();
            let look = || Sample {
                at_s: started.elapsed().as_secs_f64(),
                requests: recorder.succeeded(),
                failed: recorder.failed(),
                gauges: way.gauges(),
            };
            let interval = (duration / KEPT).as_secs_f64();
            let part = (duration / PARTS).max(SHORTEST_PART).as_secs_f64();
            let mut kept: Vec<Sample> = Vec::new();
            let (mut log, mut part_end) = (Log::default(), part);
            let mut recent = VecDeque::from([Sample::default()]);
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(LOOK_EVERY) {
                let now = look();
                progress.show(&recent[0], &now);
                if recent.len() == RECENT {
                    recent.pop_front();
                }
                recent.push_back(now);
                if kept
                    .last()
                    .is_none_or(|last| now.at_s - last.at_s >= interval)
                {
                    kept.push(now);
                }
                if let Some(status) = way.endpoints() {
                    log.look(now.at_s, status);
                }
                if now.at_s >= part_end {
                    log.add(now.at_s, recorder.take_recent());
                    part_end += part;
                }
            }
            let now = look();
            kept.push(now);
            if let Some(status) = way.endpoints() {
                log.look(now.at_s, status);
            }
            log.add(now.at_s, recorder.take_recent());
            (kept, log)
        });
        Self { stop, thread }
    }

    /// Takes a last look and ends. Waits for the thread, which takes no time worth mentioning.
    pub fn stop(self) -> (Vec<Sample>, Log) {
        // Nobody receives only if the thread panicked: then there is nothing to show.
        let _ = self.stop.send(());
        self.thread.join().unwrap_or_default()
    }
}
