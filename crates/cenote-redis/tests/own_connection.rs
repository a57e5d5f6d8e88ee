//! Commands about their own connection: no answer of a client that picks one for each command is about another,
//! and every command of a real server was judged.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

#[path = "../src/command_table.rs"]
#[allow(dead_code, reason = "the test looks names up and does nothing else")]
mod command_table;

use std::time::Duration;

use cenote::{Connect, Dial};
use cenote_redis::{Cmd, PipelinedConnector, RedisClient, RedisConnector, RedisError, Refusal};
use cenote_redis::{FromReply, Value};
use cenote_testkit::RedisServer;
use command_table::{Kind, client, kind_of, script};
use fake::ends;

fn command(line: &str) -> Cmd {
    let mut words = line.split(' ');
    Cmd::new(words.next().unwrap()).args(words)
}

fn refusal<T: std::fmt::Debug>(outcome: Result<T, RedisError>) -> Refusal {
    match outcome {
        Err(RedisError::Refused { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

/// A command as the server describes it.
struct Described {
    /// In capitals, with `|` before a word that belongs to it.
    name: String,
    flags: Vec<String>,
    categories: Vec<String>,
}

fn strings(value: &Value) -> Vec<String> {
    let (Value::Array(items) | Value::Set(items)) = value else {
        panic!("{value:?}");
    };
    items
        .iter()
        .map(|item| String::from_reply(item.clone()).unwrap())
        .collect()
}

fn describe(entries: &[Value], all: &mut Vec<Described>) {
    for entry in entries {
        let Value::Array(parts) = entry else {
            panic!("{entry:?}");
        };
        let name = String::from_reply(parts[0].clone()).unwrap();
        all.push(Described {
            name: name.to_uppercase(),
            flags: strings(&parts[2]),
            categories: strings(&parts[6]),
        });
        if let Some(Value::Array(words)) = parts.get(9) {
            describe(words, all);
        }
    }
}

async fn commands_of(server: &RedisServer) -> Vec<Described> {
    let mut conn = RedisConnector::new(&server.url())
        .unwrap()
        .connect(&Dial::new())
        .await
        .unwrap();
    let Value::Array(entries) = conn.command(&Cmd::new("COMMAND")).await.unwrap() else {
        panic!("COMMAND is answered by an array");
    };
    let mut all = Vec::new();
    describe(&entries, &mut all);
    assert!(all.len() > 300, "{} commands", all.len());
    all
}

/// The kind that the table gives, the word after the name included.
fn judged(name: &str) -> Option<Kind> {
    match name.split_once('|') {
        Some(("CLIENT", word)) => client(word.as_bytes()),
        Some(("SCRIPT", word)) => script(word.as_bytes()),
        Some((name, _)) => kind_of(name.as_bytes()),
        None => kind_of(name.as_bytes()),
    }
}

/// A command nobody judged is taken to be harmless, and may be the one that is not.
#[tokio::test]
async fn every_command_of_the_server_has_been_judged() {
    let server = RedisServer::start().unwrap();
    let commands = commands_of(&server).await;
    let unknown: Vec<&str> = commands
        .iter()
        .map(|command| command.name.as_str())
        .filter(|name| judged(name).is_none())
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// What the server itself says of a command is no milder than the table.
#[tokio::test]
async fn what_blocks_listens_or_concerns_the_connection_is_not_judged_ordinary() {
    // Of the group "connection", and yet about the server as a whole.
    let about_the_server = [
        "PING", "ECHO", "COMMAND", "KILL", "LIST", "PAUSE", "UNPAUSE", "UNBLOCK", "HELP",
    ];
    let server = RedisServer::start().unwrap();
    for command in commands_of(&server).await {
        let Described {
            name,
            flags,
            categories,
        } = &command;
        let has = |flag: &str| flags.iter().any(|of| of == flag);
        let kind = judged(name).unwrap_or(Kind::Ordinary);
        if has("blocking") {
            assert!(matches!(kind, Kind::Blocks(_)), "{name} blocks");
        }
        // The others are PUBLISH and PUBSUB, which scripts may call.
        if has("pubsub") && has("noscript") {
            assert_eq!(kind, Kind::Listens, "{name}");
        }
        let is_connections = categories
            .iter()
            .any(|of| of == "@connection" || of == "@transaction");
        let (parent, word) = name.split_once('|').unwrap_or((name, name));
        if is_connections && !about_the_server.contains(&word) && parent != "COMMAND" {
            assert_ne!(kind, Kind::Ordinary, "{name}");
        }
    }
}

/// WAIT asks about the writes of its own connection: sent down another, it said that a replica had what no replica
/// could have.
#[tokio::test]
async fn wait_is_refused_by_a_client_and_true_on_a_lease() {
    let master = RedisServer::builder()
        .setting("repl-diskless-sync-delay", "0")
        .start()
        .unwrap();
    let replica = RedisServer::builder()
        .setting("replicaof", format!("127.0.0.1 {}", master.port()))
        .start()
        .unwrap();
    let redis = RedisClient::new(&master.url()).unwrap();
    let online = async {
        let info = command("INFO replication");
        while !redis
            .query::<String>(&info)
            .await
            .unwrap()
            .contains("state=online")
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    ends("the replica comes up", online).await;

    redis.set("order", "paid").await.unwrap();
    for line in ["WAIT 1 50", "wait 1 50", "WAITAOF 1 0 50"] {
        let alone = redis.command(&command(line)).await;
        assert_eq!(refusal(alone), Refusal::AboutConnection, "{line}");
        let together = redis.pipeline(&["SET a 1", line].map(command)).await;
        assert_eq!(refusal(together), Refusal::AboutConnection, "{line}");
    }

    let mut lease = redis.exclusive().await.unwrap();
    lease.set("order", "paid").await.unwrap();
    let reached: i64 = lease.query(&command("WAIT 1 0")).await.unwrap();
    assert_eq!(reached, 1);
    replica.stop().unwrap();
    lease.set("order", "paid twice").await.unwrap();
    let reached: i64 = lease.query(&command("WAIT 1 50")).await.unwrap();
    assert_eq!(reached, 0);
    replica.cont().unwrap();
}

/// CLIENT ID of whichever connection carried it: killed by that number later, it is another user's.
#[tokio::test]
async fn what_a_connection_says_of_itself_is_refused_by_a_client_and_true_on_one_connection() {
    let server = RedisServer::start().unwrap();
    let redis = RedisClient::new(&server.url()).unwrap();
    for line in [
        "CLIENT ID",
        "client info",
        "CLIENT GETNAME",
        "CLIENT GETREDIR",
        "CLIENT TRACKINGINFO",
    ] {
        assert_eq!(
            refusal(redis.command(&command(line)).await),
            Refusal::AboutConnection,
            "{line}"
        );
        let mut lease = redis.exclusive().await.unwrap();
        lease.command(&command(line)).await.unwrap();
    }
    // A pipelined connection is one: its answers are about itself.
    let shared = PipelinedConnector::new(&server.url()).unwrap();
    let shared = shared.connect(&Dial::new()).await.unwrap();
    let id = command("CLIENT ID");
    let first: i64 = shared.query(&id).await.unwrap();
    assert_eq!(shared.query::<i64>(&id).await.unwrap(), first);
}

/// `REPLCONF ACK` and `GETACK` have no reply: the next user's would have been taken for it.
#[tokio::test]
async fn commands_without_a_reply_are_refused_everywhere() {
    let server = RedisServer::start().unwrap();
    let redis = RedisClient::new(&server.url()).unwrap();
    let mut lease = redis.exclusive().await.unwrap();
    for line in ["REPLCONF GETACK *", "replconf ack 0", "SYNC", "PSYNC ? -1"] {
        let cmd = command(line);
        assert_eq!(refusal(redis.command(&cmd).await), Refusal::Replicates);
        assert_eq!(refusal(lease.command(&cmd).await), Refusal::Replicates);
    }
    assert_eq!(
        lease.query::<String>(&command("ECHO a")).await.unwrap(),
        "a"
    );
}
