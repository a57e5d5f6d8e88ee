//! A command dropped at any point never lets another command see its reply.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use std::sync::Arc;

use cenote::{Connect, ConnectionInfo, Dial, Verdict};
use cenote_redis::{Cmd, RedisConnection, RedisConnector, RedisError, Refusal, Value};
use fake::{Answer, FakeRedis, bulk, ends, poll_at_most, until};
use tokio::sync::Semaphore;

fn tag(text: &str) -> Cmd {
    Cmd::new("TAG").arg(text)
}

async fn connect(server: &FakeRedis) -> (RedisConnector, RedisConnection) {
    let connector = RedisConnector::new(&server.url()).unwrap();
    let conn = connector.connect(&Dial::new()).await.unwrap();
    (connector, conn)
}

async fn dribbling_server() -> FakeRedis {
    FakeRedis::start(|words| match words[0].as_str() {
        "TAG" => Some(Answer::Dribble(bulk(&words[1]))),
        _ => None,
    })
    .await
}

/// A server that sends the reply to each `SLOW x` only when the gate gives a permit.
async fn gated_server() -> (FakeRedis, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let permits = gate.clone();
    let server = FakeRedis::start(move |words| match words[0].as_str() {
        "SLOW" => Some(Answer::Behind(permits.clone(), bulk(&words[1]))),
        _ => None,
    })
    .await;
    (server, gate)
}

/// redis-py #2624 and #2665, the same holder going on.
#[tokio::test]
async fn a_command_cancelled_at_any_poll_leaves_the_next_command_its_own_reply() {
    let server = dribbling_server().await;
    let (_, mut conn) = connect(&server).await;
    for polls in 0.. {
        let old = format!("old-{polls}");
        let finished = poll_at_most(polls, conn.command(&tag(&old))).await;
        let new = format!("new-{polls}");
        let reply: String = conn.query(&tag(&new)).await.unwrap();
        assert_eq!(reply, new, "after {polls} polls");
        if finished.is_some() {
            assert!(polls > 2, "the sweep cancelled nothing");
            break;
        }
    }
}

/// redis-py #2665, for a pipeline of which some replies arrived.
#[tokio::test]
async fn a_pipeline_cancelled_at_any_poll_leaves_the_next_command_its_own_reply() {
    let server = dribbling_server().await;
    let (_, mut conn) = connect(&server).await;
    for polls in 0.. {
        let old: Vec<Cmd> = (0..3).map(|i| tag(&format!("old-{polls}-{i}"))).collect();
        let finished = poll_at_most(polls, conn.pipeline(&old)).await;
        let new = [tag("a"), tag("b")];
        let replies = conn.pipeline(&new).await.unwrap();
        let expected = ["a", "b"].map(|text| Ok(Value::Bulk(text.into())));
        assert_eq!(replies, expected, "after {polls} polls");
        if finished.is_some() {
            break;
        }
    }
}

#[tokio::test]
async fn a_future_that_was_never_polled_sends_nothing() {
    let server = dribbling_server().await;
    let (connector, mut conn) = connect(&server).await;
    drop(conn.command(&tag("unsent")));
    assert_eq!(connector.verdict(&mut conn), Verdict::Reuse);
    assert_eq!(conn.query::<String>(&tag("sent")).await.unwrap(), "sent");
    assert_eq!(server.count("TAG"), 1);
}

#[tokio::test]
async fn an_owed_reply_is_a_reset_and_the_reset_reads_it() {
    let (server, gate) = gated_server().await;
    let (connector, mut conn) = connect(&server).await;
    assert!(
        poll_at_most(1, conn.command(&Cmd::new("SLOW").arg("x")))
            .await
            .is_none()
    );
    assert_eq!(conn.owed_replies(), 1);
    assert_eq!(connector.verdict(&mut conn), Verdict::Reset);

    gate.add_permits(1);
    connector
        .reset(&mut conn, &ConnectionInfo::default())
        .await
        .unwrap();
    assert_eq!(conn.owed_replies(), 0);
    assert_eq!(connector.verdict(&mut conn), Verdict::Reuse);
}

