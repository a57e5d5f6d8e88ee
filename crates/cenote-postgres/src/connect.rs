//! Opens connections as a connector is set, and answers what a pool asks of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cenote::net::{HostCause, each_host};
use cenote::{Connect, ConnectionInfo, Dial, FailureKind, Verdict};
#[cfg(feature = "rustls")]
use tokio_postgres::config::SslMode;
use tokio_postgres::config::{LoadBalanceHosts, TargetSessionAttrs};

use crate::connection::PgConnection;
use crate::connector::PostgresConnector;
use crate::endpoint::{self, Users};
use crate::error::{ConnectCause, Error};
use crate::login::{Login, Sought};
use crate::reset::ResetError;
use crate::role::{Role, Tenure};
use crate::session::Peer;
use crate::silence::Patience;
use crate::tunnel::{Made, Protection};

impl PostgresConnector {
    /// Opens a connection, logs in and sets the session up.
    pub(crate) async fn connect_for(
        &self,
        users: Users,
        dial: &Dial,
    ) -> Result<PgConnection, Error> {
        if self.peer == Peer::TransactionPooler && self.setup.is_some() {
            return Err(Error::SetupBehindPooler {
                endpoint: self.endpoint.clone(),
            });
        }
        let conn = self.dial(users, dial).await?;
        if let Some(setup) = &self.setup {
            conn.set_up(setup).await.map_err(|cause| {
                let endpoint = self.endpoint.clone();
                Error::Setup { endpoint, cause }
            })?;
        }
        if self.is_for_reading(&conn) {
            conn.session().begins_read_only();
        }
        Ok(conn)
    }

    /// Whether a session that begins is read-only on purpose. Where one before took writes it is not: the server has
    /// been demoted, or the name leads to a standby for a while.
    fn is_for_reading(&self, conn: &PgConnection) -> bool {
        let status = conn.session().status();
        let is_read_only = status.is_read_only();
        match conn.session().tenure().map(Tenure::role) {
            Some(Role::Replica) => return true,
            // Its server took writes just now, and no statement made it a standby.
            Some(Role::Primary) => {
                return self.setup.is_some() && is_read_only && status.is_standby() == Some(false);
            }
            None => {}
        }
        if !is_read_only {
            self.has_met_writable.store(true, Ordering::Relaxed);
        }
        let attributes = self.config.get_target_session_attrs();
        attributes == TargetSessionAttrs::ReadOnly
            || is_read_only && !self.has_met_writable.load(Ordering::Relaxed)
    }

    /// Opens a connection and logs in: at the first of the hosts that lets it.
    pub(crate) async fn dial(&self, users: Users, dial: &Dial) -> Result<PgConnection, Error> {
        let sought = match (&self.post, self.config.get_target_session_attrs()) {
            (Some(post), _) => Some(Sought::For(post.candidacy())),
            (None, TargetSessionAttrs::ReadWrite) => Some(Sought::Role(Role::Primary)),
            (None, TargetSessionAttrs::ReadOnly) => Some(Sought::Role(Role::Replica)),
            (None, _) => None,
        };
        let login = Login {
            dialer: endpoint::dialer(&self.config, users),
            protection: self.protection(),
            settings: Made::<()>::settings(&self.config),
            judge: &self.judge,
            peer: self.peer,
            patience: match users {
                Users::One => self.patience,
                // They have a watch of their own.
                Users::Many => Patience::ENDLESS,
            },
            statement_cache: self.statement_cache,
            sought,
        };
        let mut hosts = self.hosts();
        if self.config.get_load_balance_hosts() == LoadBalanceHosts::Random {
            fastrand::shuffle(&mut hosts);
        }
        let walk = each_host(&hosts, dial, |host, dial| login.at(host, dial));
        walk.await.map_err(|failures| {
            let only = match failures.failures() {
                [(_, HostCause::TimedOut(limit))] => Ok(ConnectCause::Silent(*limit)),
                _ => failures.into_only(),
            };
            match only {
                Ok(cause) => Error::Connect {
                    endpoint: self.endpoint.clone(),
                    cause,
                },
                Err(failures) => Error::ConnectEach { failures },
            }
        })
    }

