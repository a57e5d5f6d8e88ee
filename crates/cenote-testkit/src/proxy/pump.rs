//! One direction of a connection: what one side sends, passed to the other as the fault of the moment
//! allows. A fault set before a byte is sent is in force for that byte.

use super::Fault;
use super::control::{Control, Ended, closed};
use super::queue::{Next, Queue};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch::Receiver;
use tokio::task;
use tokio::time::{Instant, sleep_until};

const READ_AT_ONCE: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

pub(crate) struct Pump<'a> {
    pub(crate) way: Way,
    pub(crate) queue: Queue,
    pub(crate) control: Receiver<Control>,
    /// Something that this connection carried was swallowed: it can never carry anything again.
    pub(crate) lost: &'a AtomicBool,
}

enum Step {
    Waited,
    Wrote(usize),
    SentEnd,
}

impl Pump<'_> {
    /// Runs until the stream has ended and its end was passed on or swallowed; an error ends the whole
    /// connection.
    pub(crate) async fn run(
        mut self,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
    ) -> Result<(), Ended> {
        let mut buffer = vec![0; READ_AT_ONCE];
        let mut ended = false;
        // The receiver was told that no more will come, though more may.
        let mut half_closed = false;
        loop {
            let fault = self.control.borrow_and_update().fault;
            if fault == Fault::HalfClose && self.way == Way::ToClient && !half_closed {
                half_closed = true;
                // Fails only if the client is gone, which reading from it will tell.
                let _ = to.shutdown().await;
            }
            let black = self.is_black(fault);
            if black && !self.queue.is_empty() {
                self.lost.store(true, Relaxed);
            }
            if black || half_closed {
                self.queue.clear();
            }
            if ended && self.queue.is_empty() {
                return match self.way {
                    Way::ToServer if black => Err(Ended::Quietly),
                    _ => Ok(()),
                };
            }
            let has_room = self.queue.has_room();
            let next = self.queue.next(fault, Instant::now());
            tokio::select! {
                biased;
                changed = self.control.changed() => changed.map_err(closed)?,
                step = take(&mut to, &next), if next != Next::Rest => {
                    let now = Instant::now();
                    match step.map_err(Ended::by_error)? {
                        Step::Waited => {}
                        Step::Wrote(count) => self.queue.wrote(count, fault, now),
                        Step::SentEnd => self.queue.wrote(0, fault, now),
                    }
                    if let Fault::SplitWrites { .. } = fault {
                        task::yield_now().await;
                    }
                }
                read = from.read(&mut buffer), if !ended && has_room => match read {
                    Ok(count) if count > 0 => self.queue.push(Instant::now(), &buffer[..count]),
                    Err(error) if !self.is_black(self.control.borrow().fault) => {
                        return Err(Ended::by_error(error));
                    }
                    // In a black hole a reset is as silent as an orderly end.
                    Ok(_) | Err(_) => {
                        ended = true;
                        self.queue.push_end(Instant::now());
                    }
                },
            }
        }
    }

    fn is_black(&self, fault: Fault) -> bool {
        fault == Fault::BlackHole || self.lost.load(Relaxed)
    }
}

async fn take(to: &mut WriteHalf<'_>, next: &Next<'_>) -> io::Result<Step> {
    match next {
        Next::Rest => Ok(Step::Waited),
        Next::Wait(until) => {
            sleep_until(*until).await;
            Ok(Step::Waited)
        }
        Next::Write(bytes) => to.write(bytes).await.map(Step::Wrote),
        Next::End => to.shutdown().await.map(|()| Step::SentEnd),
    }
}
