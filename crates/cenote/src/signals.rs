//! How a connection reaches its pool by itself: it is closed, or has changed.

use std::fmt;
use std::sync::{Arc, Weak};

/// What a connection tells its pool without being asked; [`Dial::signals`](crate::Dial::signals) has them for each.
///
/// A pool asks its connections whether they are open, and what they carry, at each get, at each return and now and
/// then. What happens in between it learns then, unless the connection tells: the task that reads from the socket keeps
/// the signals of its connection and gives them as soon as it knows.
///
/// They may be given from any thread, as often as the connector likes, under locks of the connector's own, and after
/// the pool is gone: no method of a connector is called from here, all that follows is for a task of the pool. They
/// keep nothing alive. Signals of a connection that is in no pool, as where a [`Dial`](crate::Dial) was made by hand,
/// do nothing.
///
/// ```
/// # use cenote::{Connect, Dial, Multiplex, Signals, Verdict};
/// # use std::sync::Arc;
/// # use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
/// struct Session {
///     state: Arc<State>,
/// }
///
/// /// What the task that reads and the users share.
/// #[derive(Default)]
/// struct State {
///     is_over: AtomicBool,
///     max_streams: AtomicUsize,
/// }
///
/// enum Frame {
///     Settings { max_streams: usize },
///     End,
/// }
///
/// /// By the task that reads, for each frame.
/// fn read(frame: Frame, state: &State, signals: &Signals) {
///     match frame {
///         Frame::Settings { max_streams } => {
///             state.max_streams.store(max_streams, SeqCst);
///             signals.ask_again(); // those who wait for a stream need not wait for the next look
///         }
///         Frame::End => {
///             state.is_over.store(true, SeqCst);
///             signals.closed();
///         }
///     }
/// }
///
/// # struct Server;
/// impl Connect for Server {
///     type Connection = Session;
///     # type Error = std::io::Error;
///
///     async fn connect(&self, dial: &Dial) -> std::io::Result<Session> {
///         let state = Arc::new(State::default());
///         let (signals, read_by) = (dial.signals(), Arc::clone(&state));
///         // tokio::spawn: reads frames, and has them `read(frame, &read_by, &signals)`.
///         # read(Frame::Settings { max_streams: 1 }, &read_by, &signals);
///         # read(Frame::End, &read_by, &signals);
///         Ok(Session { state })
///     }
///
///     fn is_open(&self, session: &Session) -> bool {
///         !session.state.is_over.load(SeqCst)
///     }
///     # fn verdict(&self, _: &mut Session) -> Verdict { Verdict::Reuse }
/// }
/// # impl Multiplex for Server {
/// #     fn capacity(&self, session: &Session) -> usize { session.state.max_streams.load(SeqCst) }
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Signals {
    to: Option<To>,
}

#[derive(Clone)]
struct To {
    pool: Weak<dyn Signalled>,
    connection: Connection,
}

/// A connection as its pool knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) slot: usize,
    pub(crate) id: u64,
}

/// What receives signals. Called anywhere, under any lock but the pools' own: to call no user code.
pub(crate) trait Signalled: Send + Sync {
    fn closed(self: Arc<Self>, connection: Connection);
    fn ask_again(self: Arc<Self>);
}

impl Signals {
    pub(crate) fn new(pool: Weak<dyn Signalled>, connection: Connection) -> Self {
        Self {
            to: Some(To { pool, connection }),
        }
    }

    /// The connection is closed, or no good any more. From now on its [`is_open`](crate::Connect::is_open) is to say so
    /// too.
    ///
    /// Idle, it is closed at once, and replaced if [`min_idle`](crate::pool::PoolBuilder::min_idle) or `min_size` asks
    /// for it. One that a [`SharedPool`](crate::SharedPool) has active gets no new leases from now on; callers that
    /// wait are served by another. Leased by a [`Pool`](crate::Pool), it is closed when it comes back.
    pub fn closed(&self) {
        if let Some((pool, connection)) = self.pool() {
            pool.closed(connection);
        }
    }

    /// What the connection says has changed: a [`SharedPool`](crate::SharedPool) asks it now for its
    /// [`capacity`](crate::Multiplex::capacity) and whether it [is open](crate::Connect::is_open), and serves from
    /// the room it has those who wait. In a [`Pool`](crate::Pool) this does nothing.
    ///
    /// Not to be given by these two methods: each look would then call for the next.
    pub fn ask_again(&self) {
        if let Some((pool, _)) = self.pool() {
            pool.ask_again();
        }
    }

    fn pool(&self) -> Option<(Arc<dyn Signalled>, Connection)> {
        let to = self.to.as_ref()?;
        Some((to.pool.upgrade()?, to.connection))
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connection = self.to.as_ref().map(|to| to.connection.id);
        f.debug_struct("Signals")
            .field("connection", &connection)
            .finish_non_exhaustive()
    }
}
