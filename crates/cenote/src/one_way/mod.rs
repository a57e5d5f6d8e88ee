//! One-way pools: messages that have no reply, through a bounded queue and over as many connections as take them.
//!
//! A [`OneWayPool`] is a [`SharedPool`] with a queue in front of it, whose connector is [`OneWay`]: a
//! [`MuxConnect`](crate::mux::MuxConnect) made so by [`one_way`](crate::mux::MuxConnect::one_way), or one of your own.
//!
//! ```
//! use cenote::endpoints::{Balance, EndpointSet, fixed};
//! use cenote::mux::MuxConnect;
//! use cenote::net::Host;
//! use cenote::shared::Choice;
//! use cenote::{OneWayPool, SharedPool};
//! use tokio_util::codec::LinesCodec;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let address = listener.local_addr()?;
//! // Any source of endpoints will do: names from DNS, a file, a channel.
//! let servers = fixed(EndpointSet::of([address]));
//! let connections = SharedPool::balanced(servers, |at| {
//!     let connect = MuxConnect::<_, String, String>::in_order(Host::from(at.key), LinesCodec::new());
//!     connect.one_way()
//! });
//! // One after the other, and up to two connections to each.
//! let connections = connections
//!     .balance(Balance::RoundRobin)
//!     .choice(Choice::RoundRobin)
//!     .max_per_endpoint(2)
//!     .build()?;
//! let pool = OneWayPool::new(connections);
//!
//! pool.send("requests:1|c".to_owned()).await?;
//! let unsent = pool.close().await;
//! assert!(unsent.is_empty());
//! # use tokio::io::{AsyncBufReadExt, BufReader};
//! # let (stream, _) = listener.accept().await?;
//! # let mut lines = BufReader::new(stream).lines();
//! # assert_eq!(lines.next_line().await?.as_deref(), Some("requests:1|c"));
//! # Ok(())
//! # }
//! ```
//!
//! # What becomes of a message
//!
//! *Taken* by the queue, which is where [`send`](OneWayPool::send) ends; *handed over* to a connection, which is to have it
//! among the bytes it writes next. Whether it arrives is not known of a message without a reply: what a connection had not
//! written when it ended, and what its peer had not read, is gone with it, and the end is
//! [told](crate::report::EventKind::Closed). A caller that must know asks for replies, over a [`SharedPool`].
//!
//! Until it is handed over a message is never lost: it goes to the next connection if one takes it not, waits while none
//! does, comes back from [`close`](OneWayPool::close), and is told as [lost](crate::report::EventKind::MessagesLost) where
//! nobody asks for it. [`OneWayCounters`] says how many are where.

// `queue` has the messages, and the senders that wait; `send` is a sender's side, `forward` the task that takes messages
// from there to connections. It knows nothing of connections but what a lease on one is.

mod counters;
mod error;
mod forward;
#[cfg(all(test, cenote_shuttle))]
mod models;
mod queue;
mod send;

use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use forward::Forwarder;
use queue::{Forwarding, Found, Place, Queue};

use crate::connect::OneWay;
use crate::error::SettingsError;
use crate::report::EventKind;
use crate::settings::refuse;
use crate::shared::SharedPool;

pub use counters::OneWayCounters;
pub use error::SendError;
pub use send::Send;

/// Messages that are queued by default, at most; as in tk_pool.
const QUEUE: usize = 100;

/// A pool for messages that have no reply. What becomes of them, and an example: [there](self).
///
/// A cheap handle: clones share the queue. When the last one is dropped, what is queued is still forwarded; but the first
/// message that gets no connection then within the pool's
/// [`acquire_timeout`](crate::shared::SharedPoolBuilder::acquire_timeout) ends that, and the rest is told as
/// [lost](EventKind::MessagesLost).
///
/// Messages of one sender enter the queue, and are handed over, in their order; over several connections they arrive in
/// any. Each goes to a connection that has room, whichever the [`SharedPool`] chooses; one without room gets none until it
/// has some again, and another is opened when none has, to the endpoint with the fewest. While no connection takes any, and
/// the queue is full, senders wait, in the order they came. A failed connect is nothing a sender is told: it is
/// [told](EventKind::ConnectFailed) to observers, and messages wait for better.
pub struct OneWayPool<C: OneWay> {
    shared: Arc<Shared<C>>,
}

/// What handles, senders and the forwarder have in common.
struct Shared<C: OneWay> {
    queue: Queue<C::Message>,
    pool: SharedPool<C>,
}

/// There is none that a forwarder could run on.
struct NoRuntime;

