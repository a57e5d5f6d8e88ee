//! A server that says nothing: what must answer and does not ends, what is only slow or quiet lives.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use std::time::Duration;

use cenote::{Connect, Dial, Multiplex};
use cenote_redis::{
    Cmd, Message, PipelinedConnection, PipelinedConnector, RedisClient, RedisConnection,
    RedisConnector, RedisError, Silence, Value,
};
use cenote_testkit::{Fault, FaultProxy, RedisServer};
use fake::{ends, until};
use tokio::time::{Instant, timeout};

const SOON: Duration = Duration::from_millis(20);

fn command(line: &str) -> Cmd {
    let mut words = line.split(' ');
    Cmd::new(words.next().unwrap()).args(words)
}

fn connector(address: impl std::fmt::Display, protocol: u8) -> RedisConnector {
    RedisConnector::new(&format!("redis://{address}?protocol={protocol}"))
        .unwrap()
        .ping_after(SOON)
        .ping_timeout(SOON)
}

/// The same, for connections that must live on a machine that is busy with other things.
fn patient(address: impl std::fmt::Display, protocol: u8) -> RedisConnector {
    connector(address, protocol).ping_timeout(Duration::from_secs(30))
}

fn silence<T: std::fmt::Debug>(outcome: Result<T, RedisError>) -> Silence {
    match outcome {
        Err(RedisError::Silent { silence, .. }) => silence,
        other => panic!("{other:?}"),
    }
}

/// A connection through a proxy that then swallows everything.
async fn swallowed(
    server: &RedisServer,
    protocol: u8,
    prepare: impl AsyncFnOnce(&mut RedisConnection),
) -> (FaultProxy, RedisConnection) {
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let mut conn = connector(proxy.addr(), protocol)
        .connect(&Dial::new())
        .await
        .unwrap();
    prepare(&mut conn).await;
    proxy.set(Fault::BlackHole).unwrap();
    (proxy, conn)
}

/// A shared connection whose timers go by a paused clock, which moves by itself when nothing else can happen: the clock
/// must stand still before they are set. Nothing on the way to a connection is given up in that time.
async fn shared_by_paused_clock(connector: &PipelinedConnector) -> PipelinedConnection {
    tokio::time::pause();
    connector.connect(&Dial::new()).await.unwrap()
}

async fn pings(admin: &mut RedisConnection) -> u64 {
    let stats: String = admin.query(&command("INFO commandstats")).await.unwrap();
    let line = stats.lines().find(|line| line.starts_with("cmdstat_ping:"));
    line.map_or(0, |line| {
        let calls = line.split(['=', ',']).nth(1).unwrap();
        calls.parse().unwrap()
    })
}

/// redis-rs #404, redigo #295, redis #7855: a subscriber whose server has vanished waits for ever.
#[tokio::test]
async fn a_listener_ends_when_its_ping_has_no_answer() {
    let server = RedisServer::start().unwrap();
    for protocol in [3, 2] {
        for listen in [
            "SUBSCRIBE news",
            "PSUBSCRIBE n*",
            "MONITOR",
            "CLIENT TRACKING ON",
        ] {
            let (_proxy, mut conn) = swallowed(&server, protocol, async |conn| {
                conn.command(&command(listen)).await.unwrap();
            })
            .await;
            let outcome = ends("the listener", conn.next_message()).await;
            assert_eq!(silence(outcome), Silence::Ping { limit: SOON });
            assert!(matches!(
                conn.next_message().await,
                Err(RedisError::Refused { .. })
            ));
        }
    }
}

