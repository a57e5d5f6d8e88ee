//! That the server of a connection is the master, where a connector asks for one.
//!
//! The server says so as the connection is opened, by its reply to HELLO or to ROLE: sentinels, and all else that names
//! a master, may be late. From then on it is believed until a server says `READONLY` on any connection of the connector:
//! that ends the *term* of them all, so that one failed command is the cost of a demotion, not one for each connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::cmd::Cmd;
use crate::connection::RedisConnection;
use crate::convert::FromReply;
use crate::error::RedisError;
use crate::value::Value;

/// Of a connector that asks for a master, and of its clones. Counts the terms that are over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mastership(Arc<AtomicU64>);

impl Mastership {
    /// Of a connection that is about to be opened.
    pub(crate) fn term(&self) -> Term {
        Term {
            number: self.0.load(Relaxed),
            over: Arc::clone(&self.0),
        }
    }
}

/// For as long as no server has said that it is a replica since this began.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    number: u64,
    over: Arc<AtomicU64>,
}

impl Term {
    /// A server is a replica. What is heard of a term that is over already ends no other.
    pub(crate) fn end(&self) {
        let next = self.number + 1;
        let _ = self
            .over
            .compare_exchange(self.number, next, Relaxed, Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Relaxed) != self.number
    }
}

/// What the reply to HELLO says of the server's role, if it does.
pub(crate) fn role_in(hello: &Value) -> Option<String> {
    let pairs = match hello {
        Value::Map(pairs) => pairs,
        _ => return None,
    };
    let is_role = |name: &Value| matches!(name, Value::Bulk(name) if name == "role");
    let (_, role) = pairs.iter().find(|(name, _)| is_role(name))?;
    String::from_reply(role.clone()).ok()
}

/// Fails unless the server is a master, by what it has said at the login, or else by what it says now.
pub(crate) async fn expect_master(
    conn: &mut RedisConnection,
    said: Option<String>,
) -> Result<(), RedisError> {
    let role = match said {
        Some(role) => role,
        None => asked_role(conn).await?,
    };
    match role.as_str() {
        "master" => Ok(()),
        role => Err(RedisError::NotMaster {
            endpoint: conn.endpoint().clone(),
            role: match role {
                "slave" | "replica" => "a replica",
                "sentinel" => "a sentinel",
                _ => "of another role",
            },
        }),
    }
}

async fn asked_role(conn: &mut RedisConnection) -> Result<String, RedisError> {
    let replies = conn.exchange(&[Cmd::new("ROLE")]).await?;
    match replies.into_iter().next() {
        Some(Value::Error(reply)) => Err(conn.handshake_error("ROLE", reply)),
        Some(Value::Array(said)) => {
            let role = said.into_iter().next().map(String::from_reply);
            Ok(role.and_then(Result::ok).unwrap_or_default())
        }
        _ => Ok(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demotion_ends_the_term_of_all_and_a_late_word_of_it_no_other() {
        let mastership = Mastership::default();
        let [one, other] = [mastership.term(), mastership.clone().term()];
        one.end();
        assert!(one.is_over() && other.is_over());
        let next = mastership.term();
        other.end();
        assert!(!next.is_over());
    }
}
