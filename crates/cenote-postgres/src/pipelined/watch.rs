//! The watch over one shared connection: a task that counts how long the server has been silent, asks for a
//! sign of life where nothing is owed, asks the server by another way what became of the session where
//! something is, and ends the connection when it is dead.
//!
//! Promises that a connection on which the server is still at work lives however slow it is, while somebody
//! waits for it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use cenote::Dial;
use cenote::time::{sleep, timeout};
use tokio::task::AbortHandle;
use tokio_postgres::Client;

use super::probe::{Finding, Identity, ask};
use super::vitals::{Patience, TURNS, Vitals};
use crate::connector::PostgresConnector;
use crate::session::Peer;

/// The owner's end of the task, which ends with it.
#[derive(Debug)]
pub(super) struct Watch(AbortHandle);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the task works with.
pub(super) struct Watched {
    pub(super) vitals: Arc<Vitals>,
    pub(super) client: Weak<Client>,
    /// What the server can be asked about; `None` where it does not say.
    pub(super) identity: Option<Identity>,
    pub(super) peer: Peer,
    pub(super) connector: PostgresConnector,
    pub(super) patience: Patience,
}

/// How the ping stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ping {
    /// The connection is in use, or has not been quiet for long.
    None,
    /// It was sent when nothing was owed, and is not answered.
    Sent,
}

/// What is to be thought of a connection.
enum Outlook {
    /// It will answer.
    Fair,
    /// Nobody can tell yet.
    Unknown,
    /// It will not, for this reason.
    Over(String),
}

impl Watched {
    pub(super) fn start(self) -> Watch {
        Watch(tokio::spawn(self.run()).abort_handle())
    }

    async fn run(self) {
        let (vitals, patience) = (&*self.vitals, self.patience);
        let (mut heard, mut silent, mut quiet) = (vitals.heard(), 0, 0);
        let mut ask_after = TURNS;
        let mut ping = Ping::None;
        loop {
            sleep(patience.turn()).await;
            if vitals.end_reason().is_some() || self.client.strong_count() == 0 {
                return;
            }
            let before = std::mem::replace(&mut heard, vitals.heard());
            let is_owed = vitals.is_owed();
            if heard != before {
                (silent, quiet, ask_after, ping) = (0, 0, TURNS, Ping::None);
                vitals.question(false);
            } else if is_owed {
                (silent, quiet) = (silent + 1, 0);
            } else {
                (silent, quiet) = (0, quiet + 1);
            }
            vitals.looked(silent);
            let silence = patience.turn() * silent;
            if vitals.is_deserted() {
                return vitals.end(|| {
                    let count = patience.max_timeouts;
                    format!(
                        "no answer for {silence:.1?} while {count} callers or more in a row gave up, \
                         and nobody waits any more"
                    )
                });
            }
            if ping == Ping::Sent && silent >= TURNS / 2 && !vitals.is_awaited() {
                return vitals.end(|| format!("a ping had no answer for {silence:.1?}"));
            }
            // A pooler answers when it has a session to spare.
            if quiet >= TURNS && self.peer == Peer::Server {
                quiet = 0;
                ping = Ping::Sent;
                self.ping();
            }
            if silent >= ask_after {
                ask_after = match self.inquire(silence).await {
                    Outlook::Over(reason) => return vitals.end(|| reason),
                    // A statement that takes long is asked about less and less often.
                    Outlook::Fair => silent.saturating_mul(2),
                    Outlook::Unknown => silent + TURNS / 2,
                };
            }
        }
    }

    /// An empty query. What comes of it shows in what is owed and heard.
    fn ping(&self) {
        let Some(client) = self.client.upgrade() else {
            return;
        };
        let owed = self.vitals.owe();
        tokio::spawn(async move {
            let _ = client.simple_query("").await;
            drop(owed);
        });
    }

    /// Asks the server by a connection of its own. Until that is settled, the connection gets no new caller.
    async fn inquire(&self, silence: Duration) -> Outlook {
        let Self {
            vitals,
            identity,
            connector,
            patience,
            ..
        } = self;
        let before = vitals.heard();
        vitals.question(true);
        let finding = match identity {
            None => Finding::Unknown,
            Some(identity) => {
                let dial = Dial::within(patience.silence_limit);
                let asking = ask(connector, &dial, identity, silence / 2);
                // The watch is seen at work meanwhile.
                timeout(patience.silence_limit, asking)
                    .await
                    .unwrap_or(Finding::Unreachable)
            }
        };
        vitals.beat();
        let outlook = match finding {
            // It came while the server was asked.
            _ if vitals.heard() != before => Outlook::Fair,
            Finding::AtWork | Finding::Unknown => Outlook::Fair,
            Finding::Lost(what) => {
                Outlook::Over(format!("no answer for {silence:.1?}, and {what}"))
            }
            Finding::Unreachable if vitals.is_given_up() => Outlook::Over(format!(
                "no answer for {silence:.1?}, callers gave up, and the server is not to be reached"
            )),
            Finding::Unreachable => Outlook::Unknown,
        };
        vitals.question(matches!(outlook, Outlook::Unknown));
        outlook
    }
}
