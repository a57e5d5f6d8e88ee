//! The processor time of this process, with its threads and without its children: in user and in system mode together, as
//! `getrusage` tells, to the nanosecond.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

pub fn used() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    // The clock begins at 0 and stays below a second in its second part.
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
