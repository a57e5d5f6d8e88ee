//! The task behind a connection: it moves bytes until the connection ends or its owner lets go of it.
//!
//! Promises that the task, its socket and the server's work for it end soon after the owner drops: with the
//! session's end on the server, or after a second, when nothing is under way; after a cancel request when something
//! is; within two [`GRACE`] periods when the server does not react. A cancel request is sent only for a connection that nobody will use again,
//! so none can hit the next user's query. A server whose silence outlasts its callers' patience (`silence`) ends it
//! too.

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use cenote::net::{Dialer, Host};
use cenote::time::timeout;
use cenote::{Dial, Signals};
use tokio::io::Empty;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::error::{ConnectCause, Error, causes};
use crate::inbox::Inbox;
use crate::session::Session;
use crate::tunnel::{Carrier, Made, Protection};
use crate::wire::Wire;

/// A session as the driver moves it.
pub(crate) type Connection = tokio_postgres::Connection<Empty, Wire<Carrier>>;

/// How long the server may take for a goodbye, and again for a cancel request.
const GRACE: Duration = Duration::from_secs(2);
/// After how long a cancel request is taken to have missed.
const AGAIN: Duration = Duration::from_millis(100);

/// The owner's end of the task. Dropping it, after the client, makes the task end.
#[derive(Debug)]
pub(crate) struct Driver {
    task: JoinHandle<()>,
    cancel: CancelToken,
    inbox: Arc<Inbox>,
    /// What ended the connection, once something did.
    end: Arc<OnceLock<String>>,
    /// Its drop is the message.
    _held: oneshot::Sender<()>,
    give_up: GiveUp,
}

/// Ends a connection that is good to nobody, from anywhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct GiveUp(Arc<Notify>);

impl GiveUp {
    /// The connection ends at once: nothing is read any more, and its callers are told. If calls are under
    /// way, the server is then asked to cancel the one that it runs.
    pub(crate) fn now(&self) {
        self.0.notify_one();
    }
}

impl Driver {
    /// Starts the task of a session that has logged in; as it ends, its pool is told by `signals`.
    pub(crate) fn start(
        connection: Connection,
        token: tokio_postgres::CancelToken,
        target: Target,
        session: Arc<Session>,
        signals: Signals,
    ) -> Self {
        let cancel = CancelToken {
            token,
            target: Arc::new(target),
        };
        let (held, let_go) = oneshot::channel();
        let end = Arc::new(OnceLock::new());
        let inbox = Arc::<Inbox>::default();
        let connection = deliver(connection, inbox.clone(), session.clone(), signals.clone());
        let give_up = GiveUp(Arc::default());
        let told = Told {
            let_go,
            give_up: give_up.clone(),
        };
        let task = drive(connection, told, session, cancel.clone(), end.clone());
        let task = async move {
            task.await;
            signals.closed();
        };
        Self {
            task: tokio::spawn(task),
            cancel,
            inbox,
            end,
            _held: held,
            give_up,
        }
    }

    pub(crate) fn cancel(&self) -> &CancelToken {
        &self.cancel
    }

    /// What ended the connection, if something did.
    pub(crate) fn end(&self) -> Option<String> {
        self.end.get().cloned()
    }

    /// The very server that the session is on.
    pub(crate) fn endpoint(&self) -> Arc<str> {
        self.cancel.target.host.to_string().into()
    }

    pub(crate) fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// Ends the connection as [`GiveUp::now`] does, for this reason.
    pub(crate) fn end_because(&self, reason: String) {
        let _ = self.end.set(reason);
        self.give_up.now();
    }

    /// For ending the connection before its owner drops it.
    pub(crate) fn give_up(&self) -> GiveUp {
        self.give_up.clone()
    }

    /// Lets go, and waits for the task to end. The client must be dropped before.
    pub(crate) async fn finish(self) {
        let Self {
            task, _held: held, ..
        } = self;
        drop(held);
        // An error means that the task panicked or its runtime ended: it is over either way.
        let _ = task.await;
    }
}

