//! The task behind a connection: it moves bytes until the connection ends or its owner lets go of it.
//!
//! Promises that the task, its socket and the server's work for it end soon after the owner drops: at once
//! when nothing is under way; after a cancel request when something is; within two [`GRACE`] periods when
//! the server does not react. A cancel request is sent only for a connection that nobody will use again,
//! so none can hit the next user's query.

use std::fmt;
use std::future::Future;
#[cfg(unix)]
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, Error, NoTls, Socket};

use crate::endpoint;
use crate::session::Session;
use crate::tunnel::Tunnel;
use crate::wire::Naming;

/// How long the server may take for a goodbye, and again for a cancel request.
const GRACE: Duration = Duration::from_secs(2);

/// The owner's end of the task. Dropping it, after the client, makes the task end.
#[derive(Debug)]
pub(crate) struct Driver {
    task: JoinHandle<()>,
    cancel: CancelToken,
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
    fn start(
        connection: impl Future<Output = Result<(), Error>> + Send + 'static,
        cancel: CancelToken,
        session: Arc<Session>,
    ) -> Self {
        let (held, let_go) = oneshot::channel();
        let end = Arc::new(OnceLock::new());
        let give_up = GiveUp(Arc::default());
        let told = Told {
            let_go,
            give_up: give_up.clone(),
        };
        let task = drive(connection, told, session, cancel.clone(), end.clone());
        Self {
            task: tokio::spawn(task),
            cancel,
            end,
            _held: held,
            give_up,
        }
    }

    pub(crate) fn cancel(&self) -> &CancelToken {
        &self.cancel
    }

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

/// Asks the server to cancel what runs on one connection.
///
/// A request may arrive late and hit what runs there by then; so a connection that gave a token away is closed at
/// its return.
#[derive(Clone)]
pub struct CancelToken {
    request: Arc<dyn Fn() -> Sending + Send + Sync>,
}

type Sending = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

impl CancelToken {
    fn new<F>(request: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        Self {
            request: Arc::new(move || Box::pin(request())),
        }
    }

    /// Sends the request, on a connection of its own, encrypted as that of the session. The statement, if one is
    /// running, then fails with SQLSTATE 57014; nobody tells whether one was. When cancelled, it may or may not
    /// have been sent.
    ///
    /// # Errors
    ///
    /// Why the server could not be reached.
    pub async fn cancel_query(&self) -> Result<(), Error> {
        (self.request)().await
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").finish_non_exhaustive()
    }
}

/// Connects and starts the task.
pub(crate) async fn connect<T>(
    config: &Config,
    tls: T,
    naming: Naming,
    session: Arc<Session>,
) -> Result<(Client, Driver), Error>
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::TlsConnect: Send,
    T::Stream: Send + 'static,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    let (tunnel, through) = Tunnel::new(config, tls.clone(), naming, session.status().clone());
    match Reach::of(config) {
        Reach::Network => {
            let (client, connection) = through.connect(tunnel.clone()).await?;
            let token = client.cancel_token();
            let cancel = CancelToken::new(move || {
                let (token, tunnel) = (token.clone(), tunnel.clone());
                async move { token.cancel_query(tunnel).await }
            });
            Ok((client, Driver::start(connection, cancel, session)))
        }
        #[cfg(unix)]
        Reach::Local => connect_locally(config, &tunnel, session).await,
        Reach::Mixed => {
            let (client, connection) = config.connect(tls.clone()).await?;
            let token = client.cancel_token();
            let cancel = CancelToken::new(move || {
                let (token, tls) = (token.clone(), tls.clone());
                async move { token.cancel_query(tls).await }
            });
            Ok((client, Driver::start(connection, cancel, session)))
        }
    }
}

/// How the hosts of a connector are reached.
enum Reach {
    Network,
    /// By sockets of the file system, where there is no TLS.
    #[cfg(unix)]
    Local,
    /// By both, or by local sockets with a choice among the servers, which only the driver makes: it does so
    /// without the tunnel, and statements have the driver's own names.
    Mixed,
}

impl Reach {
    fn of(config: &Config) -> Self {
        #[cfg(unix)]
        {
            let is_local = |host: &&Host| matches!(host, Host::Unix(_));
            let (hosts, local) = (
                config.get_hosts(),
                config.get_hosts().iter().filter(is_local).count(),
            );
            let any_server = config.get_target_session_attrs() == TargetSessionAttrs::Any;
            if local > 0 && local == hosts.len() && config.get_hostaddrs().is_empty() && any_server
            {
                return Self::Local;
            }
            if local > 0 {
                return Self::Mixed;
            }
        }
        let _ = Self::Mixed;
        Self::Network
    }
}

#[cfg(unix)]
async fn connect_locally<T>(
    config: &Config,
    tunnel: &Tunnel<T>,
    session: Arc<Session>,
) -> Result<(Client, Driver), Error> {
    let mut config = config.clone();
    config.ssl_mode(SslMode::Disable);
    let mut failed = None;
    for path in local_sockets(&config) {
        let Ok(stream) = UnixStream::connect(&path).await else {
            continue;
        };
        let (client, connection) = match config.connect_raw(tunnel.wire(stream), NoTls).await {
            Ok(connected) => connected,
            Err(error) => {
                failed = Some(error);
                continue;
            }
        };
        let token = client.cancel_token();
        let cancel = CancelToken::new(move || {
            let (token, path, config) = (token.clone(), path.clone(), config.clone());
            async move {
                match UnixStream::connect(&path).await {
                    Ok(stream) => token.cancel_query_raw(stream, NoTls).await,
                    // The driver says why, in its own words.
                    Err(_) => config.connect(NoTls).await.map(drop),
                }
            }
        });
        return Ok((client, Driver::start(connection, cancel, session)));
    }
    match failed {
        Some(error) => Err(error),
        // None can be reached: the driver says why, in its own words, unless one has just come up.
        None => {
            drop(config.connect(NoTls).await?);
            Box::pin(connect_locally(&config, tunnel, session)).await
        }
    }
}

/// The sockets in the directories that stand for hosts.
#[cfg(unix)]
fn local_sockets(config: &Config) -> Vec<PathBuf> {
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate();
    let socket = |(i, host): (usize, &Host)| match host {
        Host::Unix(directory) => {
            let port = ports.get(i).or(ports.first()).copied();
            let port = port.unwrap_or(endpoint::DEFAULT_PORT);
            Some(directory.join(format!(".s.PGSQL.{port}")))
        }
        Host::Tcp(_) => None,
    };
    hosts.filter_map(socket).collect()
}

/// What the task is told from outside.
struct Told {
    /// Ends with the owner.
    let_go: oneshot::Receiver<()>,
    give_up: GiveUp,
}

async fn drive(
    connection: impl Future<Output = Result<(), Error>>,
    told: Told,
    session: Arc<Session>,
    cancel: CancelToken,
    end: Arc<OnceLock<Error>>,
) {
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
    let _ = timeout(GRACE, cancel.cancel_query()).await;
}
