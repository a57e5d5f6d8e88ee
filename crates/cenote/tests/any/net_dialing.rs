//! The dialer: addresses that hang or refuse are passed, and an error says how far each came.

use std::error::Error as _;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::pin;
use std::time::Duration;

use cenote::net::{DialError, Dialer, Host, Socket, is_quiet};
use cenote::{Connect, Dial, FailureKind, Pool, Verdict};
use cenote_testkit::SilentAddress;
use tokio::time::Instant;

/// A listener that nobody accepts from: connecting succeeds all the same.
fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// An address where nothing listens.
fn refused() -> SocketAddr {
    listener().1
}

fn peer(socket: &Socket) -> SocketAddr {
    match socket {
        Socket::Tcp(socket) => socket.peer_addr().unwrap(),
        other => panic!("{other:?} is not TCP"),
    }
}

fn ten_seconds() -> Dial {
    Dial::within(Duration::from_secs(10))
}

/// A DNS name whose first address is dead: RFC 8305's case, and libpq's, whose users wait for the system's two minutes.
#[tokio::test(start_paused = true)]
async fn an_address_that_hangs_is_passed_after_the_attempt_delay() {
    let silent = SilentAddress::new().unwrap();
    let (_listener, good) = listener();
    let host = Host::with_addresses("db.example", [silent.addr(), good]);
    let began = Instant::now();
    let socket = Dialer::new().connect(&host, &ten_seconds()).await.unwrap();
    assert_eq!(peer(&socket), good);
    assert!(began.elapsed() >= Duration::from_millis(250));
    assert!(began.elapsed() < Duration::from_millis(260));
}

/// A timer of no time at all still takes the rest of its millisecond: longer than it takes to connect.
#[tokio::test]
async fn the_first_address_waits_for_no_timer() {
    let (listener, good) = listener();
    listener.set_nonblocking(true).unwrap();
    let (dialer, host, dial) = (Dialer::new(), Host::from(good), ten_seconds());
    let mut connect = pin!(dialer.connect(&host, &dial));
    // Within the machine a connection is made, if not accepted, by the call that asks for it.
    let _ = futures::poll!(&mut connect);
    listener.accept().unwrap();
}

/// A refusal is an answer: the next address does not wait for the attempt delay.
#[tokio::test(start_paused = true)]
async fn an_address_that_refuses_is_passed_at_once() {
    let (_listener, good) = listener();
    let host = Host::with_addresses("db.example", [refused(), good]);
    let began = Instant::now();
    let socket = Dialer::new().connect(&host, &ten_seconds()).await.unwrap();
    assert_eq!(peer(&socket), good);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

/// The first address of a name serves as long as it answers, whatever the others do.
#[tokio::test(start_paused = true)]
async fn the_first_address_that_answers_is_used() {
    let (_first, first) = listener();
    let (_second, second) = listener();
    let host = Host::with_addresses("db.example", [first, second]);
    let socket = Dialer::new().connect(&host, &ten_seconds()).await.unwrap();
    assert_eq!(peer(&socket), first);
}

/// hyper #1316: the time-out was divided among the addresses, or the second never tried.
#[tokio::test(start_paused = true)]
async fn with_less_time_than_the_attempt_delays_the_last_address_has_its_turn() {
    let silent = [SilentAddress::new().unwrap(), SilentAddress::new().unwrap()];
    let (_listener, good) = listener();
    let host = Host::with_addresses("db.example", [silent[0].addr(), silent[1].addr(), good]);
    let dial = Dial::within(Duration::from_millis(300));
    let socket = Dialer::new().connect(&host, &dial).await.unwrap();
    assert_eq!(peer(&socket), good);
}

/// At the dial's deadline its error names every address and what became of it, where the pool's own time-out would
/// name none.
#[tokio::test(start_paused = true)]
async fn at_the_deadline_each_address_is_named_with_its_cause() {
    let silent = SilentAddress::new().unwrap();
    let refused = refused();
    let host = Host::with_addresses("db.example", [silent.addr(), refused]);
    let dial = ten_seconds();
    let error = Dialer::new().connect(&host, &dial).await.unwrap_err();
    assert_eq!(dial.remaining(), Some(Duration::ZERO));
    let expected = format!(
        "cannot connect to db.example: {}: no answer within 10s; {refused}: Connection refused (os error 111)",
        silent.addr()
    );
    assert_eq!(error.to_string(), expected);
    assert!(
        error.source().is_none(),
        "what the text has is not repeated"
    );
}

/// With one address its cause is the error's source, and only there.
#[tokio::test]
async fn a_refusal_by_the_only_address_is_the_source() {
    let refused = refused();
    let host = Host::from(refused);
    let error = Dialer::new()
        .connect(&host, &ten_seconds())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), format!("cannot connect to {refused}"));
    assert_eq!(error.classify(), FailureKind::Transient);
    let error = std::io::Error::from(error);
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

