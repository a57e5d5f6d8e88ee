//! The task behind a connection: it moves bytes until the connection ends or its owner lets go of it.
//!
//! Promises that the task, its socket and the server's work for it end soon after the owner drops: at once
//! when nothing is under way; after a cancel request when something is; within two [`GRACE`] periods when
//! the server does not react. A cancel request is sent only for a connection that nobody will use again,
//! so none can hit the next user's query.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{CancelToken, Client, Config, Error, Socket};

use crate::session::Session;

/// How long the server may take for a goodbye, and again for a cancel request.
const GRACE: Duration = Duration::from_secs(2);

/// The owner's end of the task. Dropping it, after the client, makes the task end.
#[derive(Debug)]
pub(crate) struct Driver {
    task: JoinHandle<()>,
    /// Why the connection ended, once it did by itself.
    end: Arc<OnceLock<Error>>,
    /// Its drop is the message.
    _held: oneshot::Sender<()>,
    give_up: GiveUp,
}

/// Ends a connection that is good to nobody, from anywhere.
#[derive(Clone, Debug)]
pub(crate) struct GiveUp(Arc<Notify>);

impl GiveUp {
    /// The connection ends at once: nothing is read any more, and whoever waits is told. If calls are under
    /// way, the server is then asked to cancel the one that it runs.
    pub(crate) fn now(&self) {
        self.0.notify_one();
    }
}

impl Driver {
    /// Why the connection ended, if it did and the server or the network said why.
    pub(crate) fn end(&self) -> Option<&Error> {
        self.end.get()
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

/// Connects and starts the task.
pub(crate) async fn connect<T>(
    config: &Config,
    tls: T,
    session: Arc<Session>,
) -> Result<(Client, Driver), Error>
where
    T: MakeTlsConnect<Socket> + Clone + Send + 'static,
    T::TlsConnect: Send,
    T::Stream: Send + 'static,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    let (client, connection) = config.connect(tls.clone()).await?;
    let (held, let_go) = oneshot::channel();
    let end = Arc::new(OnceLock::new());
    let cancel = Cancel {
        token: client.cancel_token(),
        tls,
    };
    let give_up = GiveUp(Arc::default());
    let told = Told {
        let_go,
        give_up: give_up.clone(),
    };
    let task = drive(connection, told, session, cancel, end.clone());
    let task = tokio::spawn(task);
    Ok((
        client,
        Driver {
            task,
            end,
            _held: held,
            give_up,
        },
    ))
}

/// What the task is told from outside.
struct Told {
    /// Ends with the owner.
    let_go: oneshot::Receiver<()>,
    give_up: GiveUp,
}

async fn drive<T>(
    connection: impl Future<Output = Result<(), Error>>,
    told: Told,
    session: Arc<Session>,
    cancel: Cancel<T>,
    end: Arc<OnceLock<Error>>,
) where
    T: MakeTlsConnect<Socket>,
{
    let mut connection = Box::pin(connection);
    let is_given_up = tokio::select! {
        ended = &mut connection => {
            if let Err(error) = ended {
                let _ = end.set(error);
            }
            return;
        }
        _ = told.let_go => false,
        () = told.give_up.0.notified() => true,
    };
    if is_given_up {
        // Those who wait for a reply are told now.
        drop(connection);
        if !session.is_busy() {
            return;
        }
    // With the client gone, the connection says goodbye once all replies are in, and ends.
    } else if !session.is_busy() && timeout(GRACE, connection).await.is_ok() {
        return;
    }
    // Whether the request arrives or not, the connection ends here.
    let _ = timeout(GRACE, cancel.send()).await;
}

struct Cancel<T> {
    token: CancelToken,
    tls: T,
}

impl<T: MakeTlsConnect<Socket>> Cancel<T> {
    async fn send(self) -> Result<(), Error> {
        self.token.cancel_query(self.tls).await
    }
}
