//! What a dialled socket is set to, and what a look at a socket tells.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use cenote::Dial;
use cenote::net::{Dialer, Host, Keepalive, Socket, is_quiet};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn dialled(dialer: &Dialer) -> (Socket, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let host = Host::from(listener.local_addr().unwrap());
    let socket = dialer.connect(&host, &Dial::new()).await.unwrap();
    (socket, listener.accept().unwrap().0)
}

/// Within 10 s of the last sign of a peer an idle connection to it has ended: the first question, and one for each
/// retry that has no answer. pgx, redis-rs and others leave the system's two hours.
#[tokio::test]
async fn by_default_a_vanished_idle_peer_is_noticed_within_ten_seconds() {
    let (socket, _peer) = dialled(&Dialer::new()).await;
    let socket = SockRef::from(&socket);
    assert!(socket.keepalive().unwrap());
    let retries = socket.tcp_keepalive_retries().unwrap();
    let last = socket.tcp_keepalive_interval().unwrap() * retries;
    assert!(socket.tcp_keepalive_time().unwrap() + last < Duration::from_secs(10));
}

/// Linux goes by this one for bytes that nobody acknowledges, and also for when an idle peer's time is up.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn by_default_unacknowledged_bytes_end_a_connection_within_ten_seconds() {
    let (socket, _peer) = dialled(&Dialer::new()).await;
    let limit = SockRef::from(&socket).tcp_user_timeout().unwrap().unwrap();
    assert_eq!(limit, Duration::from_secs(9));
}

/// A request is sent when it is written, not when the last one was acknowledged.
#[tokio::test]
async fn nothing_waits_for_packets_to_fill() {
    let (socket, _peer) = dialled(&Dialer::new()).await;
    assert!(SockRef::from(&socket).tcp_nodelay().unwrap());
}

/// A statement of a minute, a queue that nobody fills: the system of a living peer acknowledges what was sent, and
/// answers for it while it is silent.
#[tokio::test]
async fn a_server_that_is_slow_beyond_all_limits_is_waited_for() {
    let second = Duration::from_secs(1);
    let keepalive = Keepalive::new().idle(second).interval(second).retries(1);
    let dialer = Dialer::new().keepalive(keepalive).tcp_user_timeout(second);
    let (mut socket, mut peer) = dialled(&dialer).await;
    socket.write_all(b"slow").await.unwrap();
    let server = std::thread::spawn(move || {
        let mut question = [0; 4];
        peer.read_exact(&mut question).unwrap();
        std::thread::sleep(4 * second);
        peer.write_all(b"done").unwrap();
        peer
    });
    let mut reply = [0; 4];
    socket.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"done");
    server.join().unwrap();
}

/// What is set is what the socket has.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_settings_reach_the_socket() {
    let keepalive = Keepalive::new()
        .idle(Duration::from_millis(30_500))
        .interval(Duration::from_secs(7))
        .retries(3);
    let dialer = Dialer::new()
        .keepalive(keepalive)
        .tcp_user_timeout(Duration::from_secs(40));
    let (socket, _peer) = dialled(&dialer).await;
    let socket = SockRef::from(&socket);
    assert_eq!(
        socket.tcp_keepalive_time().unwrap(),
        Duration::from_secs(31)
    );
    assert_eq!(
        socket.tcp_keepalive_interval().unwrap(),
        Duration::from_secs(7)
    );
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
    assert_eq!(
        socket.tcp_user_timeout().unwrap(),
        Some(Duration::from_secs(40))
    );
}

/// Linux takes 24 days at most; who asks for longer means a very long time, and no dial that fails.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_user_timeout_beyond_what_the_system_takes_is_its_longest() {
    let dialer = Dialer::new().tcp_user_timeout(Duration::MAX);
    let (socket, _peer) = dialled(&dialer).await;
    assert_eq!(
        SockRef::from(&socket).tcp_user_timeout().unwrap(),
        Some(Duration::from_millis(i32::MAX as u64))
    );
}

/// `None` is never.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn both_can_be_turned_off() {
    let dialer = Dialer::new().keepalive(None).tcp_user_timeout(None);
    let (socket, _peer) = dialled(&dialer).await;
    let socket = SockRef::from(&socket);
    assert!(!socket.keepalive().unwrap());
    assert_eq!(socket.tcp_user_timeout().unwrap(), None);
}