#[tokio::test]
async fn a_reset_cancelled_at_any_poll_can_be_done_again() {
    let server = dribbling_server().await;
    let (connector, mut conn) = connect(&server).await;
    for polls in 0.. {
        for old in ["one", "two"] {
            // Cancelled after it was written.
            let _ = poll_at_most(1, conn.command(&tag(old))).await;
        }
        let finished = poll_at_most(
            polls,
            connector.reset(&mut conn, &ConnectionInfo::default()),
        )
        .await;
        connector
            .reset(&mut conn, &ConnectionInfo::default())
            .await
            .unwrap();
        assert_eq!(
            connector.verdict(&mut conn),
            Verdict::Reuse,
            "after {polls} polls"
        );
        assert_eq!(conn.query::<String>(&tag("new")).await.unwrap(), "new");
        if finished.is_some() {
            break;
        }
    }
}

/// Half a command cannot be taken back, and finishing it later would run what was cancelled.
#[tokio::test]
async fn a_command_cut_short_in_writing_is_the_last_one() {
    let server = FakeRedis::start(|words| (words[0] == "STALL").then_some(Answer::Stall)).await;
    let (connector, mut conn) = connect(&server).await;
    let _ = poll_at_most(1, conn.command(&Cmd::new("STALL"))).await;
    until("the server stalls", || server.count("STALL") == 1).await;
    let too_much = vec![b'x'; 64 << 20];
    let big = Cmd::new("SET").arg("key").arg(too_much);
    assert!(poll_at_most(1, conn.command(&big)).await.is_none());

    assert_eq!(connector.verdict(&mut conn), Verdict::Close);
    let error = conn.command(&tag("x")).await.unwrap_err();
    assert!(
        matches!(
            error,
            RedisError::Refused {
                reason: Refusal::CutShort,
                ..
            }
        ),
        "{error}"
    );
}

/// A cancelled BLPOP that stays alive on the server takes an element that nobody gets.
#[tokio::test]
async fn a_cancelled_blocking_command_closes_its_connection() {
    let gate = Arc::new(Semaphore::new(0));
    let server = FakeRedis::start(move |words| {
        (words[0] == "BLPOP").then(|| Answer::Behind(gate.clone(), b"*-1\r\n".to_vec()))
    })
    .await;
    let (connector, mut conn) = connect(&server).await;
    let blocking = Cmd::new("BLPOP").arg("list").arg(0);
    assert!(poll_at_most(1, conn.command(&blocking)).await.is_none());
    assert_eq!(connector.verdict(&mut conn), Verdict::Close);
}

#[tokio::test]
async fn a_blocking_command_that_was_answered_leaves_nothing() {
    let server =
        FakeRedis::start(|words| (words[0] == "BLPOP").then(|| Answer::Send(b"*-1\r\n".to_vec())))
            .await;
    let (connector, mut conn) = connect(&server).await;
    let reply = conn.command(&Cmd::new("BLPOP").arg("list").arg(1)).await;
    assert_eq!(reply.unwrap(), Value::Nil);
    assert_eq!(connector.verdict(&mut conn), Verdict::Reuse);
}

/// redis-rs #1955: a client that stops reading while it writes waits for ever for a server that
/// stops reading while it writes.
#[tokio::test]
async fn a_pipeline_larger_than_all_buffers_reads_while_it_writes() {
    let server = FakeRedis::start(|_| None).await;
    let (_, mut conn) = connect(&server).await;
    let payload = "x".repeat(1 << 20);
    let cmds: Vec<Cmd> = (0..48).map(|_| tag(&payload)).collect();
    let replies = ends("the pipeline", conn.pipeline(&cmds)).await.unwrap();
    let expected = Ok(Value::Bulk(payload.into()));
    assert!(replies.iter().all(|reply| *reply == expected));
}
