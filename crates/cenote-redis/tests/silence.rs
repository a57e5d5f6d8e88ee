//! A server that says nothing: what it must answer and does not is given up.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;
mod impatient;

use std::time::Duration;

use cenote::{Connect, Dial, Multiplex};
use cenote_redis::{
    Cmd, PipelinedConnection, PipelinedConnector, RedisClient, RedisConnection, RedisConnector,
    RedisError, Silence,
};
use cenote_testkit::{Fault, FaultProxy, RedisServer};
use fake::{ends, until};
use impatient::{SOON, command, connector};
use tokio::time::{Instant, timeout};

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

/// redis-rs #2277: a user who keeps a lease and puts a time-out around each command had one after the other.
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
