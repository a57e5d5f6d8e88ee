//! A server that is only slow, or has nothing to say: its connections live, however soon a silent one is given up.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;
mod impatient;

use std::time::Duration;

use cenote::{Connect, Dial};
use cenote_redis::{Cmd, Message, PipelinedConnector, RedisConnection, RedisConnector, Value};
use cenote_testkit::RedisServer;
use fake::ends;
use impatient::{SOON, command, connector};
use tokio::time::timeout;

/// Asks as soon, and waits long: for connections that must live on a machine that is busy with other things.
fn patient(address: impl std::fmt::Display, protocol: u8) -> RedisConnector {
    connector(address, protocol).ping_timeout(Duration::from_secs(30))
}

async fn pings(admin: &mut RedisConnection) -> u64 {
    let stats: String = admin.query(&command("INFO commandstats")).await.unwrap();
    let line = stats.lines().find(|line| line.starts_with("cmdstat_ping:"));
    line.map_or(0, |line| {
        let calls = line.split(['=', ',']).nth(1).unwrap();
        calls.parse().unwrap()
    })
}

/// redis #420: a quiet channel is no dead connection, and the answers to PING are no messages.
#[tokio::test]
async fn a_listener_that_hears_nothing_but_pongs_lives_and_hears_the_next_message() {
    let server = RedisServer::start().unwrap();
    let mut admin = connector(server.addr(), 3)
        .connect(&Dial::new())
        .await
        .unwrap();
    for protocol in [3, 2] {
        let before = pings(&mut admin).await;
        let mut conn = patient(server.addr(), protocol)
            .connect(&Dial::new())
            .await
            .unwrap();
        conn.command(&command("SUBSCRIBE news")).await.unwrap();
        let message = tokio::spawn(async move { conn.next_message().await.unwrap() });
        while pings(&mut admin).await < before + 4 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let heard: i64 = admin.query(&command("PUBLISH news hello")).await.unwrap();
        assert_eq!(heard, 1);
        let message = ends("the message", message).await.unwrap();
        assert!(
            matches!(message, Message::Published { ref payload, .. } if payload == "hello"),
            "{message:?}"
        );
    }
}

/// A user who may not PING has an error in its place, which proves as much.
#[tokio::test]
async fn a_listener_without_the_right_to_ping_lives() {
    let server = RedisServer::start().unwrap();
    let mut admin = connector(server.addr(), 3)
        .connect(&Dial::new())
        .await
        .unwrap();
    let user = "ACL SETUSER ear on >pw &* -@all +subscribe +hello";
    admin.command(&command(user)).await.unwrap();
    for protocol in [3, 2] {
        let refused = async |admin: &mut RedisConnection| -> u64 {
            let errors: String = admin.query(&command("INFO errorstats")).await.unwrap();
            let line = errors.lines().find(|line| line.contains("NOPERM"));
            line.map_or(0, |line| {
                line.rsplit('=').next().unwrap().trim().parse().unwrap()
            })
        };
        let before = refused(&mut admin).await;
        let address = format!("ear:pw@{}", server.addr());
        let mut conn = patient(address, protocol)
            .connect(&Dial::new())
            .await
            .unwrap();
        conn.command(&command("SUBSCRIBE news")).await.unwrap();
        let message = tokio::spawn(async move { conn.next_message().await });
        while refused(&mut admin).await < before + 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        admin.command(&command("PUBLISH news hello")).await.unwrap();
        ends("the message", message).await.unwrap().unwrap();
    }
}

/// The runtime stood still for longer than the server may be silent: it has the answer and has not looked.
#[tokio::test]
async fn a_listener_on_a_runtime_that_was_blocked_is_not_given_up() {
    let server = RedisServer::start().unwrap();
    let limit = Duration::from_millis(700);
    let connector = connector(server.addr(), 3).ping_timeout(limit);
    let mut conn = connector.connect(&Dial::new()).await.unwrap();
    conn.command(&command("SUBSCRIBE news")).await.unwrap();
    for _ in 0..2 {
        // Its PING is out, and may have been answered.
        let quiet = timeout(SOON + SOON / 2, conn.next_message()).await;
        assert!(quiet.is_err(), "{quiet:?}");
        std::thread::sleep(limit + SOON);
    }
    let mut admin = connector.connect(&Dial::new()).await.unwrap();
    admin.command(&command("PUBLISH news hello")).await.unwrap();
    ends("the message", conn.next_message()).await.unwrap();
}

#[tokio::test]
async fn a_shared_connection_on_a_runtime_that_was_blocked_is_not_given_up() {
    let server = RedisServer::start().unwrap();
    let limit = Duration::from_millis(700);
    let connector = connector(server.addr(), 3).ping_timeout(limit);
    let conn = PipelinedConnector::from(connector);
    let conn = conn.connect(&Dial::new()).await.unwrap();
    for _ in 0..2 {
        // Its PING is out, and may have been answered.
        tokio::time::sleep(SOON + SOON / 2).await;
        std::thread::sleep(limit + 2 * SOON);
        assert!(conn.is_open());
        ends("the command", conn.command(&Cmd::new("PING")))
            .await
            .unwrap();
    }
}

