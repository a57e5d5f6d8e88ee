//! A `Pool` of Redis connections.

use std::time::Duration;

use cenote::{OwnedLease, Pool};
use cenote_redis::{Cmd, Message, RedisConnector, Value};

use super::{Cue, Home, SIZE, Target};
use crate::field::Site;
use crate::state::State;
use crate::trouble::Trouble;

/// With the default settings, but for its size.
pub struct RedisExclusive {
    pool: Pool<RedisConnector>,
    name: String,
}

impl RedisExclusive {
    /// A pool for that site.
    pub fn new(site: &Site, home: Home) -> Result<Self, Trouble> {
        let connector = RedisConnector::new(&site.url).map_err(Trouble::failed)?;
        let mut builder = Pool::builder(connector).max_size(SIZE);
        if let Home::Own(runtime) = home {
            builder = builder.runtime(runtime);
        }
        Ok(Self {
            pool: builder.build().map_err(Trouble::failed)?,
            name: site.name.clone(),
        })
    }

    /// What every user changes and some watch.
    fn watched(&self) -> String {
        format!("{}:watched", self.name)
    }
}

/// Bytes of the big reply.
pub(super) const MUCH: usize = 8 << 20;

/// The question with the big reply.
pub(super) fn much(name: &str) -> Cmd {
    Cmd::new("GETRANGE").arg(big(name)).arg(0_i64).arg(MUCH - 1)
}

/// What sets the big value: zeros.
pub fn big_value(name: &str) -> Cmd {
    Cmd::new("SETRANGE").arg(big(name)).arg(MUCH - 1).arg([0])
}

/// The key of the big value.
fn big(name: &str) -> String {
    format!("{name}:big")
}

/// Whether that is all of it.
pub(super) fn judge_much(reply: &Value) -> Result<(), Trouble> {
    match reply {
        Value::Bulk(bytes) if *bytes == vec![0; MUCH] => Ok(()),
        Value::Bulk(bytes) => Err(Trouble::Leak(format!(
            "{} bytes instead of the {MUCH} that were asked for",
            bytes.len()
        ))),
        _ => Err(Trouble::Leak(
            "another reply than the one of many bytes".into(),
        )),
    }
}

/// A transaction that writes the tag and reads it.
pub(super) fn transaction(name: &str, tag: i64) -> [Cmd; 4] {
    let key = format!("{name}:{tag}");
    [
        Cmd::new("MULTI"),
        Cmd::new("SET")
            .arg(&key)
            .arg(tag.to_string())
            .arg("EX")
            .arg("60"),
        Cmd::new("GET").arg(&key),
        Cmd::new("EXEC"),
    ]
}

/// Whether the end of it has the tag.
pub(super) fn judge_transaction(tag: i64, exec: &Value) -> Result<(), Trouble> {
    match exec {
        Value::Array(replies) => match replies.as_slice() {
            [done, answer] if done.is_status("OK") => judge_tag(tag, answer),
            _ => Err(Trouble::Leak(format!(
                "the end of another transaction: {replies:?}"
            ))),
        },
        Value::Nil => Err(Trouble::Leak("a WATCH of another user".into())),
        other => Err(Trouble::Leak(format!(
            "another reply than EXEC's: {other:?}"
        ))),
    }
}

/// Whether that is the tag.
pub(super) fn judge_tag(tag: i64, answer: &Value) -> Result<(), Trouble> {
    match answer {
        Value::Bulk(bytes) if **bytes == *tag.to_string().as_bytes() => Ok(()),
        other => Err(Trouble::Leak(format!(
            "asked for {tag}, answered {other:?}"
        ))),
    }
}

/// Whether `CLIENT INFO` tells of a session as it was made.
pub(super) fn judge_session(info: &Value) -> Result<(), Trouble> {
    let Some(text) = text(info) else {
        return Err(Trouble::Leak(format!(
            "another reply than CLIENT INFO's: {info:?}"
        )));
    };
    for field in text.split_whitespace() {
        let expected = match field.split_once('=') {
            Some(("name", _)) => "name=",
            Some(("db", _)) => "db=0",
            Some(("sub", _)) => "sub=0",
            Some(("psub", _)) => "psub=0",
            Some(("multi", _)) => "multi=-1",
            Some(("user", _)) => "user=default",
            _ => continue,
        };
        if field != expected {
            return Err(Trouble::Leak(format!("a session of another user: {field}")));
        }
    }
    Ok(())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Bulk(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::Verbatim { text: bytes, .. } => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::Simple(text) => Some(text.clone()),
        _ => None,
    }
}

async fn soil(
    lease: &mut OwnedLease<RedisConnector>,
    watched: &str,
    tag: i64,
) -> Result<(), Trouble> {
    let traces = [
        Cmd::new("WATCH").arg(watched),
        Cmd::new("CLIENT").arg("SETNAME").arg(format!("user-{tag}")),
        Cmd::new("SELECT").arg("3"),
    ];
    let replies = lease.pipeline(&traces).await.map_err(Trouble::failed)?;
    replies
        .into_iter()
        .try_for_each(|reply| reply.map(drop).map_err(Trouble::failed))
}

impl Target for RedisExclusive {
    type Lease = OwnedLease<RedisConnector>;

