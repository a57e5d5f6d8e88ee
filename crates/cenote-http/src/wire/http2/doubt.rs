//! When a peer that was silent is asked for a sign of life: not again soon, if it gave one and said nothing since.
//!
//! Such a peer is slow and not dead, and each request that is given up would have it asked anew. Servers end the connection for
//! that (ENHANCE_YOUR_CALM): those of gRPC count PINGs between which they have sent nothing.

use std::sync::Mutex;
use std::time::Duration;

use cenote::time::Instant;

use super::connection::lock;

/// After its first sign of life a peer is not asked for this long; after each further one for four times as long.
const FIRST: Duration = Duration::from_secs(5);

/// But not for longer than this: as often may clients of gRPC ask by default.
const LONGEST: Duration = Duration::from_secs(300);

/// What is known of a peer's signs of life. Its lock is a leaf.
#[derive(Default)]
pub(super) struct Doubt(Mutex<Option<Answered>>);

struct Answered {
    at: Instant,
    /// Bytes that had come by then.
    heard: u64,
    trusted_for: Duration,
}

impl Doubt {
    /// Whether a peer of which so many bytes have been heard is to be asked.
    pub(super) fn is_due(&self, heard: u64) -> bool {
        let answered = lock(&self.0);
        let Some(answered) = &*answered else {
            return true;
        };
        answered.heard != heard || answered.at.elapsed() >= answered.trusted_for
    }

    /// The peer, which was asked when `heard_before` bytes had been heard of it, has answered; `heard` have been by now.
    pub(super) fn answered(&self, heard_before: u64, heard: u64) {
        let mut answered = lock(&self.0);
        let longer = |last: &Answered| (last.trusted_for * 4).min(LONGEST);
        let was_silent = answered.as_ref().filter(|last| last.heard == heard_before);
        *answered = Some(Answered {
            at: Instant::now(),
            heard,
            trusted_for: was_silent.map_or(FIRST, longer),
        });
    }
}
