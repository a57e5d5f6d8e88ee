//! Pools over what a real name server tells: Knot, whose zone changes under them, and servers on loopback addresses.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use cenote::endpoints::Endpoint;
use cenote::{Connect, Dial, Pool, Verdict};
use cenote_dns::Target;
use cenote_testkit::KnotServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

#[allow(dead_code, reason = "other tests need the rest")]
mod waiting;

use waiting::{dns, within};

const ZONE: &str = "prod.test";

/// Answers each byte with one, on an address of its own.
struct Server {
    at: SocketAddr,
    open: Arc<AtomicUsize>,
}

impl Server {
    /// On this loopback address, on any port or that of another.
    async fn start(ip: &str, port: u16) -> Self {
        let ip: IpAddr = ip.parse().unwrap();
        let listener = TcpListener::bind((ip, port)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let open = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&open);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let open = Arc::clone(&counted);
                open.fetch_add(1, SeqCst);
                tokio::spawn(async move {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).await.is_ok() {
                        if stream.write_all(&byte).await.is_err() {
                            break;
                        }
                    }
                    open.fetch_sub(1, SeqCst);
                });
            }
        });
        Self { at, open }
    }

    fn open(&self) -> usize {
        self.open.load(SeqCst)
    }
}

/// Connects to an address.
struct To(SocketAddr);

impl Connect for To {
    type Connection = TcpStream;
    type Error = io::Error;

    async fn connect(&self, _: &Dial) -> io::Result<TcpStream> {
        TcpStream::connect(self.0).await
    }

    fn verdict(&self, _: &mut TcpStream) -> Verdict {
        Verdict::Reuse
    }
}

/// Asks once; who answered.
async fn ask(pool: &Pool<To>) -> SocketAddr {
    let mut stream = pool.get().await.unwrap();
    stream.write_all(&[7]).await.unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [7]);
    stream.peer_addr().unwrap()
}

/// grpc #12295, scylla-rust-driver #756: the pool stays with addresses that the name has no more, or never finds the new
/// ones.
#[tokio::test]
async fn a_pool_over_a_name_moves_with_its_zone_and_loses_no_request() {
    let old = Server::start("127.0.0.2", 0).await;
    let new = Server::start("127.0.0.3", old.at.port()).await;
    let zone = KnotServer::start(ZONE, "echo 1 A 127.0.0.2").unwrap();
    let name = format!("echo.prod.test:{}", old.at.port());
    let source = dns(zone.addr()).host(&name).unwrap();
    let pool = Pool::balanced(source, |at: &Endpoint<SocketAddr>| To(at.key));
    let pool = pool.build().unwrap();
    assert_eq!(ask(&pool).await, old.at);
    zone.change(&["echo A"], &["echo 1 A 127.0.0.3"]).unwrap();
    within("all at the new address", async {
        while ask(&pool).await != new.at || old.open() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    for _ in 0..20 {
        assert_eq!(ask(&pool).await, new.at);
    }
}

/// The target is the same, and so the endpoint, whose connections were good for as long as they lasted.
#[tokio::test]
async fn a_pool_over_a_service_moves_with_its_target_and_loses_no_request() {
    let old = Server::start("127.0.0.2", 0).await;
    let new = Server::start("127.0.0.3", old.at.port()).await;
    let records = format!(
        "_echo._tcp 1 SRV 0 1 {} one\none 1 A 127.0.0.2",
        old.at.port()
    );
    let zone = KnotServer::start(ZONE, &records).unwrap();
    let source = dns(zone.addr()).srv("_echo._tcp.prod.test").unwrap();
    let pool = Pool::balanced(source, |at: &Endpoint<Target>| To(at.addresses[0]));
    let pool = pool.build().unwrap();
    assert_eq!(ask(&pool).await, old.at);
    zone.change(&["one A"], &["one 1 A 127.0.0.3"]).unwrap();
    within("all at the new address", async {
        while ask(&pool).await != new.at || old.open() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_pool_over_a_service_shares_by_the_weights_of_its_targets() {
    let (heavy, light) = (
        Server::start("127.0.0.2", 0).await,
        Server::start("127.0.0.3", 0).await,
    );
    let records = format!(
        "_echo._tcp 60 SRV 0 3 {} one\n_echo._tcp 60 SRV 0 1 {} two\none 60 A 127.0.0.2\ntwo 60 A 127.0.0.3",
        heavy.at.port(),
        light.at.port()
    );
    let zone = KnotServer::start(ZONE, &records).unwrap();
    let source = dns(zone.addr()).srv("_echo._tcp.prod.test").unwrap();
    let pool = Pool::balanced(source, |at: &Endpoint<Target>| To(at.addresses[0]));
    let pool = pool.build().unwrap();
    within("a connection to each", async {
        while heavy.open() == 0 || light.open() == 0 {
            ask(&pool).await;
        }
    })
    .await;
    let mut shares = BTreeMap::new();
    for _ in 0..400 {
        *shares.entry(ask(&pool).await).or_insert(0) += 1;
    }
    assert!((250..350).contains(&shares[&heavy.at]), "{shares:?}");
}
