//! What a client of the proxy sees under each fault, and after it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod echo;

use cenote_testkit::{Fault, FaultProxy, ServerError};
use echo::{Client, EchoServer, Seen, ends, until};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

const MS: Duration = Duration::from_millis(1);

async fn start() -> (EchoServer, FaultProxy) {
    let server = EchoServer::start().await;
    let proxy = FaultProxy::start(server.addr).await.unwrap();
    (server, proxy)
}

#[tokio::test]
async fn without_a_fault_everything_passes_both_ways_and_the_end_too() {
    let (server, proxy) = start().await;
    let mut client = Client::connect(&proxy).await;
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    for piece in bytes.chunks(50_000) {
        client.round_trip(piece).await;
    }
    client.0.shutdown().await.unwrap();
    assert_eq!(client.read().await, Seen::End);
    until("both sides are closed", || {
        server.connections() == 0 && proxy.open() == 0
    })
    .await;
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test]
async fn what_was_sent_before_an_end_of_sending_is_answered_in_full() {
    let (_server, proxy) = start().await;
    let mut client = Client::connect(&proxy).await;
    client.send(b"last words").await;
    client.0.shutdown().await.unwrap();
    assert_eq!(client.read().await, Seen::Bytes(b"last words".into()));
    assert_eq!(client.read().await, Seen::End);
}

#[tokio::test]
async fn clients_of_a_server_that_does_not_listen_are_reset() {
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let proxy = FaultProxy::start(gone).await.unwrap();
    assert_eq!(Client::connect(&proxy).await.read().await, Seen::Reset);
}

#[tokio::test]
async fn a_delay_holds_for_each_direction() {
    let (_server, proxy) = start().await;
    let mut client = Client::connect(&proxy).await;
    let (by, jitter) = (30 * MS, 10 * MS);
    proxy.set(Fault::Delay { by, jitter }).unwrap();
    let sent = Instant::now();
    client.round_trip(b"late").await;
    // A lower bound only: nothing is ever early.
    assert!(sent.elapsed() >= 2 * by, "{:?}", sent.elapsed());
}

#[tokio::test]
async fn what_a_delay_holds_back_arrives_when_it_ends() {
    let (_server, proxy) = start().await;
    let mut client = Client::connect(&proxy).await;
    let (by, jitter) = (Duration::MAX, Duration::MAX);
    proxy.set(Fault::Delay { by, jitter }).unwrap();
    client.send(b"held").await;
    assert_eq!(client.listen().await, Seen::Silence);
    proxy.clear().unwrap();
    assert_eq!(client.read().await, Seen::Bytes(b"held".into()));
}

#[tokio::test]
async fn a_slow_link_takes_the_time_its_rate_says() {
    let (_server, proxy) = start().await;
    let mut client = Client::connect(&proxy).await;
    let bytes_per_second = 10_000;
    proxy.set(Fault::Bandwidth { bytes_per_second }).unwrap();
    let sent = Instant::now();
    let reads = client.round_trip(&[7; 2_000]).await;
    // 500 bytes at once, then 500 in each twentieth of a second: the last when 1,500 have taken theirs.
    assert!(sent.elapsed() >= 150 * MS, "{:?}", sent.elapsed());
    assert!(reads.iter().all(|&size| size < 2_000), "{reads:?}");
    proxy.clear().unwrap();
    client.round_trip(&[7; 100_000]).await;
}

#[tokio::test]
async fn split_writes_break_messages_apart_and_lose_nothing() {
    let (_server, proxy) = start().await;
    let mut client = Client::connect(&proxy).await;
    proxy.set(Fault::SplitWrites { chunk: 3 }).unwrap();
    let message: Vec<u8> = (0..=255).collect();
    let reads = client.round_trip(&message).await;
    assert!(reads.len() > 1, "one read got it all");
    proxy.clear().unwrap();
    client.round_trip(&message).await;
}

