//! The pending table and the hand-over of writing under loom, with the kernel's bounds and its runner.
//!
//! Not under loom: counts of ticks and of time-outs (hints), the making of entries (the standard library's
//! `OnceLock`), and tokio's notifications, for which nobody waits here.
//!
//! `RUSTFLAGS="--cfg cenote_loom" cargo test -p cenote --release --lib mux::models`

mod flush;
mod lanes;
mod line;
mod pending;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use loom::future::block_on;

use super::call::Call;
use super::codec::Encode;
use super::engine::Engine;
use super::error::{CallError, Disconnected};
use super::handle::Mux;
use super::lane::Lanes;
use super::pending::Delivery;
use super::settings::Settings;
use super::write_half::WriteHalf;
use crate::kernel::models::{explore, party, race};
use line::Line;

type Client = Mux<u32, u32>;

/// A tag and a number.
const FRAME: usize = 8;

/// A client whose requests go to `line`, and no driver.
fn client(max_in_flight: usize, line: &Line) -> Client {
    with_lanes(1, max_in_flight, line)
}

/// The same with lanes, of which threads started one after the other have different ones.
fn with_lanes(lanes: usize, max_in_flight: usize, line: &Line) -> Client {
    let settings = Settings {
        max_in_flight,
        max_frame: FRAME,
        call_timeout: None,
        drain_timeout: Duration::MAX,
        max_timeouts: u32::MAX,
        max_abandoned: Some(usize::MAX),
        max_silence: None,
        ..Settings::default()
    };
    let encoder = || -> Encode<u32> {
        Box::new(|tag, message, buffer| {
            buffer.put_u32(tag.unwrap_or_default());
            buffer.put_u32(message);
            Ok(())
        })
    };
    let lanes = Lanes::new((0..lanes).map(|_| encoder()).collect(), false);
    let write_half = WriteHalf::new(Box::new(line.clone()));
    Mux::new(Engine::new(settings, u32::BITS, lanes, write_half))
}

/// Polls a future that has to wait.
fn begin<F: Future + Unpin>(future: &mut F) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(future).poll(&mut cx).is_pending());
}

/// What has been appended and not written: tags and messages.
fn appended(client: &Client) -> Vec<(u32, u32)> {
    let mut buffer = BytesMut::new();
    let lanes = &client.engine.lanes;
    lanes.take(&mut buffer, &mut BytesMut::new(), usize::MAX);
    // As if the driver were on its way: callers leave the writing to it.
    client.engine.write_signal.request();
    let mut frames = Vec::new();
    while buffer.remaining() >= FRAME {
        frames.push((buffer.get_u32(), buffer.get_u32()));
    }
    frames
}

/// A reply, as the driver delivers it.
fn reply(client: &Client, tag: u32, message: u32) {
    match client.engine.pending.deliver_to_tag(tag.into(), message) {
        Delivery::ToCaller(waker) => crate::wake::wake_all(waker),
        Delivery::ToNobody(index, _) => client.engine.release_quarantined(&mut vec![index]),
        Delivery::Unknown => panic!("tag {tag} is unknown"),
    }
}

/// Requests without a reply, of which callers have left, and calls that wait.
fn load(client: &Client) -> (usize, usize, usize) {
    (client.in_flight(), client.abandoned(), client.queued())
}
