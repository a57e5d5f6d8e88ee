//! The task behind a connection: it moves bytes until the connection ends or its owner lets go of it.
//!
//! Promises that the task, its socket and the server's work for it end soon after the owner drops: at once
//! when nothing is under way; after a cancel request when something is; within two [`GRACE`] periods when
//! the server does not react. A cancel request is sent only for a connection that nobody will use again,
//! so none can hit the next user's query.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::oneshot;
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
}

impl Driver {
    /// Why the connection ended, if it did and the server or the network said why.
    pub(crate) fn end(&self) -> Option<&Error> {
        self.end.get()
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
    let task = drive(connection, let_go, session, cancel, end.clone());
    let task = tokio::spawn(task);
    Ok((
        client,
        Driver {
            task,
            end,
            _held: held,
        },
    ))
}

async fn drive<T>(
    connection: impl Future<Output = Result<(), Error>>,
    let_go: oneshot::Receiver<()>,
    session: Arc<Session>,
    cancel: Cancel<T>,
    end: Arc<OnceLock<Error>>,
) where
    T: MakeTlsConnect<Socket>,
{
    let mut connection = pin!(connection);
    tokio::select! {
        ended = &mut connection => {
            if let Err(error) = ended {
                let _ = end.set(error);
            }
            return;
        }
        _ = let_go => {}
    }
    // With the client gone, the connection says goodbye once all replies are in, and ends.
    if !session.is_busy() && timeout(GRACE, &mut connection).await.is_ok() {
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
