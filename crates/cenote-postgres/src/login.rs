//! One attempt at one host: socket, TLS, login, and whether the server plays the role that is asked for.

use std::sync::Arc;

use cenote::Dial;
use cenote::net::{Dialer, Host, HostFailure, Socket};
use tokio_postgres::Config;

use crate::connection::PgConnection;
use crate::driver::{Driver, Target};
use crate::error::ConnectCause;
use crate::role::{Candidacy, Role};
use crate::session::{Peer, Session};
use crate::silence::Patience;
use crate::statements::{Bounds, Statements};
use crate::traces::Judge;
use crate::tunnel::{Made, Protection};
use crate::wire::{Naming, Wire};

/// What a login at any of the hosts takes.
pub(crate) struct Login<'a> {
    pub(crate) dialer: Dialer,
    pub(crate) protection: Protection,
    /// The driver's.
    pub(crate) settings: Config,
    pub(crate) judge: &'a Judge,
    pub(crate) peer: Peer,
    pub(crate) patience: Patience,
    pub(crate) statement_cache: Bounds,
    /// `None`: any server will do.
    pub(crate) sought: Option<Sought>,
}

/// Which servers will do.
pub(crate) enum Sought {
    /// Those with this role, by the settings, as the session begins.
    Role(Role),
    /// Those that a pool of a cluster wants, and for as long as it does.
    For(Candidacy),
}

impl Login<'_> {
    /// A session on this host, or whether the next is to be tried.
    pub(crate) async fn at(
        &self,
        host: &Host,
        dial: Dial,
    ) -> Result<PgConnection, HostFailure<ConnectCause>> {
        let outcome = match self.settings.get_connect_timeout() {
            None => self.attempt(host, &dial).await,
            // The walk watches the host's share of the dial; this is another bound, as libpq has it.
            Some(limit) if dial.remaining().is_none_or(|left| *limit < left) => {
                let dial = dial.shortened(*limit);
                let attempt = self.attempt(host, &dial);
                let outcome = cenote::time::timeout(*limit, attempt).await;
                outcome.unwrap_or(Err(ConnectCause::TimedOut(*limit)))
            }
            Some(_) => self.attempt(host, &dial).await,
        };
        outcome.map_err(|cause| match cause.holds_everywhere() {
            true => HostFailure::Stop(cause),
            false => HostFailure::TryNext(cause),
        })
    }

    async fn attempt(&self, host: &Host, dial: &Dial) -> Result<PgConnection, ConnectCause> {
        let socket = self.dialer.connect(host, dial).await;
        let socket = socket.map_err(ConnectCause::Unreachable)?;
        let target = Target {
            host: match &socket {
                Socket::Tcp(socket) => match socket.peer_addr() {
                    Ok(address) => Host::from(address),
                    // It has ended already, as the login will find out.
                    Err(_) => host.clone(),
                },
                _ => host.clone(),
            },
            name: host.name().map(Box::from),
            dialer: self.dialer.clone(),
            protection: self.protection.clone(),
        };
        let stream = self.protection.protect(socket, host.name()).await?;
        let session = Arc::new(Session::new(self.judge.clone(), self.peer, self.patience));
        let wire = Wire::new(stream, self.naming(), session.status().clone());
        let login = self.settings.connect_raw(tokio::io::empty(), Made(wire));
        let (client, connection) = login.await.map_err(ConnectCause::Login)?;
        let driver = Driver::start(
            connection,
            client.cancel_token(),
            target,
            session.clone(),
            dial.signals(),
        );
        let statements = Statements::new(self.statement_cache);
        let mut conn = PgConnection::new(client, driver, session, statements);
        let Some(sought) = &self.sought else {
            return Ok(conn);
        };
        let role = conn.role().await.map_err(ConnectCause::Login)?;
        let is_wanted = match sought {
            Sought::Role(wanted) => *wanted == role,
            Sought::For(candidacy) => {
                let tenure = candidacy.tenure(role, conn.session().status());
                tenure.map(|tenure| conn.admit(tenure)).is_some()
            }
        };
        match is_wanted {
            true => Ok(conn),
            false => Err(ConnectCause::OtherRole {
                is_read_only: role.is_read_only(),
            }),
        }
    }

    fn naming(&self) -> Naming {
        match self.peer {
            Peer::Server => Naming::unique(),
            Peer::TransactionPooler => Naming::Nameless,
        }
    }
}