#[tokio::test]
async fn a_half_close_ends_the_stream_towards_the_client_while_the_server_reads_on() {
    let (server, proxy) = start().await;
    let mut old = Client::connect(&proxy).await;
    old.round_trip(b"hello").await;
    proxy.set(Fault::HalfClose).unwrap();
    let mut new = Client::connect(&proxy).await;
    for client in [&mut old, &mut new] {
        assert_eq!(client.read().await, Seen::End);
        let before = server.bytes_read();
        client.send(b"still heard").await;
        until("the server has read it", || {
            server.bytes_read() == before + 11
        })
        .await;
        assert_eq!(client.read().await, Seen::End);
    }
    proxy.clear().unwrap();
    assert_eq!(old.read().await, Seen::End);
    Client::connect(&proxy).await.round_trip(b"again").await;
}

#[tokio::test]
async fn a_reset_strikes_who_is_connected_and_who_comes() {
    let (server, proxy) = start().await;
    let mut old = Client::connect(&proxy).await;
    old.round_trip(b"hello").await;
    proxy.set(Fault::Reset).unwrap();
    assert_eq!(old.read().await, Seen::Reset);
    assert_eq!(Client::connect(&proxy).await.read().await, Seen::Reset);
    until("the server's side is closed", || server.connections() == 0).await;
    proxy.clear().unwrap();
    Client::connect(&proxy).await.round_trip(b"again").await;
}

#[tokio::test]
async fn a_black_hole_swallows_everything_without_a_word() {
    let (server, proxy) = start().await;
    let mut old = Client::connect(&proxy).await;
    old.round_trip(b"hello").await;
    proxy.set(Fault::BlackHole).unwrap();
    let mut new = Client::connect(&proxy).await;
    for client in [&mut old, &mut new] {
        client.send(b"anyone?").await;
        assert_eq!(client.listen().await, Seen::Silence);
    }
    assert_eq!(server.bytes_read(), 5, "the server heard something");
    assert_eq!(
        server.connections(),
        1,
        "the server heard of the new client"
    );
}

/// TCP never goes on with a gap in the stream: a proxy that did would make a client read the reply to
/// another question.
#[tokio::test]
async fn a_connection_that_lost_something_in_a_black_hole_stays_dead() {
    let (server, proxy) = start().await;
    let mut losing = Client::connect(&proxy).await;
    let mut quiet = Client::connect(&proxy).await;
    losing.round_trip(b"hello").await;
    quiet.round_trip(b"hello").await;
    proxy.set(Fault::BlackHole).unwrap();
    let mut new = Client::connect(&proxy).await;
    for client in [&mut losing, &mut new] {
        client.send(b"lost").await;
        assert_eq!(client.listen().await, Seen::Silence);
    }
    proxy.clear().unwrap();
    quiet.round_trip(b"it works on").await;
    for mut client in [losing, new] {
        client.send(b"second").await;
        assert_eq!(client.listen().await, Seen::Silence);
    }
    Client::connect(&proxy).await.round_trip(b"fresh").await;
    // Those that stay dead end with their clients.
    until("only the quiet one is left", || {
        (proxy.open(), server.connections()) == (1, 1)
    })
    .await;
}

#[tokio::test]
async fn a_silent_server_takes_new_connections_and_answers_when_it_is_over() {
    let (server, proxy) = start().await;
    let mut old = Client::connect(&proxy).await;
    old.round_trip(b"hello").await;
    proxy.set(Fault::AcceptThenSilence).unwrap();
    let mut new = Client::connect(&proxy).await;
    new.send(b"patience").await;
    assert_eq!(new.listen().await, Seen::Silence);
    old.round_trip(b"unharmed").await;
    let impatient = Client::connect(&proxy).await;
    until("it is accepted", || proxy.open() == 3).await;
    drop(impatient);
    until("it is gone", || proxy.open() == 2).await;
    assert_eq!(server.connections(), 1);
    proxy.clear().unwrap();
    assert_eq!(new.read().await, Seen::Bytes(b"patience".into()));
    new.round_trip(b"as if nothing had been").await;
}

#[tokio::test]
async fn a_refusing_port_is_listened_on_again_when_the_fault_ends() {
    let (_server, proxy) = start().await;
    let mut old = Client::connect(&proxy).await;
    old.round_trip(b"hello").await;
    for _ in 0..20 {
        proxy.set(Fault::Refuse).unwrap();
        let refused = Client::try_connect(&proxy).await.map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        old.round_trip(b"unharmed").await;
        proxy.clear().unwrap();
        Client::connect(&proxy).await.round_trip(b"again").await;
    }
    assert_eq!(proxy.accepted(), 21);
}

