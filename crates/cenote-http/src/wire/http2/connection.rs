//! One connection: the handle that opens streams, and what its driver has found out.

use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicUsize,
    Ordering::{Acquire, Relaxed},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use cenote::Signals;
use cenote::error::BoxError;
use h2::client::{Builder, SendRequest};
use http::{Request, Version};
use tokio::sync::Notify;

use super::doubt::Doubt;
use super::driver::Driver;
use super::form;
use super::sending::{Again, Sending};
use super::slow_start::{SlowStart, Window};
use super::upload::Upload;
use crate::wire::outgoing::Outgoing;
use crate::wire::reply::{Failure, SendingError};
use crate::wire::transport::{BytesRead, Counted};

/// As many streams are opened at most, whatever the peer takes: one that names no limit would be given all there are, and one
/// connection would never be joined by a second.
pub(super) const MAX_STREAMS: usize = 128;

/// What h2 says of the limit before the peer has spoken: no peer can name it, and one that names none is known by another
/// number.
pub(super) const UNKNOWN: usize = usize::MAX - 1;

/// The peer may send so much of a body before it is read.
const STREAM_WINDOW: u32 = 1024 * 1024;

/// The peer may send so much of all bodies together: as many as there may be, so that none that is not read stops another.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS as u32;

/// A body of this length is left to h2 as a whole: the peer takes as much at once, unless it says otherwise (RFC 9113, 6.9.2).
const SENT_AT_ONCE: usize = 65_535;

/// The longest head of a reply, decoded; as hyper has it.
const MAX_HEADER_LIST: u32 = 16 * 1024;

/// A connection that speaks HTTP/2.
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    shared: Arc<Shared>,
    read: BytesRead,
}

/// What a connection, its driver and the exchanges on it have in common. Each word is read alone, and tells of itself alone,
/// but for the suspicion, which lasts until the phase has changed because of it: what depends on it is asked anew when the signal
/// that follows a change arrives.
pub(super) struct Shared {
    /// Streams that the peer takes, by the driver's last look.
    pub(super) limit: AtomicUsize,
    /// So many it is given, if that is less.
    pub(super) window: Window,
    /// Exchanges under way.
    pub(super) under_way: AtomicUsize,
    phase: AtomicU8,
    /// The connection has left its pool: it ends when its streams have.
    pub(super) is_left: AtomicBool,
    /// The peer is to prove that it answers, and the driver has not asked it yet.
    pub(super) is_suspect: AtomicBool,
    pub(super) doubt: Doubt,
    /// It has proved it, or will not.
    pub(super) is_proved: Notify,
    /// It has said what it takes, or will not.
    pub(super) has_greeted: Notify,
    /// By which the connection ended, or is going to.
    pub(super) error: Mutex<Option<h2::Error>>,
    pub(super) signals: Signals,
    /// The driver's. This lock and that of the error are leaves.
    pub(super) waker: Mutex<Option<Waker>>,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    Open,
    /// The peer was silent where it might have answered, and is being asked: no new streams meanwhile.
    Probing,
    /// No new streams; those there are go on, unless the connection has ended.
    Leaving,
}