/// A time below what the system takes is its smallest, not an error and not "for ever".
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_smallest_times_are_not_taken_for_none() {
    let keepalive = Keepalive::new()
        .idle(Duration::ZERO)
        .interval(Duration::ZERO)
        .retries(0);
    let dialer = Dialer::new()
        .keepalive(keepalive)
        .tcp_user_timeout(Duration::ZERO);
    let (socket, _peer) = dialled(&dialer).await;
    let socket = SockRef::from(&socket);
    assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(1));
    assert_eq!(
        socket.tcp_keepalive_interval().unwrap(),
        Duration::from_secs(1)
    );
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 1);
    assert_eq!(
        socket.tcp_user_timeout().unwrap(),
        Some(Duration::from_millis(1))
    );
}

/// A blocking driver opens its sockets itself.
#[test]
fn a_socket_opened_elsewhere_is_given_the_same_options() {
    let (here, _peer) = pair();
    Dialer::new().configure(&here).unwrap();
    let socket = SockRef::from(&here);
    assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (here, listener.accept().unwrap().0)
}

/// A blocking socket of the standard library is asked without blocking.
#[test]
fn a_socket_with_nothing_to_read_is_quiet() {
    let (here, _peer) = pair();
    assert!(is_quiet(&here));
}

/// The rest of somebody's reply: it must reach nobody else.
#[test]
fn a_socket_with_bytes_to_read_is_not_quiet_and_keeps_them() {
    let (mut here, mut peer) = pair();
    peer.write_all(b"x").unwrap();
    here.peek(&mut [0]).unwrap();
    assert!(!is_quiet(&here));
    let mut byte = [0];
    here.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
    assert!(is_quiet(&here));
}

/// The server closed the connection while it was idle.
#[test]
fn a_socket_whose_peer_has_closed_is_not_quiet() {
    let (here, peer) = pair();
    drop(peer);
    here.peek(&mut [0]).unwrap();
    assert!(!is_quiet(&here));
}

/// The server's machine restarted and knows nothing of the connection.
#[test]
fn a_socket_that_was_reset_is_not_quiet() {
    let (here, peer) = pair();
    SockRef::from(&peer)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(peer);
    here.peek(&mut [0]).unwrap_err();
    assert!(!is_quiet(&here));
}

/// tokio's own `try_read` goes by what its runtime last heard: on a runtime that was busy, a socket closed by its peer
/// seems open.
#[tokio::test]
async fn what_arrived_while_the_runtime_was_busy_is_seen() {
    let (Socket::Tcp(here), mut peer) = dialled(&Dialer::new()).await else {
        panic!("it is TCP")
    };
    assert!(is_quiet(&here));
    peer.write_all(b"x").unwrap();
    // No await since: the runtime has not looked at its sockets.
    assert!(here.try_read(&mut [0]).is_err(), "tokio's view is older");
    assert!(!is_quiet(&here));
}

/// Also over a reference, and within the machine.
#[cfg(unix)]
#[tokio::test]
async fn unix_sockets_are_looked_at_alike() {
    let (here, mut peer) = std::os::unix::net::UnixStream::pair().unwrap();
    here.set_nonblocking(true).unwrap();
    let here = Socket::from(tokio::net::UnixStream::from_std(here).unwrap());
    assert!(is_quiet(&&here));
    peer.write_all(b"x").unwrap();
    assert!(!is_quiet(&here));
}

/// A driver that owns its socket, as hyper does, and a connector that has to know whether the peer has closed it, before
/// the driver's task has run.
#[tokio::test]
async fn a_watched_socket_is_looked_at_while_its_driver_has_it() {
    let (socket, mut peer) = dialled(&Dialer::new()).await;
    let (mut socket, watch) = socket.watched();
    socket.write_all(b"ping").await.unwrap();
    let mut request = [0; 4];
    peer.read_exact(&mut request).unwrap();
    assert_eq!(&request, b"ping");
    assert!(watch.is_quiet());
    peer.write_all(b"pong").unwrap();
    let mut reply = [0; 4];
    socket.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"pong");
    assert!(watch.is_quiet());
    drop(peer);
    // Loopback: the end is there when the close returns.
    assert!(!watch.is_quiet());
    assert_eq!(socket.read(&mut reply).await.unwrap(), 0);
}

#[tokio::test]
async fn a_watch_does_not_keep_its_socket_open() {
    let (socket, mut peer) = dialled(&Dialer::new()).await;
    let (socket, watch) = socket.watched();
    drop(socket);
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    assert!(!watch.is_quiet());
}

#[tokio::test]
async fn a_watched_socket_that_is_shut_down_is_still_read() {
    let (socket, mut peer) = dialled(&Dialer::new()).await;
    let (mut socket, _watch) = socket.watched();
    socket.shutdown().await.unwrap();
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    peer.write_all(b"last").unwrap();
    let mut word = [0; 4];
    socket.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"last");
}
