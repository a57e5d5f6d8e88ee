//! How what is in the lanes gets written: by the caller at once, where callers are few, else by the driver for all of
//! them.

use std::io;
use std::task::{Context, Poll, Waker};

use super::engine::Engine;
use super::error::Disconnected;
use super::write_half::WriteHalf;
use crate::rt::calling;
use crate::sync::lock;

impl<Req, Resp> Engine<Req, Resp> {
    /// A frame was appended: writes it, or requests that from the driver.
    pub(super) fn flush_or_request(&self) {
        if self.write_signal.is_requested() {
            return;
        }
        if self.write_signal.is_batching() {
            self.write_signal.request();
            return;
        }
        let Ok(mut write_half) = self.write_half.try_lock() else {
            self.write_signal.request();
            return;
        };
        // With the driver's waker: see `write_signal`. A driver that has not run yet has none, and looks for what is
        // left to write when it runs.
        let driver = self.write_signal.driver();
        let mut cx = Context::from_waker(driver.as_ref().unwrap_or(Waker::noop()));
        let wrote = match calling(|| self.poll_flush(&mut write_half, &mut cx)) {
            Ok(wrote) => wrote,
            Err(_) => {
                drop(write_half);
                self.end(Disconnected::Panicked);
                return;
            }
        };
        match wrote {
            // A drain that began meanwhile waits for what was written here.
            Poll::Ready(Ok(())) if self.is_open() => return,
            Poll::Ready(Ok(())) | Poll::Pending => {}
            Poll::Ready(Err(error)) => write_half.keep_error(error),
        }
        drop(write_half);
        // The driver finishes the write and reports the error.
        self.write_signal.wake_driver();
    }

    /// Writes what is in the lanes.
    pub(super) fn poll_flush(
        &self,
        write_half: &mut WriteHalf,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let max_one_way = self.settings.max_buffered;
        let mut took = None;
        let wrote = write_half.poll_write(cx, |outgoing, spare| {
            self.write_signal.clear();
            let taken = self.lanes.take(outgoing, spare, max_one_way);
            self.write_signal.note_written(taken.calls);
            took = Some(taken);
        });
        if let Some(taken) = took {
            self.room.notify_waiters();
            if taken.made_room {
                self.settings.signals.ask_again();
            }
        }
        wrote
    }

    /// Whether what a drain waits for has come to pass: no call is pending or queued, and all is written.
    pub(super) fn is_drained(&self) -> bool {
        // Under both locks, so that nothing is on its way from the one to the other.
        let write_half = lock(&self.write_half);
        let admission = self.admission();
        admission.is_idle() && self.lanes.is_empty() && write_half.is_done()
    }
}
