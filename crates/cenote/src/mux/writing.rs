//! Who writes what is in the lanes: a caller at once, where callers are few, else the driver for all of them.

use std::task::{Context, Poll, Waker};

use super::engine::Engine;
use super::error::{CallError, Disconnected};
use super::lane::{Order, Unencoded};
use super::writer::Writer;
use crate::rt::calling;
use crate::sync::lock;

impl<Req, Resp> Engine<Req, Resp> {
    /// Something was appended: sees to it that it is written. Where callers are few, by writing it at once.
    pub(super) fn see_written(&self) {
        if self.ask.is_asked() {
            return;
        }
        if self.ask.is_crowded() {
            self.ask.ask();
            return;
        }
        let Ok(mut writer) = self.writer.try_lock() else {
            self.ask.ask();
            return;
        };
        // Room in the line is the driver's to be woken for, never a caller's: see `ask`. A driver that has not run yet
        // has no waker, and looks for what is left to write when it runs.
        let driver = self.ask.driver();
        let mut cx = Context::from_waker(driver.as_ref().unwrap_or(Waker::noop()));
        let wrote = match calling(|| self.poll_write(&mut writer, &mut cx)) {
            Ok(wrote) => wrote,
            Err(_) => {
                drop(writer);
                self.end(Disconnected::Panicked);
                return;
            }
        };
        match wrote {
            // A drain that began meanwhile waits for what was written here.
            Poll::Ready(Ok(())) if self.is_open() => return,
            Poll::Ready(Ok(())) | Poll::Pending => {}
            Poll::Ready(Err(error)) => writer.keep(error),
        }
        drop(writer);
        // What is left, and an error, are its own.
        self.ask.wake_driver();
    }

    /// Writes what is in the lanes.
    pub(super) fn poll_write(
        &self,
        writer: &mut Writer,
        cx: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut took = false;
        let wrote = writer.poll_write(cx, |outgoing, spare| {
            self.ask.clear();
            self.ask.taken(self.lanes.take(outgoing, spare));
            took = true;
        });
        if took {
            self.room.notify_waiters();
        }
        wrote
    }

    /// Appends a message that has no reply. Gives it back if there is no room.
    pub(super) fn send(&self, message: Req, order: &Order) -> Result<Result<(), CallError>, Req> {
        let max = self.settings.max_buffered;
        let mut lane = self.lanes.lane_for(order);
        if lane.stock.is_shut() {
            drop(lane);
            let desk = self.desk();
            if let Err(error) = desk.accepts() {
                return Ok(Err(error));
            }
            // Under the desk's lock: a drain that follows finds the lane taken, and then the message in it.
            lane = self.lanes.lane_for(order);
        }
        let appended = self.lanes.append_one_way(&mut lane, message, max)?;
        drop(lane);
        Ok(match appended {
            Ok(()) => {
                self.see_written();
                Ok(())
            }
            Err(error) => Err(self.unencoded(error)),
        })
    }

    /// The ping's cell.
    pub(super) fn ping_index(&self) -> u32 {
        u32::try_from(self.settings.max_in_flight).expect("settings bound the cap")
    }

    /// Appends a request whose reply nobody waits for, unless the last is still without one. The driver's
    /// to call, which then sees that it is asked.
    pub(super) fn ping(&self, request: Req) -> Result<(), Disconnected> {
        let mut desk = self.desk();
        if desk.pinged {
            return Ok(());
        }
        desk.pinged = true;
        let index = self.ping_index();
        let tag = self.cells.begin_unwatched(index);
        let appended = self.lanes.of_thread().append_call(tag, index, request);
        drop(desk);
        self.ask.ask();
        appended.map_err(|error| match error {
            Unencoded::Refused(error) => Disconnected::Ping(error.into()),
            Unencoded::Panicked => Disconnected::Panicked,
        })
    }

    /// Whether what a drain waits for has come to pass: nobody waits for anything, and all is written.
    pub(super) fn is_drained(&self) -> bool {
        // Under both locks, so that nothing is on its way from the one to the other.
        let writer = lock(&self.writer);
        let desk = self.desk();
        desk.is_quiet() && self.lanes.is_empty() && writer.is_done()
    }
}
