//! Real TCP through a proxy that does what networks do: every reply is its caller's own, everyone is told,
//! nobody hangs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use cenote::mux::{CallError, Disconnected, MuxBuilder};
use cenote_testkit::{Fault, FaultProxy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::peer::{Client, Codec, load, ms, secs};

const CALLERS: usize = 100;

/// Sends back what it reads.
async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = socket.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
    address
}

async fn connect(
    proxy: &FaultProxy,
    settings: impl FnOnce(MuxBuilder<Bytes>) -> MuxBuilder<Bytes>,
) -> Client {
    let stream = TcpStream::connect(proxy.addr()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (read, write) = stream.into_split();
    settings(MuxBuilder::new())
        .tagged(read, write, Codec)
        .unwrap()
}

/// Those who call, one call after the other, each with a message of its own, until they are told that the
/// connection is lost, or to stop.
struct Crowd {
    callers: JoinSet<Option<Disconnected>>,
    answered: Arc<AtomicUsize>,
    enough: Arc<AtomicBool>,
}

impl Crowd {
    fn on(client: &Client) -> Self {
        let (answered, enough): (Arc<AtomicUsize>, Arc<AtomicBool>) = Default::default();
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            callers.spawn(ask(
                client.clone(),
                caller,
                answered.clone(),
                enough.clone(),
            ));
        }
        Self {
            callers,
            answered,
            enough,
        }
    }

    async fn had(&self, answers: usize) {
        let before = self.answered.load(SeqCst);
        while self.answered.load(SeqCst) < before + answers {
            sleep(ms(1)).await;
        }
    }

    /// Why each of them stopped, which they all must.
    async fn ended(self) -> Vec<Option<Disconnected>> {
        timeout(secs(60), self.callers.join_all())
            .await
            .expect("all are told")
    }
}

async fn ask(
    client: Client,
    caller: usize,
    answered: Arc<AtomicUsize>,
    enough: Arc<AtomicBool>,
) -> Option<Disconnected> {
    for turn in 0.. {
        if enough.load(SeqCst) {
            return None;
        }
        let asked = Bytes::from(format!("{caller}/{turn}"));
        let call = client.call(asked.clone());
        let reply = if (caller + turn) % 3 == 0 {
            // Leaves, when it takes a while.
            match timeout(ms((turn % 7) as u64), call).await {
                Ok(reply) => reply,
                Err(_) => continue,
            }
        } else {
            call.await
        };
        match reply {
            Ok(reply) => {
                assert_eq!(reply, asked);
                answered.fetch_add(1, SeqCst);
            }
            Err(CallError::Disconnected { cause, .. }) => return Some(cause),
            Err(CallError::TimedOut { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    None
}

/// The connection survives it, and so does every caller.
async fn survives(fault: Fault) {
    let proxy = FaultProxy::start(server().await).await.unwrap();
    let client = connect(&proxy, |settings| {
        settings.max_in_flight(48).max_abandoned(usize::MAX)
    })
    .await;
    let crowd = Crowd::on(&client);
    crowd.had(500).await;
    proxy.set(fault).unwrap();
    crowd.had(500).await;
    proxy.clear().unwrap();
    crowd.had(500).await;
    crowd.enough.store(true, SeqCst);
    assert!(crowd.ended().await.iter().all(Option::is_none));
    let quiet = async {
        while load(&client) != (0, 0, 0) {
            sleep(ms(1)).await;
        }
    };
    timeout(secs(60), quiet)
        .await
        .expect("every request has its reply");
    assert!(client.is_open());
}

/// The connection is lost, and everyone is told why.
async fn ends(
    fault: Fault,
    settings: impl FnOnce(MuxBuilder<Bytes>) -> MuxBuilder<Bytes>,
    is_why: impl Fn(&Disconnected) -> bool,
) {
    let proxy = FaultProxy::start(server().await).await.unwrap();
    let client = connect(&proxy, settings).await;
    let crowd = Crowd::on(&client);
    crowd.had(500).await;
    proxy.set(fault).unwrap();
    for lost in crowd.ended().await {
        let lost = lost.expect("nobody told them to stop");
        assert!(is_why(&lost), "{lost}");
    }
    let lost = client.closed().await;
    assert!(is_why(&lost), "{lost}");
    // Those whose callers left are never answered; nobody waits for them.
    assert_eq!(client.in_flight(), client.abandoned());
    assert_eq!(client.queued(), 0);
}

fn pinging(settings: MuxBuilder<Bytes>) -> MuxBuilder<Bytes> {
    let settings = settings.ping_timeout(ms(200)).max_abandoned(usize::MAX);
    settings.ping(ms(100), || Bytes::from("ping"))
}

/// redis-py #2665: calls are cancelled while their replies are delayed, and the next ones read them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_that_are_delayed_are_never_anothers() {
    let by = ms(4);
    survives(Fault::Delay { by, jitter: by }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_that_come_in_pieces_are_whole() {
    survives(Fault::SplitWrites { chunk: 5 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_is_told_to_everyone() {
    ends(
        Fault::Reset,
        |settings| settings,
        |why| matches!(why, Disconnected::Io(_)),
    )
    .await;
}

/// In the middle of a frame, or between two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_of_the_stream_is_told_to_everyone() {
    let is_end =
        |why: &Disconnected| matches!(why, Disconnected::PeerClosed | Disconnected::CutShort);
    ends(Fault::HalfClose, |settings| settings, is_end).await;
}

/// s2 #710, reqwest #1323: a vanished peer hangs everyone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_is_gone_is_found_by_a_ping() {
    ends(Fault::BlackHole, pinging, |why| {
        matches!(why, Disconnected::Silent { .. })
    })
    .await;
}

/// redis-rs #2277: without pings, by the calls that time out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_is_gone_is_found_by_time_outs() {
    let impatient = |settings: MuxBuilder<Bytes>| {
        let settings = settings.max_abandoned(usize::MAX).drain_timeout(ms(500));
        settings.call_timeout(ms(200)).max_in_flight(CALLERS)
    };
    ends(Fault::BlackHole, impatient, |why| {
        matches!(why, Disconnected::Sick { .. })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_callers_of_a_server_that_never_says_a_word_are_told() {
    let proxy = FaultProxy::start(server().await).await.unwrap();
    proxy.set(Fault::AcceptThenSilence).unwrap();
    let client = connect(&proxy, pinging).await;
    let crowd = Crowd::on(&client);
    for lost in crowd.ended().await {
        assert!(
            matches!(lost, Some(Disconnected::Silent { .. })),
            "{lost:?}"
        );
    }
}
