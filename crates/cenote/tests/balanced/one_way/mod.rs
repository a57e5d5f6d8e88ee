//! Messages that have no reply, over a set of endpoints: each behaviour of tk_pool, and each of its faults.

/// What becomes of messages when the pool closes, and of those who send them.
mod closing;
/// How many connections there are, and to whom.
mod connections;
/// Servers that take messages.
mod lines;
/// Where messages go.
mod messages;
/// The queue, and who waits for a place in it.
mod queueing;
/// What is counted and told.
mod telling;

use cenote::OneWayPool;

use crate::service::{ms, pass};
use lines::{Lines, Pool};

/// Sends these messages, each once the one before is queued, and lets them be forwarded.
async fn send(pool: &Pool, messages: impl IntoIterator<Item = u32>) {
    for message in messages {
        pool.send(message).await.unwrap();
    }
    pass(ms(10)).await;
}

/// What became of messages: taken, handed over, refused, returned, queued.
fn counts(pool: &Pool) -> [u64; 5] {
    let counters = pool.counters();
    [
        counters.taken,
        counters.handed_over,
        counters.refused,
        counters.returned,
        counters.queued as u64,
    ]
}

/// A pool whose only server refuses connections.
fn nowhere(lines: &Lines) -> Pool {
    lines.set_down("only", true);
    OneWayPool::new(lines.connections_to("only").build().unwrap())
}