impl Connection {
    /// Begins to speak HTTP/2 over `transport`, in a task of its own.
    pub(crate) async fn open(
        transport: Counted,
        read: BytesRead,
        signals: Signals,
        slow_start: &SlowStart,
    ) -> Result<Self, BoxError> {
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_max_send_streams(UNKNOWN)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADER_LIST);
        let (sender, connection) = builder.handshake(transport).await?;
        let shared = Arc::new(Shared {
            limit: AtomicUsize::new(UNKNOWN),
            window: slow_start.window(),
            under_way: AtomicUsize::new(0),
            phase: AtomicU8::new(Phase::Open as u8),
            is_left: AtomicBool::new(false),
            is_suspect: AtomicBool::new(false),
            doubt: Doubt::default(),
            is_proved: Notify::new(),
            has_greeted: Notify::new(),
            error: Mutex::new(None),
            signals,
            waker: Mutex::new(None),
        });
        let driver = Driver::new(
            connection,
            sender.clone(),
            read.clone(),
            Arc::clone(&shared),
        );
        let connection = Self {
            sender,
            shared,
            read,
        };
        tokio::spawn(driver);
        connection.greeted().await?;
        Ok(connection)
    }

    /// Waits until the peer has said what it takes, which is the first that it says: what it carries is known before anybody
    /// uses it, and a server that speaks something else before anybody depends on it.
    async fn greeted(&self) -> Result<(), BoxError> {
        loop {
            let greeted = self.shared.has_greeted.notified();
            if !self.is_open() {
                let error = lock(&self.shared.error).take();
                return Err(error.map_or("the connection ended at once".into(), BoxError::from));
            }
            if self.shared.limit.load(Relaxed) != UNKNOWN {
                return Ok(());
            }
            greeted.await;
        }
    }

    pub(crate) fn send(&self, request: Request<Outgoing>) -> Sending {
        let (head, body) = request.into_parts();
        let mut sent = Request::new(());
        *sent.method_mut() = head.method.clone();
        *sent.version_mut() = Version::HTTP_2;
        *sent.uri_mut() = head.uri.clone();
        sent.headers_mut().clone_from(&head.headers);
        form::make(&mut sent, &body);
        let under_way = UnderWay::begin(&self.shared);
        let is_whole = matches!(body, Outgoing::Empty);
        // A handle of its own for each: one whose stream has to wait refuses the next.
        let (reply, mut stream) = match self.sender.clone().send_request(sent, is_whole) {
            Ok(opened) => opened,
            Err(error) => {
                return Sending::failed(SendingError {
                    // What is wrong with the request itself is so on each connection.
                    failure: match self.takes_streams() {
                        true => Failure::Broken,
                        false => Failure::Unsent,
                    },
                    request: Some(Box::new(Request::from_parts(head, body))),
                    error: error.into(),
                });
            }
        };
        let again = match body.copy() {
            Some(body) => Again::Whole(Request::from_parts(head, body)),
            None => Again::Streamed(head),
        };
        let upload = match body {
            Outgoing::Empty => None,
            Outgoing::Whole(bytes) if bytes.len() <= SENT_AT_ONCE => {
                // An error of the stream is the reply's to tell.
                let _ = stream.send_data(bytes, true);
                None
            }
            // Its place is taken until the peer has it all, even if the reply comes before.
            body => Some(Upload::new(stream, body)),
        };
        let heard = (self.read.clone(), self.read.count());
        Sending::new(reply, upload, again, under_way, heard)
    }

    /// A reply has come.
    pub(crate) fn replied(&self) {
        if self.shared.window.replied() {
            self.shared.signals.ask_again();
        }
    }

    /// Whether streams may be opened still: it has not ended, the peer does not go away, and not all numbers of streams are
    /// used up.
    fn takes_streams(&self) -> bool {
        let mut handle = self.sender.clone();
        let ready = handle.poll_ready(&mut Context::from_waker(Waker::noop()));
        matches!(ready, Poll::Ready(Ok(())))
    }

    /// A reply that was waited for in vain: if nothing at all has come since its request was sent, the peer is suspect, unless
    /// it has given a sign of life lately.
    pub(crate) fn leave_reply(&self, sending: Sending) {
        let is_asked = self.shared.phase() == Phase::Probing;
        if sending.is_silent() && !is_asked && self.shared.doubt.is_due(self.read.count()) {
            self.shared.suspect();
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.shared.phase() != Phase::Leaving
    }

    pub(crate) fn capacity(&self) -> usize {
        // First: the driver is in the next phase before it takes this back.
        let is_suspect = self.shared.is_suspect.load(Acquire);
        match self.shared.phase() {
            Phase::Open if !is_suspect => {
                let limit = self.shared.limit.load(Relaxed);
                limit.min(self.shared.window.streams())
            }
            Phase::Open | Phase::Probing | Phase::Leaving => 0,
        }
    }

    /// A round trip.
    pub(crate) async fn answers(&self) -> Result<(), BoxError> {
        let proved = self.shared.is_proved.notified();
        self.shared.suspect();
        if self.is_open() {
            proved.await;
        }
        match self.is_open() {
            true => Ok(()),
            false => Err("the connection has ended".into()),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.is_left.store(true, Relaxed);
        self.shared.wake_driver();
    }
}

impl Shared {
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Open,
            1 => Phase::Probing,
            _ => Phase::Leaving,
        }
    }

    /// By the driver alone. True if it was another.
    pub(super) fn enter(&self, phase: Phase) -> bool {
        self.phase.swap(phase as u8, Relaxed) != phase as u8
    }

    /// Has the driver ask the peer for an answer.
    fn suspect(&self) {
        self.is_suspect.store(true, Relaxed);
        self.wake_driver();
    }

    /// The lock orders what was stored before with what the driver looks at after.
    fn wake_driver(&self) {
        let waker = lock(&self.waker).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Nothing panics under one.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An exchange under way, counted until it is dropped.
pub(super) struct UnderWay(Arc<Shared>);

impl UnderWay {
    fn begin(shared: &Arc<Shared>) -> Self {
        shared.under_way.fetch_add(1, Relaxed);
        Self(Arc::clone(shared))
    }
}

impl UnderWay {
    /// The peer went away and had not begun it, the connection's `nth` stream.
    pub(super) fn left_behind(&self, nth: usize) {
        self.0.window.refused(nth);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}
