//! The walk over several hosts: each has its share of the dial, and the error names all.

use std::fmt;
use std::future::pending;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;
use std::time::Duration;

use cenote::net::{DialError, Dialer, Host, HostFailure, HostsError, Socket, each_host, is_quiet};
use cenote::{Connect, Dial, FailureKind, Pool, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Refused {
    NoSuchHost,
    Full,
    Password,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchHost => "no such host",
            Self::Full => "too many clients",
            Self::Password => "wrong password",
        })
    }
}

impl std::error::Error for Refused {}

fn kind(error: &Refused) -> FailureKind {
    match error {
        Refused::NoSuchHost => FailureKind::Final,
        Refused::Full => FailureKind::Full,
        Refused::Password => FailureKind::Credentials,
    }
}

fn hosts<const N: usize>(names: [&str; N]) -> [Host; N] {
    names.map(|name| Host::new(name, 1))
}

fn twelve_seconds() -> Dial {
    Dial::within(Duration::from_secs(12))
}

/// A host that hangs has its equal share, and what is left goes to those behind it.
#[tokio::test(start_paused = true)]
async fn hosts_that_hang_have_equal_shares_of_the_dial() {
    let hosts = hosts(["a", "b", "c"]);
    let shares = Mutex::new(Vec::new());
    let dial = twelve_seconds();
    let error = each_host(&hosts, &dial, |host, dial| {
        shares
            .lock()
            .unwrap()
            .push((host.to_string(), dial.remaining().unwrap()));
        pending::<Result<(), HostFailure<Refused>>>()
    })
    .await
    .unwrap_err();
    let four = Duration::from_secs(4);
    let expected = ["a:1", "b:1", "c:1"].map(|host| (host.to_owned(), four));
    let rounded =
        |share: Duration| Duration::from_millis(share.as_millis().next_multiple_of(10) as u64);
    let shares = shares.into_inner().unwrap();
    let shares: Vec<_> = shares
        .into_iter()
        .map(|(host, share)| (host, rounded(share)))
        .collect();
    assert_eq!(shares, expected);
    assert_eq!(dial.remaining(), Some(Duration::ZERO));
    assert!(
        error
            .to_string()
            .starts_with("a:1: not ready within 4s; b:1: not ready"),
        "{error}"
    );
}

/// Time that a host did not need is its successors'.
#[tokio::test(start_paused = true)]
async fn what_a_quick_refusal_leaves_goes_to_those_behind_it() {
    let hosts = hosts(["a", "b", "c"]);
    let shares = Mutex::new(Vec::new());
    let dial = twelve_seconds();
    let tried = each_host(&hosts, &dial, |host, dial| {
        shares.lock().unwrap().push(dial.remaining().unwrap());
        async move {
            match host.name() {
                Some("c") => Ok("c"),
                _ => Err(Refused::Full.into()),
            }
        }
    });
    assert_eq!(tried.await.unwrap(), "c");
    let expected = [4, 6, 12].map(Duration::from_secs);
    assert_eq!(shares.into_inner().unwrap(), expected);
}

/// Without a deadline there is nothing to share, and nobody's attempt is cut short.
#[tokio::test(start_paused = true)]
async fn without_a_deadline_no_attempt_is_cut_short() {
    let hosts = hosts(["a", "b"]);
    let dial = Dial::new();
    let tried = each_host(&hosts, &dial, |host, dial| async move {
        assert_eq!(dial.remaining(), None);
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        Ok::<_, HostFailure<Refused>>(host.to_string())
    });
    assert_eq!(tried.await.unwrap(), "a:1");
}

/// libpq: a wrong password ends the walk, for the next host has the same accounts.
#[tokio::test]
async fn an_error_that_stops_the_walk_is_the_last_that_is_tried() {
    let hosts = hosts(["a", "b", "c"]);
    let error = each_host(&hosts, &twelve_seconds(), |host, _| async move {
        match host.name() {
            Some("a") => Err::<(), _>(HostFailure::TryNext(Refused::Full)),
            _ => Err(HostFailure::Stop(Refused::Password)),
        }
    })
    .await
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "a:1: too many clients; b:1: wrong password"
    );
    assert_eq!(error.stopped_by(), Some(&Refused::Password));
    assert_eq!(error.classify(kind), FailureKind::Credentials);
}

