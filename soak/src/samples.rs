//! What the process holds: memory over time, and file descriptors.

use std::fs;
use std::io;
use std::time::Duration;

use tokio::time::sleep;

#[derive(Debug, Default)]
pub struct Samples {
    /// Seconds, and bytes of memory resident then.
    memory: Vec<(f64, f64)>,
}

const PAGE: f64 = 4096.0;
pub const MIB: f64 = 1_048_576.0;

impl Samples {
    pub fn take(&mut self, at: Duration) -> io::Result<()> {
        let text = fs::read_to_string("/proc/self/statm")?;
        let pages: f64 = text
            .split_whitespace()
            .nth(1)
            .and_then(|pages| pages.parse().ok())
            .ok_or_else(|| io::Error::other(format!("/proc/self/statm reads {text:?}")))?;
        self.memory.push((at.as_secs_f64(), pages * PAGE));
        Ok(())
    }

    /// Those after the first fifth, while which everything is used for the first time.
    fn steady(&self) -> &[(f64, f64)] {
        &self.memory[self.memory.len() / 5..]
    }

    /// How fast the memory grew, in bytes a second: the slope of the line of least squares.
    pub fn slope(&self) -> f64 {
        let steady = self.steady();
        let count = steady.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| steady.iter().map(of).sum::<f64>() / count;
        let (at, bytes) = (mean(|sample| sample.0), mean(|sample| sample.1));
        let (mut above, mut below) = (0.0, 0.0);
        for sample in steady {
            above += (sample.0 - at) * (sample.1 - bytes);
            below += (sample.0 - at).powi(2);
        }
        if below == 0.0 { 0.0 } else { above / below }
    }

    /// The memory at the beginning of the steady part and at its end: means of a third of it each.
    pub fn ends(&self) -> (f64, f64) {
        let steady = self.steady();
        let third = (steady.len() / 3).max(1).min(steady.len());
        let mean = |part: &[(f64, f64)]| {
            part.iter().map(|sample| sample.1).sum::<f64>() / part.len().max(1) as f64
        };
        (
            mean(&steady[..third]),
            mean(&steady[steady.len() - third..]),
        )
    }
}

pub fn descriptors() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/fd")?.count())
}

/// How many there are once no more than `before`, or else after some seconds.
pub async fn settled_descriptors(before: usize) -> io::Result<usize> {
    for _ in 0..100 {
        if descriptors()? <= before {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    descriptors()
}
