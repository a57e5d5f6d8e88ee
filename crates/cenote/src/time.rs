//! Timers for connectors, which need nothing of the runtime they are used on.
//!
//! Tokio's timers panic on a runtime that was built without them (`enable_time`), and in a task that outlives its
//! runtime. These belong to a thread of the process, `cenote-timers`, begun with the first. Their time is tokio's:
//! where `tokio::time::pause` has stopped it, they follow that clock.
//!
//! ```
//! use std::time::Duration;
//! use cenote::time::timeout;
//!
//! # async fn ask() -> &'static str { "pong" }
//! # async fn f() {
//! match timeout(Duration::from_secs(1), ask()).await {
//!     Ok(reply) => println!("{reply}"),
//!     Err(elapsed) => println!("no reply: {elapsed}"),
//! }
//! # }
//! # // No timers: they are not missed.
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(f());
//! ```

pub use tokio::time::Instant;

pub use crate::rt::{Elapsed, Sleep, Timeout, sleep, sleep_until, timeout, timeout_at};