async fn failing(answers: &[Refused]) -> HostsError<Refused> {
    let names = ["a", "b", "c"].into_iter().take(answers.len());
    let hosts: Vec<_> = names.map(|name| Host::new(name, 1)).collect();
    let mut answers = answers.iter().cloned();
    each_host(&hosts, &twelve_seconds(), |_, _| {
        let answer = answers.next().unwrap();
        async { Err::<(), _>(HostFailure::TryNext(answer)) }
    })
    .await
    .unwrap_err()
}

/// A list is only as hopeless as its best host.
#[tokio::test]
async fn hosts_that_fail_alike_are_of_that_kind_and_others_transient() {
    let all_unknown = failing(&[Refused::NoSuchHost, Refused::NoSuchHost]).await;
    assert_eq!(all_unknown.classify(kind), FailureKind::Final);
    let one_full = failing(&[Refused::NoSuchHost, Refused::Full]).await;
    assert_eq!(one_full.classify(kind), FailureKind::Transient);
}

/// A connector with one host shows that host's error rather than a list of one.
#[tokio::test]
async fn the_error_of_the_only_host_can_be_had_bare() {
    let only = failing(&[Refused::Full]).await;
    assert_eq!(only.into_only().unwrap(), Refused::Full);
    let two = failing(&[Refused::Full, Refused::NoSuchHost]).await;
    let two = two.into_only().unwrap_err();
    assert_eq!(two.failures().len(), 2);
}

/// No panic on an empty list.
#[tokio::test]
async fn a_list_without_hosts_is_an_error() {
    let none = failing(&[]).await;
    assert_eq!(none.to_string(), "no host is given");
}

/// A connector for `host=frozen,good`, as a user would write it.
struct Greeted {
    hosts: Vec<Host>,
    dialer: Dialer,
}

impl Greeted {
    async fn greeted_by(&self, host: &Host, dial: &Dial) -> Result<Socket, DialError> {
        let mut socket = self.dialer.connect(host, dial).await?;
        let mut greeting = [0; 5];
        match socket.read_exact(&mut greeting).await {
            Ok(_) => Ok(socket),
            Err(_) => Err(DialError::NoAddress { host: host.clone() }),
        }
    }
}

impl Connect for Greeted {
    type Connection = Socket;
    type Error = HostsError<DialError>;

    async fn connect(&self, dial: &Dial) -> Result<Socket, Self::Error> {
        each_host(&self.hosts, dial, |host, dial| async move {
            Ok(self.greeted_by(host, &dial).await?)
        })
        .await
    }

    fn verdict(&self, socket: &mut Socket) -> Verdict {
        if is_quiet(socket) {
            Verdict::Reuse
        } else {
            Verdict::Close
        }
    }
}

/// A host that accepts and never says a word, in front of a good one: PgBouncer, tokio-postgres and libpq without
/// connect_timeout hang there for ever.
#[tokio::test]
async fn a_pool_passes_a_host_that_accepts_and_never_answers() {
    let frozen = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let good = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let good_address = good.local_addr().unwrap();
    tokio::spawn(async move {
        let mut clients = Vec::new();
        while let Ok((mut client, _)) = good.accept().await {
            client.write_all(b"hello").await.unwrap();
            clients.push(client);
        }
    });
    let connector = Greeted {
        hosts: vec![
            Host::from(frozen.local_addr().unwrap()),
            Host::from(good_address),
        ],
        dialer: Dialer::new(),
    };
    let pool = Pool::builder(connector)
        .connect_timeout(Duration::from_millis(500))
        .build()
        .unwrap();
    let socket = pool.get().await.unwrap();
    match &*socket {
        Socket::Tcp(socket) => assert_eq!(socket.peer_addr().unwrap(), good_address),
        other => panic!("{other:?} is not TCP"),
    }
}