/// Asks the server to cancel what runs on one connection.
///
/// A request may arrive late and hit what runs there by then; so a connection that gave a token away is closed at
/// its return.
#[derive(Clone)]
pub struct CancelToken {
    token: tokio_postgres::CancelToken,
    target: Arc<Target>,
}

/// The very server that a session is on: one of several hosts, at one of several addresses.
pub(crate) struct Target {
    pub(crate) host: Host,
    /// For the certificate.
    pub(crate) name: Option<Box<str>>,
    pub(crate) dialer: Dialer,
    pub(crate) protection: Protection,
}

impl CancelToken {
    /// Sends the request, on a connection of its own, encrypted as that of the session. The statement, if one is
    /// running, then fails with SQLSTATE 57014; nobody tells whether one was. When cancelled, it may or may not
    /// have been sent. It has no time-out of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Cancel`]: why the server could not be reached.
    pub async fn cancel_query(&self) -> Result<(), Error> {
        let Target {
            host,
            name,
            dialer,
            protection,
        } = &*self.target;
        let request = async {
            let socket = dialer.connect(host, &Dial::new()).await;
            let socket = socket.map_err(ConnectCause::Unreachable)?;
            let stream = protection.protect(socket, name.as_deref()).await?;
            let sent = self
                .token
                .cancel_query_raw(tokio::io::empty(), Made(stream));
            sent.await.map_err(ConnectCause::Login)
        };
        request.await.map_err(|cause| Error::Cancel {
            endpoint: host.to_string().into(),
            cause,
        })
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").finish_non_exhaustive()
    }
}

/// What the task is told from outside.
struct Told {
    /// Ends with the owner.
    let_go: oneshot::Receiver<()>,
    give_up: GiveUp,
}

/// Moves the connection, and puts what the server says unasked where the user finds it.
async fn deliver(
    mut connection: Connection,
    inbox: Arc<Inbox>,
    session: Arc<Session>,
    signals: Signals,
) -> Result<(), tokio_postgres::Error> {
    /// However it ends, nothing comes any more.
    struct Ending(Arc<Inbox>);
    impl Drop for Ending {
        fn drop(&mut self) {
            self.0.end();
        }
    }
    let ending = Ending(inbox);
    poll_fn(|cx| {
        loop {
            match connection.poll_message(cx) {
                Poll::Ready(Some(Ok(message))) => ending.0.put(message),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => break,
            }
        }
        if session.notice_role() {
            signals.closed();
        }
        if session.status().end_reason().is_some() {
            // The server's last words wait for a call to be the answer to; who waits for mail makes none.
            ending.0.end();
        }
        Poll::Pending
    })
    .await
}

async fn drive(
    connection: impl Future<Output = Result<(), tokio_postgres::Error>>,
    told: Told,
    session: Arc<Session>,
    cancel: CancelToken,
    end: Arc<OnceLock<String>>,
) {
    let mut connection = Box::pin(connection);
    // In this order: what has come is read before the server is taken for silent.
    let is_given_up = tokio::select! {
        biased;
        ended = &mut connection => {
            if let Err(error) = ended {
                let _ = end.set(causes(&error));
            }
            return;
        }
        _ = told.let_go => false,
        () = told.give_up.0.notified() => true,
        silence = session.vigil().outlasted() => {
            // Before those who wait are told.
            let _ = end.set(silence);
            true
        }
    };
    if is_given_up {
        // Those who wait for a reply are told now.
        drop(connection);
        if session.is_busy() {
            let _ = timeout(GRACE, cancel.cancel_query()).await;
        }
        return;
    }
    // With the client gone, the connection says goodbye once all replies are in, and ends.
    if !session.is_busy() && timeout(GRACE, &mut connection).await.is_ok() {
        return;
    }
    // A request that overtakes its statement hits nothing, so it is repeated while the connection lasts. Whether
    // one arrives or not, the connection ends here.
    let ended = async {
        loop {
            let _ = cancel.cancel_query().await;
            if timeout(AGAIN, &mut connection).await.is_ok() {
                return;
            }
        }
    };
    let _ = timeout(GRACE, ended).await;
}