/// From the fifth second of a script on, by default, others are told `BUSY`, which answers a PING as well.
#[tokio::test]
async fn a_slow_script_of_another_costs_no_connection() {
    let server = RedisServer::builder()
        .setting("busy-reply-threshold", "10")
        .start()
        .unwrap();
    let connector = connector(server.addr(), 3).ping_timeout(Duration::from_millis(1_500));
    let mut listener = connector.connect(&Dial::new()).await.unwrap();
    listener.command(&command("SUBSCRIBE news")).await.unwrap();
    let listener = tokio::spawn(async move { listener.next_message().await });
    let shared = PipelinedConnector::from(connector.clone());
    let shared = shared.connect(&Dial::new()).await.unwrap();
    let mut other = connector.connect(&Dial::new()).await.unwrap();
    let script = "local t = redis.call('TIME')[1] + 4 while redis.call('TIME')[1] + 0 < t do end";
    let slow = Cmd::new("EVAL").arg(script).arg(0);
    ends("the script", other.command(&slow)).await.unwrap();
    ends("the command", shared.command(&Cmd::new("PING")))
        .await
        .unwrap();
    other.command(&command("PUBLISH news a")).await.unwrap();
    ends("the message", listener).await.unwrap().unwrap();
}

/// Slow is not dead: a command may wait as long as it says, or for ever, many times the silence that is borne.
#[tokio::test]
async fn a_command_that_waits_lives_for_as_long_as_it_says() {
    let server = RedisServer::start().unwrap();
    let connector = connector(server.addr(), 3).ping_timeout(Duration::from_millis(300));
    let mut endless = connector.connect(&Dial::new()).await.unwrap();
    let endless = tokio::spawn(async move {
        let popped: Vec<String> = endless.query(&command("BLPOP later 0")).await.unwrap();
        popped
    });
    let mut waiting = tokio::task::JoinSet::new();
    for line in [
        "BLPOP jobs 2",
        "BLMPOP 2 1 jobs LEFT",
        "XREAD BLOCK 2000 STREAMS s $",
        "WAIT 1 2000",
    ] {
        let mut conn = connector.connect(&Dial::new()).await.unwrap();
        waiting.spawn(async move {
            let reply = conn.command(&command(line)).await;
            assert!(
                matches!(reply, Ok(Value::Nil | Value::Int(0))),
                "{line}: {reply:?}"
            );
        });
    }
    ends("what waits", waiting.join_all()).await;
    let mut conn = connector.connect(&Dial::new()).await.unwrap();
    // So may a statement that says nothing of the kind.
    let slow = command("DEBUG SLEEP 1");
    ends("the statement", conn.command(&slow)).await.unwrap();
    assert!(connector.is_open(&conn));
    conn.command(&command("RPUSH later 1")).await.unwrap();
    assert_eq!(ends("the pop", endless).await.unwrap(), ["later", "1"]);
}

/// The one before may be slow; that says nothing against the connection.
#[tokio::test]
async fn a_slow_command_given_up_once_costs_its_holder_the_wait_and_not_the_connection() {
    let server = RedisServer::start().unwrap();
    let mut conn = connector(server.addr(), 3)
        .connect(&Dial::new())
        .await
        .unwrap();
    let slow = command("DEBUG SLEEP 0.5");
    assert!(timeout(SOON, conn.command(&slow)).await.is_err());
    ends("the next", conn.command(&Cmd::new("PING")))
        .await
        .unwrap();
}

/// Commands sent together are not given up because there are several of them.
#[tokio::test]
async fn a_pipeline_with_a_slow_statement_lives() {
    let server = RedisServer::start().unwrap();
    for lines in [
        ["DEBUG SLEEP 0.5", "PING", "PING"],
        ["BLPOP jobs 0.01", "DEBUG SLEEP 0.5", "PING"],
        ["DEBUG SLEEP 0.5", "BLPOP jobs 0.01", "PING"],
    ] {
        let connector = connector(server.addr(), 3);
        let mut conn = connector.connect(&Dial::new()).await.unwrap();
        let cmds = lines.map(command);
        let replies = ends("the pipeline", conn.pipeline(&cmds)).await.unwrap();
        assert!(replies.iter().all(Result::is_ok), "{replies:?}");
    }
}

/// A `PING` among the commands of a transaction would be one of them.
#[tokio::test]
async fn no_sign_of_life_is_asked_for_within_a_transaction() {
    let server = RedisServer::start().unwrap();
    let connector = connector(server.addr(), 3);
    let mut conn = connector.connect(&Dial::new()).await.unwrap();
    conn.command(&command("CLIENT TRACKING ON")).await.unwrap();
    conn.command(&command("MULTI")).await.unwrap();
    let quiet = timeout(10 * SOON, conn.next_message()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    conn.command(&command("SET a 1")).await.unwrap();
    let done = conn.command(&command("EXEC")).await.unwrap();
    assert_eq!(done, Value::Array(vec![Value::Simple("OK".to_owned())]));
}