    #[cfg(feature = "rustls")]
    fn protection(&self) -> Protection {
        let given = self.tls.clone();
        let tls = match self.config.get_ssl_mode() {
            SslMode::Disable => None,
            _ => given.or_else(crate::tls::with_system_roots),
        };
        Protection::new(&self.config, tls)
    }

    #[cfg(not(feature = "rustls"))]
    fn protection(&self) -> Protection {
        Protection::new(&self.config)
    }

    /// One round trip, by which it is also known whether the server still has the role that it is to have.
    pub(crate) async fn ask(&self, conn: &PgConnection) -> Result<(), Error> {
        let role = conn.check().await.map_err(|cause| {
            self.explain(conn, cause, |endpoint, cause| Error::Check {
                endpoint,
                cause,
            })
        })?;
        match role.and_then(|now| conn.session().judge_role(now)) {
            None => Ok(()),
            Some(reason) => Err(Error::RoleChanged {
                endpoint: self.endpoint.clone(),
                reason,
            }),
        }
    }

    /// An error of a connection that ended says only that; what ended it says more.
    fn explain(
        &self,
        conn: &PgConnection,
        cause: tokio_postgres::Error,
        otherwise: fn(Arc<str>, tokio_postgres::Error) -> Error,
    ) -> Error {
        let endpoint = self.endpoint.clone();
        match conn.end_reason() {
            Some(reason) if cause.is_closed() => Error::Closed { endpoint, reason },
            _ => otherwise(endpoint, cause),
        }
    }
}

impl Connect for PostgresConnector {
    type Connection = PgConnection;
    type Error = Error;

    /// Opens a connection, logs in and runs [`setup`](PostgresConnector::setup).
    async fn connect(&self, dial: &Dial) -> Result<PgConnection, Error> {
        self.connect_for(Users::One, dial).await
    }

    /// Final for what only you can change (a host or database that does not exist, TLS that fails, no PostgreSQL
    /// server), credentials for a name or password that is refused, full where the server has no session free.
    fn classify(&self, error: &Error) -> FailureKind {
        error.kind()
    }

    /// False once the server closed the connection, or it broke, or its server has not the role any more that a
    /// [`PostgresCluster`](crate::PostgresCluster) wants.
    fn is_open(&self, conn: &PgConnection) -> bool {
        !conn.is_closed() && conn.keeps_role()
    }

    /// As [`ResetMode`](crate::ResetMode) says; close when the connection ended, gave a cancel token away, or lost its
    /// prepared statements.
    fn verdict(&self, conn: &mut PgConnection) -> Verdict {
        conn.verdict(self.reset_mode)
    }

    /// Host and port, as errors name them.
    fn endpoint(&self) -> Option<String> {
        Some(self.endpoint.to_string())
    }

    /// An empty query, or for the pool of a [`PostgresCluster`](crate::PostgresCluster) whose server does not report its
    /// role by itself the question for that: one round trip.
    async fn check(&self, conn: &mut PgConnection, _: &ConnectionInfo) -> Result<(), Error> {
        self.ask(conn).await
    }

    /// Waits for outstanding replies, undoes what was left as [`ResetMode`](crate::ResetMode) lists it, and runs
    /// [`setup`](PostgresConnector::setup): one round trip.
    async fn reset(&self, conn: &mut PgConnection, _: &ConnectionInfo) -> Result<(), Error> {
        match conn.reset(self.setup.as_deref()).await {
            Ok(()) => Ok(()),
            Err(ResetError::Unclean(reason)) => Err(Error::Unclean {
                endpoint: self.endpoint.clone(),
                reason,
            }),
            Err(ResetError::Server(cause)) => Err(self.explain(conn, cause, |endpoint, cause| {
                Error::Reset { endpoint, cause }
            })),
        }
    }

    /// Says goodbye and waits until the server has ended the session, for a second at most.
    async fn close(&self, conn: PgConnection, _: &ConnectionInfo) {
        conn.close().await;
    }
}
