//! Asks the server, by a session of its own, what became of another: the only way to tell one that works for
//! long from one that is lost.

use std::time::Duration;

use cenote::Dial;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::connection::PgConnection;
use crate::connector::PostgresConnector;
use crate::endpoint::Users;
use crate::error::Error;

/// What tells one session of a server from every other, of other servers too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// When the server started.
    server: Box<str>,
    /// Its process, and when that started.
    process: i32,
    session: Box<str>,
}

/// What the server says of a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// A statement runs in it.
    AtWork,
    /// It has nothing to do, so that what was sent or what it answered is lost; or it is gone.
    Lost(&'static str),
    /// Nobody answers, or not the server that the session is on.
    Unreachable,
    /// The server answers, and says nothing of the session.
    Unknown,
}

const OWN: &str = "SELECT extract(epoch FROM pg_catalog.pg_postmaster_start_time()), pid, \
     extract(epoch FROM backend_start) \
     FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()";

impl Identity {
    /// Of the session that this is the connection of. `None` where the server does not say.
    pub(super) async fn of(conn: &PgConnection) -> Option<Self> {
        let row = row(conn.untracked(), OWN).await?;
        Some(Self {
            server: row[0].clone()?,
            process: row[1].as_ref()?.parse().ok()?,
            session: row[2].clone()?,
        })
    }
}

/// Asks for the session; one that has had nothing to do for less than `long` counts as at work.
pub(super) async fn ask(
    connector: &PostgresConnector,
    dial: &Dial,
    identity: &Identity,
    long: Duration,
) -> Finding {
    let conn = match connector.dial(Users::Many, dial).await {
        Ok(conn) => conn,
        Err(error) => return refusal(&error),
    };
    let sql = format!(
        "SELECT extract(epoch FROM pg_catalog.pg_postmaster_start_time()), \
         extract(epoch FROM backend_start), state, \
         state_change < pg_catalog.clock_timestamp() - interval '{} ms' \
         FROM (VALUES (1)) AS one LEFT JOIN pg_catalog.pg_stat_activity ON pid = {}",
        long.as_millis(),
        identity.process
    );
    let row = row(conn.untracked(), &sql).await;
    let finding = row.map_or(Finding::Unknown, |row| found(identity, &row));
    conn.close().await;
    finding
}

fn found(identity: &Identity, row: &[Option<Box<str>>]) -> Finding {
    if row[0].as_ref() != Some(&identity.server) {
        return Finding::Unreachable;
    }
    if row[1].as_ref() != Some(&identity.session) {
        return Finding::Lost("its session on the server is gone");
    }
    match (row[2].as_deref(), row[3].as_deref()) {
        (Some("idle"), Some("t")) => Finding::Lost("its session on the server has nothing to do"),
        (Some("idle" | "active"), _) => Finding::AtWork,
        _ => Finding::Unknown,
    }
}

/// What a server says that takes no session more. One that starts up has none.
fn refusal(error: &Error) -> Finding {
    match error.code() {
        None => Finding::Unreachable,
        Some(code) if *code == SqlState::CANNOT_CONNECT_NOW => Finding::Unreachable,
        Some(_) => Finding::Unknown,
    }
}

async fn row(client: &Client, sql: &str) -> Option<Vec<Option<Box<str>>>> {
    let messages = client.simple_query(sql).await.ok()?;
    messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|i| row.get(i).map(Box::from)).collect())
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(row: [Option<&str>; 4]) -> Finding {
        let identity = Identity {
            server: "1700000000.1".into(),
            process: 42,
            session: "1700000001.2".into(),
        };
        found(&identity, &row.map(|text| text.map(Box::from)))
    }

    #[test]
    fn a_session_is_lost_when_its_server_says_that_it_is_gone_or_idle_for_long() {
        let (server, session) = (Some("1700000000.1"), Some("1700000001.2"));
        let lost = |finding| matches!(finding, Finding::Lost(_));
        assert!(lost(of([server, session, Some("idle"), Some("t")])));
        assert!(lost(of([server, None, None, None])));
        assert!(lost(of([
            server,
            Some("1700000009.9"),
            Some("active"),
            Some("f")
        ])));
        for state in [["idle", "f"], ["active", "t"], ["active", "f"]] {
            let row = [server, session, Some(state[0]), Some(state[1])];
            assert_eq!(of(row), Finding::AtWork);
        }
    }

    #[test]
    fn another_server_and_one_that_hides_sessions_prove_nothing() {
        let (server, session) = (Some("1700000000.1"), Some("1700000001.2"));
        let other = of([Some("1800000000.1"), None, None, None]);
        assert_eq!(other, Finding::Unreachable);
        assert_eq!(of([server, session, None, None]), Finding::Unknown);
        assert_eq!(
            of([server, session, Some("disabled"), None]),
            Finding::Unknown
        );
    }
}