/// The time-out of a caller must not start the watch anew.
#[tokio::test]
async fn a_listener_that_looks_for_a_moment_each_time_ends_as_well() {
    let server = RedisServer::start().unwrap();
    let (_proxy, mut conn) = swallowed(&server, 3, async |conn| {
        conn.command(&command("SUBSCRIBE news")).await.unwrap();
    })
    .await;
    let outcome = ends("the listener", async {
        loop {
            let moment = Duration::from_millis(1);
            if let Ok(outcome) = timeout(moment, conn.next_message()).await {
                return outcome;
            }
        }
    });
    assert_eq!(silence(outcome.await), Silence::Ping { limit: SOON });
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

#[tokio::test]
async fn a_command_that_waits_ends_when_its_own_time_is_over_and_nothing_came() {
    let server = RedisServer::start().unwrap();
    for line in [
        "BLPOP jobs 0.1",
        "XREAD BLOCK 100 STREAMS s $",
        "WAIT 1 100",
    ] {
        let (_proxy, mut conn) = swallowed(&server, 3, async |_| {}).await;
        let outcome = ends(line, conn.command(&command(line))).await;
        assert_eq!(silence(outcome), Silence::Wait { beyond: 2 * SOON });
    }
    // Given up by its caller, it holds up the next command no longer than that.
    let (_proxy, mut conn) = swallowed(&server, 3, async |_| {}).await;
    let blpop = command("BLPOP jobs 0.1");
    assert!(timeout(SOON / 4, conn.command(&blpop)).await.is_err());
    let outcome = ends("the next", conn.command(&Cmd::new("PING"))).await;
    assert_eq!(silence(outcome), Silence::Wait { beyond: 2 * SOON });
}

/// redis-rs #2277: whoever keeps a lease and puts a time-out around each command had one after the other.
#[tokio::test]
async fn commands_given_up_one_after_the_other_without_a_byte_end_the_connection() {
    let server = RedisServer::start().unwrap();
    let (_proxy, mut conn) = swallowed(&server, 3, async |_| {}).await;
    let outcome = ends("the holder", async {
        loop {
            let ping = Cmd::new("PING");
            if let Ok(outcome) = timeout(SOON / 4, conn.command(&ping)).await {
                return outcome;
            }
        }
    });
    let silence = silence(outcome.await);
    assert_eq!(silence, Silence::Commands { within: 2 * SOON });
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

/// Of a shared connection, which is never idle and so never checked: with callers that give up, by a time-out of their
/// own or of the client's.
#[tokio::test]
async fn a_client_under_load_is_served_again_after_its_connection_was_swallowed() {
    let server = RedisServer::start().unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let redis = RedisClient::builder(connector(proxy.addr(), 3))
        .shared_connections(1)
        .build()
        .unwrap();
    redis.command(&Cmd::new("PING")).await.unwrap();
    proxy.set(Fault::BlackHole).unwrap();
    let mut users = tokio::task::JoinSet::new();
    for user in 0..20_u64 {
        let redis = redis.clone();
        users.spawn(async move {
            loop {
                let set = timeout(Duration::from_millis(50), redis.set(user, user)).await;
                if let Ok(Ok(())) = set {
                    return;
                }
            }
        });
    }
    // What was open is lost: what it carried was swallowed, and no answer can come any more.
    until("the swallowed connection is given up", || {
        redis.status().shared.size == 0 || proxy.accepted() > 1
    })
    .await;
    proxy.clear().unwrap();
    ends("the users", users.join_all()).await;
}

/// While it is not proven, callers go elsewhere.
#[tokio::test]
async fn a_shared_connection_whose_ping_is_unanswered_takes_no_new_callers_until_it_is() {
    let server = RedisServer::start().unwrap();
    let connector = PipelinedConnector::new(&server.url()).unwrap();
    let conn = shared_by_paused_clock(&connector).await;
    server.stop().unwrap();
    assert_eq!(connector.capacity(&conn), 1024);
    // Past the ping and a quarter of its time-out, and before its end.
    tokio::time::sleep(Duration::from_millis(6_500)).await;
    assert_eq!(connector.capacity(&conn), 0);
    assert!(conn.is_open(), "it is suspected, and not given up");
    tokio::time::resume();
    server.cont().unwrap();
    until("it takes callers again", || {
        connector.capacity(&conn) == 1024
    })
    .await;
}

/// By the defaults, in time that a silent server lets pass by itself.
#[tokio::test]
async fn by_default_a_silent_server_is_given_up_within_ten_seconds() {
    let server = RedisServer::start().unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let url = format!("redis://{}", proxy.addr());
    let connector = RedisConnector::new(&url).unwrap();
    let mut listener = connector.connect(&Dial::new()).await.unwrap();
    listener.command(&command("SUBSCRIBE news")).await.unwrap();
    let mut waiting = connector.connect(&Dial::new()).await.unwrap();
    let mut holder = connector.connect(&Dial::new()).await.unwrap();
    let shared = shared_by_paused_clock(&connector.clone().into()).await;
    proxy.set(Fault::BlackHole).unwrap();

    let began = Instant::now();
    let within_ten = |what: &str, since: Duration| {
        let took = began.elapsed();
        let limit = since + Duration::from_secs(10);
        assert!(took <= limit, "{what}: {took:?}");
    };
    // Beside each other: each has all of its time.
    let second = Duration::from_secs(1);
    tokio::join!(
        async {
            listener.next_message().await.unwrap_err();
            within_ten("listening", Duration::ZERO);
        },
        async {
            waiting.command(&command("BLPOP jobs 1")).await.unwrap_err();
            within_ten("waiting", second);
        },
        async {
            let ping = Cmd::new("PING");
            while timeout(second, holder.command(&ping)).await.is_err() {}
            within_ten("given up in a row", 2 * second);
        },
        async {
            shared.command(&Cmd::new("PING")).await.unwrap_err();
            within_ten("shared", Duration::ZERO);
        },
    );
}

/// Keepalive is on for every socket, whatever the protocol above it can do.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn every_socket_has_keepalive() {
    /// The timers of this machine's sockets to this port: 02 is keepalive.
    fn timers(port: u16) -> Vec<String> {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let to = format!(":{port:04X}");
        table
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|fields| fields[2].ends_with(&to) && fields[3] == "01")
            .map(|fields| fields[5].split(':').next().unwrap().to_owned())
            .collect()
    }
    let server = RedisServer::start().unwrap();
    let connector = RedisConnector::new(&server.url()).unwrap();
    let _exclusive = connector.connect(&Dial::new()).await.unwrap();
    let _shared = PipelinedConnector::from(connector)
        .connect(&Dial::new())
        .await
        .unwrap();
    until("both sockets are probed", || {
        timers(server.port()) == ["02", "02"]
    })
    .await;
}
