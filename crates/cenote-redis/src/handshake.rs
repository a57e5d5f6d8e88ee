//! Sets a session up, and puts one back to what it was set up as.
//!
//! The password appears in no error, even when the server quotes it.

use crate::cmd::Cmd;
use crate::connection::RedisConnection;
use crate::endpoint::{Endpoint, Protocol};
use crate::error::{RedisError, ServerError};
use crate::mastership::role_in;
use crate::session::{Session, is_without_multi};
use crate::value::Value;

/// A command of the handshake and what errors call it.
type Step = (&'static str, Cmd);

/// Logs in, names the connection and selects the database. The role that the server says it has, if it does.
pub(crate) async fn open_session(
    conn: &mut RedisConnection,
    endpoint: &Endpoint,
) -> Result<Option<String>, RedisError> {
    if endpoint.protocol == Protocol::Resp3 {
        let steps = resp3_steps(endpoint);
        let replies = run(conn, &steps).await?;
        match &replies[0] {
            Value::Error(error) if refuses_resp3(error) => {}
            hello => {
                let role = role_in(hello);
                judge(conn, endpoint, &steps, replies)?;
                return Ok(role);
            }
        }
    }
    let steps = resp2_steps(endpoint);
    let replies = run(conn, &steps).await?;
    judge(conn, endpoint, &steps, replies)?;
    Ok(None)
}

fn resp3_steps(endpoint: &Endpoint) -> Vec<Step> {
    let mut hello = Cmd::new("HELLO").arg(3);
    if let Some(credentials) = &endpoint.credentials {
        let user = credentials.user.as_deref().unwrap_or("default");
        hello = hello.arg("AUTH").arg(user).arg(&credentials.password);
    }
    if let Some(name) = &endpoint.client_name {
        hello = hello.arg("SETNAME").arg(name);
    }
    let mut steps = vec![("HELLO", hello)];
    steps.extend(select_step(endpoint));
    steps
}

fn resp2_steps(endpoint: &Endpoint) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(credentials) = &endpoint.credentials {
        let auth = credentials.user.iter().fold(Cmd::new("AUTH"), Cmd::arg);
        steps.push(("AUTH", auth.arg(&credentials.password)));
    }
    if let Some(name) = &endpoint.client_name {
        steps.push((
            "CLIENT SETNAME",
            Cmd::new("CLIENT").arg("SETNAME").arg(name),
        ));
    }
    steps.extend(select_step(endpoint));
    if steps.is_empty() {
        // A missing password must show here and not at the user's first command.
        steps.push(("PING", Cmd::new("PING")));
    }
    steps
}

fn select_step(endpoint: &Endpoint) -> Option<Step> {
    match endpoint.database {
        0 => None,
        database => Some(("SELECT", Cmd::new("SELECT").arg(database))),
    }
}

async fn run(conn: &mut RedisConnection, steps: &[Step]) -> Result<Vec<Value>, RedisError> {
    let cmds: Vec<Cmd> = steps.iter().map(|(_, cmd)| cmd.clone()).collect();
    conn.exchange(&cmds).await
}

fn judge(
    conn: &RedisConnection,
    endpoint: &Endpoint,
    steps: &[Step],
    replies: Vec<Value>,
) -> Result<(), RedisError> {
    let password = endpoint
        .credentials
        .as_ref()
        .map(|credentials| credentials.password.as_str());
    for ((step, _), reply) in steps.iter().zip(replies) {
        if let Value::Error(error) = reply {
            // It is asked for a missing login only, and not every user may ask.
            if *step == "PING" && error.code() == "NOPERM" {
                continue;
            }
            return Err(conn.handshake_error(step, error.without(password)));
        }
    }
    Ok(())
}

/// Whether the server has no HELLO or no RESP3 for us, so that RESP2 is worth a try: servers before Redis 6 know no
/// HELLO, some later ones refuse version 3, an access list or a proxy may refuse the command. What RESP2 would run
/// into as well (a wrong password, a server that is still loading) is no such refusal.
fn refuses_resp3(error: &ServerError) -> bool {
    let message = error.message().to_ascii_lowercase();
    match error.code() {
        "NOPROTO" | "NOPERM" => true,
        // Sent before the connection is closed.
        "ERR" => !message.contains("max number of clients"),
        _ => message.contains("unknown command"),
    }
}

/// Reads what is owed and puts the session back to what `open_session` made of it.
pub(crate) async fn restore_session(
    conn: &mut RedisConnection,
    endpoint: &Endpoint,
) -> Result<(), RedisError> {
    conn.drain().await?;
    let left = conn.session();
    if left.identity {
        // RESET undoes all the rest as well, and the login with it.
        let step = ("RESET", Cmd::new("RESET"));
        let replies = run(conn, std::slice::from_ref(&step)).await?;
        judge(conn, endpoint, &[step], replies)?;
        open_session(conn, endpoint).await?;
    } else {
        let steps = undo_steps(left, endpoint.database);
        let replies = run(conn, &steps).await?;
        let replies = replies.into_iter().map(forgive_no_transaction).collect();
        judge(conn, endpoint, &steps, replies)?;
    }
    conn.forget();
    conn.expect_clean()
}

fn undo_steps(left: Session, home: u32) -> Vec<Step> {
    let mut steps = Vec::new();
    if left.transaction {
        // Ends the WATCH as well.
        steps.push(("DISCARD", Cmd::new("DISCARD")));
    }
    if left.watching {
        steps.push(("UNWATCH", Cmd::new("UNWATCH")));
    }
    if left.database {
        steps.push(("SELECT", Cmd::new("SELECT").arg(home)));
    }
    steps
}

/// A cancelled MULTI may not have run, and a cancelled EXEC may have: both end where they should.
fn forgive_no_transaction(reply: Value) -> Value {
    if is_without_multi(&reply) {
        Value::Nil
    } else {
        reply
    }
}
