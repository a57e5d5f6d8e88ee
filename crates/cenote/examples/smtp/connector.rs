//! How a pool opens SMTP sessions and judges them.

use cenote::net::{Dialer, Host, each_host};
use cenote::{Connect, ConnectionInfo, Dial, FailureKind, Verdict};

use super::session::{Session, SmtpError};

pub struct Smtp {
    hosts: Vec<Host>,
    dialer: Dialer,
    /// Who we say we are.
    name: String,
}

impl Smtp {
    /// Sessions with the first of these hosts that takes us.
    pub fn new(hosts: impl IntoIterator<Item = Host>, name: impl Into<String>) -> Self {
        Self {
            hosts: hosts.into_iter().collect(),
            dialer: Dialer::new(),
            name: name.into(),
        }
    }

    async fn begin(&self, host: &Host, dial: &Dial) -> Result<Session, SmtpError> {
        let socket = self.dialer.connect(host, dial).await?;
        let mut session = Session::new(socket);
        session.begin(&self.name).await?;
        Ok(session)
    }
}

impl Connect for Smtp {
    type Connection = Session;
    type Error = SmtpError;

    async fn connect(&self, dial: &Dial) -> Result<Session, SmtpError> {
        let tried = each_host(&self.hosts, dial, |host, dial| async move {
            Ok(self.begin(host, &dial).await?)
        });
        tried
            .await
            .map_err(|all| all.into_only().unwrap_or_else(SmtpError::Hosts))
    }

    fn endpoint(&self) -> Option<String> {
        let hosts: Vec<_> = self.hosts.iter().map(ToString::to_string).collect();
        Some(hosts.join(","))
    }

    fn is_open(&self, session: &Session) -> bool {
        session.is_open()
    }

    fn verdict(&self, session: &mut Session) -> Verdict {
        if session.is_over() {
            Verdict::Close
        } else if session.is_fresh() {
            Verdict::Reuse
        } else {
            Verdict::Reset
        }
    }

    async fn reset(&self, session: &mut Session, _: &ConnectionInfo) -> Result<(), SmtpError> {
        session.reset().await
    }

    async fn check(&self, session: &mut Session, _: &ConnectionInfo) -> Result<(), SmtpError> {
        session.noop().await
    }

    async fn close(&self, mut session: Session, _: &ConnectionInfo) {
        // A server that is not interested in a goodbye is not interested in an error either.
        let _ = session.quit().await;
    }

    fn classify(&self, error: &SmtpError) -> FailureKind {
        match error {
            SmtpError::Dial(error) => error.classify(),
            SmtpError::Hosts(all) => all.classify(|error| self.classify(error)),
            SmtpError::Refused { reply, .. } => match reply.code {
                421 => FailureKind::Full,
                500..=599 => FailureKind::Final,
                _ => FailureKind::Transient,
            },
            _ => FailureKind::Transient,
        }
    }
}