    const DAWDLES: Duration = Duration::from_millis(20);

    async fn get(&self) -> Result<Self::Lease, Trouble> {
        self.pool.get_owned().await.map_err(Trouble::failed)
    }

    async fn ask(&self, lease: &mut Self::Lease, tag: i64) -> Result<(), Trouble> {
        let info = lease.command(&Cmd::new("CLIENT").arg("INFO")).await;
        judge_session(&info.map_err(Trouble::failed)?)?;
        let change = Cmd::new("INCR").arg(self.watched());
        lease.command(&change).await.map_err(Trouble::failed)?;
        let replies = lease.pipeline(&transaction(&self.name, tag)).await;
        let mut exec = Value::Nil;
        for reply in replies.map_err(Trouble::failed)? {
            exec = reply.map_err(Trouble::failed)?;
        }
        judge_transaction(tag, &exec)?;
        // Every other user leaves the session as it was.
        if tag % 2 == 0 {
            soil(lease, &self.watched(), tag).await?;
        }
        Ok(())
    }

    async fn go_on(&self, lease: &mut Self::Lease, tag: i64) -> Result<(), Trouble> {
        // No transaction: what this user watches has changed since.
        let [_, set, get, _] = transaction(&self.name, tag);
        lease.command(&set).await.map_err(Trouble::failed)?;
        judge_tag(tag, &lease.command(&get).await.map_err(Trouble::failed)?)
    }

    async fn ask_much(&self, lease: &mut Self::Lease, _: i64) -> Result<(), Trouble> {
        let reply = lease.command(&much(&self.name)).await;
        judge_much(&reply.map_err(Trouble::failed)?)
    }

    async fn dawdle(&self, lease: &mut Self::Lease, tag: i64) -> Result<(), Trouble> {
        let nothing = format!("{}:nothing", self.name);
        let echo = Cmd::new("ECHO").arg(tag.to_string());
        let answer = lease.command(&echo).await.map_err(Trouble::failed)?;
        judge_tag(tag, &answer)?;
        let wait = Cmd::new("BLPOP").arg(nothing).arg("0.02");
        match lease.command(&wait).await.map_err(Trouble::failed)? {
            Value::Nil => Ok(()),
            other => Err(Trouble::Leak(format!("nothing to be had, and {other:?}"))),
        }
    }

    async fn listen(
        &self,
        lease: &mut Self::Lease,
        channel: &str,
        cue: &mut Cue,
    ) -> Result<(), Trouble> {
        let listening = lease.subscribe([channel]).await;
        listening.map_err(Trouble::failed)?;
        cue.ready();
        loop {
            let message = lease.next_message().await.map_err(Trouble::failed)?;
            match &message {
                Message::Published { channel: from, .. } if **from == *channel.as_bytes() => {}
                other => return Err(Trouble::Leak(format!("a message of others: {other:?}"))),
            }
            if cue.has_begun() {
                return Ok(());
            }
        }
    }

    async fn transact(
        &self,
        lease: &mut Self::Lease,
        tag: i64,
        cue: &mut Cue,
    ) -> Result<(), Trouble> {
        let name = Cmd::new("CLIENT").arg("SETNAME").arg(format!("user-{tag}"));
        lease.command(&name).await.map_err(Trouble::failed)?;
        let [multi, set, get, exec] = transaction(&self.name, tag);
        for cmd in [multi, set] {
            lease.command(&cmd).await.map_err(Trouble::failed)?;
        }
        cue.begun().await;
        let queued = loop {
            if let Some(queued) = cue.wait(lease.command(&get)).await {
                break queued;
            }
        };
        queued.map_err(Trouble::failed)?;
        let end = lease.command(&exec).await.map_err(Trouble::failed)?;
        judge_transaction(tag, &end)
    }

    async fn try_refused(&self, state: State, _: &str) -> Result<(), Trouble> {
        Err(Trouble::Failed(format!(
            "an exclusive connection can be {}",
            state.name()
        )))
    }

    fn status(&self) -> String {
        self.pool.status().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(text: &str) -> Value {
        Value::Verbatim {
            format: *b"txt",
            text: text.as_bytes().to_vec().into(),
        }
    }

    #[test]
    fn a_session_with_another_s_traces_is_recognised() {
        let clean = "id=3 name= db=0 sub=0 psub=0 ssub=0 multi=-1 user=default resp=3";
        assert!(judge_session(&info(clean)).is_ok());
        for (own, another) in [
            ("name=", "name=user-7"),
            ("db=0", "db=3"),
            ("multi=-1", "multi=2"),
        ] {
            let text = clean.replace(own, another);
            assert!(
                matches!(judge_session(&info(&text)), Err(Trouble::Leak(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn the_answer_to_another_question_is_recognised() {
        let reply = |tag: &'static str| {
            Value::Array(vec![Value::Simple("OK".into()), Value::Bulk(tag.into())])
        };
        assert!(judge_transaction(7, &reply("7")).is_ok());
        for other in [reply("8"), Value::Nil, Value::Simple("OK".into())] {
            assert!(
                matches!(judge_transaction(7, &other), Err(Trouble::Leak(_))),
                "{other:?}"
            );
        }
    }
}