#[tokio::test]
async fn faults_are_switched_from_threads_without_a_runtime() {
    let (_server, proxy) = start().await;
    let proxy = std::thread::spawn(move || {
        proxy.set(Fault::Refuse).unwrap();
        proxy.clear().unwrap();
        proxy
    });
    let proxy = proxy.join().unwrap();
    Client::connect(&proxy).await.round_trip(b"again").await;
}

#[tokio::test]
async fn a_port_taken_by_another_while_it_refused_is_named_in_the_error() {
    let (_server, proxy) = start().await;
    proxy.set(Fault::Refuse).unwrap();
    let thief = std::net::TcpListener::bind(proxy.addr()).unwrap();
    let error = proxy.clear().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {}", proxy.addr())
    );
    assert!(
        matches!(error, ServerError::System { source, .. } if source.kind() == ErrorKind::AddrInUse)
    );
    drop(thief);
    proxy.clear().unwrap();
    Client::connect(&proxy).await.round_trip(b"again").await;
}

#[tokio::test]
async fn connections_closed_at_accept_show_their_end_and_old_ones_work() {
    let (server, proxy) = start().await;
    let mut old = Client::connect(&proxy).await;
    old.round_trip(b"hello").await;
    proxy.set(Fault::CloseAtAccept).unwrap();
    assert_eq!(Client::connect(&proxy).await.read().await, Seen::End);
    old.round_trip(b"unharmed").await;
    assert_eq!(server.connections(), 1);
    proxy.clear().unwrap();
    Client::connect(&proxy).await.round_trip(b"again").await;
}

#[tokio::test]
async fn a_cut_resets_those_who_are_connected_and_no_others() {
    let (_server, proxy) = start().await;
    for _ in 0..3 {
        let mut old = [Client::connect(&proxy).await, Client::connect(&proxy).await];
        for client in &mut old {
            client.round_trip(b"hello").await;
        }
        proxy.cut();
        for client in &mut old {
            assert_eq!(client.read().await, Seen::Reset);
        }
        Client::connect(&proxy).await.round_trip(b"unharmed").await;
    }
}

#[tokio::test]
async fn a_reset_by_the_client_reaches_the_server() {
    let (server, proxy) = start().await;
    let mut client = Client::connect(&proxy).await;
    client.round_trip(b"hello").await;
    client.0.set_zero_linger().unwrap();
    drop(client);
    until("the server's side is closed", || server.connections() == 0).await;
}

/// Virtual time: hours of script in no time.
#[tokio::test(start_paused = true)]
async fn a_script_sets_each_fault_for_its_time_and_clears_the_last() {
    let (_server, proxy) = start().await;
    let hour = Duration::from_secs(3600);
    let start = Instant::now();
    let script = proxy.play([
        (hour, Fault::Refuse),
        (2 * hour, Fault::None),
        (hour, Fault::BlackHole),
    ]);
    let watch = async {
        let mut seen = Vec::new();
        for _ in 0..5 {
            tokio::time::sleep(hour / 2).await;
            seen.push(proxy.fault());
            tokio::time::sleep(hour / 2).await;
        }
        seen
    };
    let (played, seen) = tokio::join!(script, watch);
    played.unwrap();
    let expected = [
        Fault::Refuse,
        Fault::None,
        Fault::None,
        Fault::BlackHole,
        Fault::None,
    ];
    assert_eq!(seen, expected);
    assert!(start.elapsed() >= 5 * hour);
}

#[tokio::test]
async fn a_bad_setting_is_refused_and_changes_nothing() {
    let (_server, proxy) = start().await;
    proxy.set(Fault::CloseAtAccept).unwrap();
    let bad = Fault::SplitWrites { chunk: 0 };
    let error = proxy.set(bad).unwrap_err().to_string();
    assert!(error.starts_with("chunk is 0: it must be"), "{error}");
    let script = proxy.play([(MS, Fault::Reset), (MS, bad)]);
    ends("the script", script).await.unwrap_err();
    assert_eq!(proxy.fault(), Fault::CloseAtAccept);
}