/// A dial whose time is over when it comes to this host makes no attempt that nobody awaits.
#[tokio::test(start_paused = true)]
async fn a_dial_without_time_left_ends_at_once_and_says_so() {
    let (_listener, good) = listener();
    let dial = Dial::within(Duration::ZERO);
    let error = Dialer::new()
        .connect(&Host::from(good), &dial)
        .await
        .unwrap_err();
    let cause = error.source().unwrap().to_string();
    assert_eq!(cause, "no time was left for it");
}

/// A name is looked up by the system, and all its addresses are tried: `localhost` may have the other family first.
#[tokio::test]
async fn a_name_is_looked_up() {
    let (_listener, good) = listener();
    let host = Host::new("localhost", good.port());
    let socket = Dialer::new().connect(&host, &ten_seconds()).await.unwrap();
    assert_eq!(peer(&socket), good);
}

/// A name without addresses is an error with that name, not a panic or a hang.
#[tokio::test]
async fn a_host_without_addresses_is_named() {
    let host = Host::with_addresses("db.example", []);
    let error = Dialer::new()
        .connect(&host, &ten_seconds())
        .await
        .unwrap_err();
    assert!(matches!(error, DialError::NoAddress { .. }), "{error:?}");
    assert_eq!(error.to_string(), "db.example has no address");
}

/// A name that the system's resolver refuses leads to an error with the name and the resolver's answer.
#[tokio::test]
async fn a_name_that_cannot_be_looked_up_is_named_with_the_resolvers_answer() {
    // Not a name by any resolver's rules, so that no network is asked.
    let host = Host::new("no such host", 5432);
    let error = Dialer::new()
        .connect(&host, &ten_seconds())
        .await
        .unwrap_err();
    assert!(matches!(error, DialError::Lookup { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "cannot look up the host of no such host:5432"
    );
    assert!(error.source().is_some());
}

/// Both kinds of sockets are dialled alike.
#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_a_host_too() {
    let folder = std::env::temp_dir().join(format!("cenote-net-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("server.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let host = Host::unix(&path);
    let socket = Dialer::new().connect(&host, &ten_seconds()).await.unwrap();
    assert!(matches!(socket, Socket::Unix(_)), "{socket:?}");

    drop(listener);
    let error = Dialer::new()
        .connect(&host, &ten_seconds())
        .await
        .unwrap_err();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(
        error.to_string(),
        format!("cannot connect to {}", path.display())
    );
    assert!(error.source().is_some());
}

/// A connector whose host may hang.
struct Server(Host);

impl Connect for Server {
    type Connection = Socket;
    type Error = DialError;

    async fn connect(&self, dial: &Dial) -> Result<Socket, DialError> {
        Dialer::new().connect(&self.0, dial).await
    }

    fn verdict(&self, socket: &mut Socket) -> Verdict {
        if is_quiet(socket) {
            Verdict::Reuse
        } else {
            Verdict::Close
        }
    }
}

/// bb8 #102: a server that does not answer was a bare time-out. The dialer ends a moment before the pool would end it,
/// so that its error is the one that is seen.
#[tokio::test(start_paused = true)]
async fn a_pool_s_error_names_the_addresses_that_hang() {
    let silent = SilentAddress::new().unwrap();
    let pool = Pool::builder(Server(Host::from(silent.addr())))
        .connect_timeout(Duration::from_secs(2))
        .acquire_timeout(Duration::from_secs(3))
        .build()
        .unwrap();
    let error = pool.get().await.map(drop).unwrap_err();
    let dialled = error
        .connect_error()
        .unwrap()
        .downcast_ref::<DialError>()
        .unwrap();
    assert_eq!(
        dialled.to_string(),
        format!("cannot connect to {}", silent.addr())
    );
    assert_eq!(dialled.source().unwrap().to_string(), "no answer within 2s");
}