impl<C: OneWay> OneWayPool<C> {
    /// A pool that sends over these connections, with a queue of 100 messages.
    ///
    /// Of the settings of `connections`, `acquire_timeout` is for how long a message may find no connection before that is
    /// told and counted as time-out, after which it waits on; `high_water` does nothing, for leases are over at once.
    pub fn new(connections: SharedPool<C>) -> Self {
        Self::over(connections, QUEUE)
    }

    /// As [`new`](Self::new), with a queue of so many messages.
    ///
    /// # Errors
    /// A queue of none.
    pub fn with_queue(connections: SharedPool<C>, messages: usize) -> Result<Self, SettingsError> {
        match messages {
            0 => refuse("queue", 0, "at least 1"),
            _ => Ok(Self::over(connections, messages)),
        }
    }

    fn over(pool: SharedPool<C>, bound: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                queue: Queue::new(bound),
                pool,
            }),
        }
    }

    /// Queues a message, and is done then; waits while the queue is full, without a time-out. Nothing happens before the
    /// first poll. Dropped before it is done, nothing is sent, and the message goes with it.
    ///
    /// # Errors
    /// The message with why it was not taken: [`SendError::Closed`], [`SendError::NoRuntime`].
    pub fn send(&self, message: C::Message) -> Send<C> {
        Send::new(self.clone(), message)
    }

    /// Queues a message if there is a place at once; never waits.
    ///
    /// # Errors
    /// The message with why it was not taken: [`SendError::Full`], and those of [`send`](Self::send).
    pub fn try_send(&self, message: C::Message) -> Result<(), SendError<C::Message>> {
        self.shared.put(message, Place::New)
    }

    /// Closes the pool, and its connections with it. From the first poll on no message is taken, and senders that wait have
    /// theirs back. What is queued is forwarded first, and comes back from the first message on that gets no connection within
    /// the `acquire_timeout` of the [`SharedPool`]; then it closes, and what was handed over is written, within the
    /// connector's time. Dropped in between, nothing more is forwarded than is queued, and what would have come back is told
    /// as [lost](EventKind::MessagesLost).
    ///
    /// Of several, one has the messages.
    pub async fn close(&self) -> Vec<C::Message> {
        let queue = &self.shared.queue;
        queue.close();
        loop {
            let mut rests = pin!(queue.rests.notified());
            rests.as_mut().enable();
            if !queue.is_forwarding() {
                break;
            }
            rests.await;
        }
        self.shared.pool.close().await;
        // Last of all: dropped before, nothing was taken that would go with it.
        queue.take_all()
    }

    /// The connections: what they are doing, and what happened to them. Closed by itself, the pool is closed with it;
    /// what is queued then is had back by [`close`](Self::close).
    pub fn pool(&self) -> &SharedPool<C> {
        &self.shared.pool
    }

    /// What became of the messages so far.
    pub fn counters(&self) -> OneWayCounters {
        self.shared.queue.counters()
    }
}

impl<C: OneWay> Shared<C> {
    /// Queues a message, and has it forwarded.
    fn put(
        self: &Arc<Self>,
        message: C::Message,
        place: Place,
    ) -> Result<(), SendError<C::Message>> {
        let runtime = self.pool.runtime();
        let mut found = self.queue.put(message, place, false);
        if let Found::NobodyForwards(back) = found {
            // Asked under no lock, and only where it matters: it takes a task.
            if !runtime.is_alive() {
                return Err(SendError::NoRuntime(back));
            }
            found = self.queue.put(back, place, true);
        }
        match found {
            Found::Taken(forwarding) => {
                self.begin(forwarding);
                Ok(())
            }
            Found::NobodyForwards(back) => Err(SendError::NoRuntime(back)),
            Found::Full(back) => Err(SendError::Full(back)),
            Found::Closed(back) => Err(SendError::Closed(back)),
        }
    }

    /// Has what is queued forwarded where nobody does.
    fn forward(self: &Arc<Self>) -> Result<(), NoRuntime> {
        if !self.pool.runtime().is_alive() {
            return Err(NoRuntime);
        }
        self.begin(self.queue.begin_forwarding());
        Ok(())
    }

    fn begin(self: &Arc<Self>, forwarding: Forwarding) {
        if forwarding == Forwarding::ToBegin {
            let forwarder = Forwarder::new(Arc::clone(self));
            self.pool.runtime().spawn(forwarder.run());
        }
    }
}

impl<C: OneWay> Drop for Shared<C> {
    fn drop(&mut self) {
        let messages = self.queue.counters().queued;
        if messages > 0 {
            self.pool.tell(|| EventKind::MessagesLost { messages });
        }
    }
}

impl<C: OneWay> Clone for OneWayPool<C> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<C: OneWay> fmt::Debug for OneWayPool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneWayPool")
            .field("pool", self.pool())
            .field("counters", &self.counters())
            .finish()
    }
}