#[tokio::test]
async fn an_upstream_that_cannot_be_resolved_is_an_error_that_says_so() {
    let none: &[std::net::SocketAddr] = &[];
    let error = FaultProxy::start(none).await.unwrap_err();
    let expected = "cannot resolve the proxy's upstream: it has no address";
    assert_eq!(format!("{error:?}"), expected);
}

#[tokio::test]
async fn when_it_is_dropped_its_port_and_its_connections_are_closed() {
    let (server, proxy) = start().await;
    let mut client = Client::connect(&proxy).await;
    client.round_trip(b"hello").await;
    let addr = proxy.addr();
    drop(proxy);
    let refused = ends("a connect", tokio::net::TcpStream::connect(addr)).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(client.read().await, Seen::End);
    until("the server's side is closed", || server.connections() == 0).await;
}

/// A network that drops packets: a firewall whose state is lost, a cable that is out. Nothing but the client's own
/// system can notice, as nothing is acknowledged.
#[tokio::test]
async fn while_it_is_unplugged_nothing_is_acknowledged_and_nobody_connects() {
    let (server, proxy) = start().await;
    let mut old = Client::connect(&proxy).await;
    old.round_trip(b"hello").await;
    bear_unacknowledged_for(&old, Duration::from_millis(300));
    proxy.set(Fault::Unplugged).unwrap();
    let connect = Client::try_connect(&proxy);
    let connected = tokio::time::timeout(Duration::from_millis(200), connect).await;
    assert!(connected.is_err(), "somebody answered a SYN");
    assert_eq!(
        ends("a client's asking", asks(&mut old)).await,
        ErrorKind::TimedOut
    );
    assert_eq!(server.bytes_read(), 5, "the server heard something");
    proxy.clear().unwrap();
    Client::connect(&proxy).await.round_trip(b"fresh").await;
}

#[tokio::test]
async fn a_connection_that_was_unplugged_never_speaks_again() {
    let (_server, proxy) = start().await;
    let mut old = Client::connect(&proxy).await;
    old.round_trip(b"hello").await;
    proxy.set(Fault::Unplugged).unwrap();
    proxy.clear().unwrap();
    old.send(b"anyone?").await;
    assert_eq!(old.listen().await, Seen::Silence);
    proxy.cut();
    assert_eq!(old.read().await, Seen::Reset);
}

/// A host that was swapped for another: what belongs to old connections is dropped.
#[tokio::test]
async fn connections_that_are_stranded_hear_nothing_and_new_ones_are_served() {
    let (server, proxy) = start().await;
    let mut old = Client::connect(&proxy).await;
    old.round_trip(b"hello").await;
    bear_unacknowledged_for(&old, Duration::from_millis(300));
    proxy.strand();
    Client::connect(&proxy).await.round_trip(b"fresh").await;
    assert_eq!(
        ends("a client's asking", asks(&mut old)).await,
        ErrorKind::TimedOut
    );
    assert_eq!(server.bytes_read(), 10, "the server heard something");
}

#[tokio::test]
async fn new_connections_go_where_the_proxy_was_redirected_to_and_old_ones_stay() {
    let (server, proxy) = start().await;
    let other = EchoServer::start().await;
    let mut old = Client::connect(&proxy).await;
    old.round_trip(b"hello").await;
    proxy.redirect(other.addr);
    Client::connect(&proxy).await.round_trip(b"other").await;
    old.round_trip(b"again").await;
    assert_eq!((server.bytes_read(), other.bytes_read()), (10, 5));
}

fn bear_unacknowledged_for(client: &Client, limit: Duration) {
    let socket = socket2::SockRef::from(&client.0);
    socket.set_tcp_user_timeout(Some(limit)).unwrap();
}

/// Sends again and again, until the system says what has become of the connection.
async fn asks(client: &mut Client) -> ErrorKind {
    let mut buffer = [0; 8];
    loop {
        if let Err(error) = client.0.write_all(b"?").await {
            return error.kind();
        }
        let read = client.0.read(&mut buffer);
        match tokio::time::timeout(Duration::from_millis(20), read).await {
            Err(_) => {}
            Ok(Err(error)) => return error.kind(),
            Ok(Ok(count)) => panic!("{count} bytes came"),
        }
    }
}
