//! A mux as the connection of a shared pool: calls of all users go over few connections, and one whose peer died or fell
//! silent serves nobody new.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use cenote::mux::{CallError, Disconnected, MuxBuilder, MuxConnect, Transport};
use cenote::net::Host;
use cenote::{Connect, Dial, FailureKind, SharedLease, SharedPool};
use futures::future::{join_all, try_join_all};
use futures::{StreamExt, poll};
use tokio::io::{DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::codec::{Framed, LinesCodec};

use crate::peer::{Codec, Peer, ms, secs};

/// How a server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Answers,
    /// It answers nothing before it has been asked so often on one connection.
    AnswersAfter(usize),
    /// A connection on which it is asked something in this mood stays silent, whatever mood comes.
    FallsSilent,
    /// It ends all connections.
    HangsUp,
}

#[derive(Clone)]
struct Server {
    mood: watch::Sender<Mood>,
    opened: Arc<AtomicUsize>,
}

impl Server {
    fn new(mood: Mood) -> Self {
        Self {
            mood: watch::Sender::new(mood),
            opened: Arc::default(),
        }
    }

    fn is_now(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    fn opened(&self) -> usize {
        self.opened.load(SeqCst)
    }

    async fn serve(self, mut peer: Peer) {
        let mut mood = self.mood.subscribe();
        let mut owed = Vec::new();
        loop {
            let request = tokio::select! {
                request = peer.0.next() => match request {
                    Some(Ok(request)) => request,
                    _ => return,
                },
                _ = mood.wait_for(|mood| *mood == Mood::HangsUp) => return,
            };
            owed.push(request);
            let now = *mood.borrow();
            match now {
                Mood::AnswersAfter(enough) if owed.len() < enough => {}
                Mood::FallsSilent => {
                    while peer.0.next().await.is_some() {}
                    return;
                }
                _ => {
                    for request in owed.drain(..) {
                        peer.reply(request.tag, request.message).await;
                    }
                }
            }
        }
    }
}

impl Transport for Server {
    type Read = ReadHalf<DuplexStream>;
    type Write = WriteHalf<DuplexStream>;
    type Error = io::Error;

    async fn open(&self, _: &Dial) -> io::Result<(Self::Read, Self::Write)> {
        let (near, far) = duplex(64 << 10);
        self.opened.fetch_add(1, SeqCst);
        let peer = Peer(Framed::new(far, Codec));
        tokio::spawn(self.clone().serve(peer));
        Ok(split(near))
    }
}

fn pool(
    server: &Server,
    ping: Option<Duration>,
    max_size: usize,
) -> SharedPool<MuxConnect<Server, Bytes, Bytes>> {
    let mut settings = MuxBuilder::new();
    if let Some(after) = ping {
        settings = settings.ping(after, || Bytes::from("ping"));
    }
    let connect = MuxConnect::tagged(server.clone(), Codec).settings(settings);
    let builder = SharedPool::builder(connect).max_size(max_size);
    builder.build().unwrap()
}

/// With the default capacity of one lease they would come one after the other, and the server wait for ever.
#[tokio::test(start_paused = true)]
async fn a_thousand_calls_at_once_share_the_one_connection_of_a_pool() {
    let server = Server::new(Mood::AnswersAfter(1_000));
    let pool = pool(&server, None, 1);
    let calls = (0..1_000).map(|n: u32| {
        let pool = &pool;
        async move {
            let asked = Bytes::from(n.to_string());
            let reply = pool.get().await.unwrap().call(asked.clone()).await?;
            assert_eq!(reply, asked);
            Ok::<_, CallError>(())
        }
    });
    try_join_all(calls).await.unwrap();
    assert_eq!(server.opened(), 1);
}

/// Leased or at rest when it died.
#[tokio::test(start_paused = true)]
async fn a_mux_whose_peer_died_is_not_leased_again() {
    for lease_is_held in [true, false] {
        let server = Server::new(Mood::Answers);
        let pool = pool(&server, None, 1);
        let first = pool.get().await.unwrap();
        assert_eq!(first.call(Bytes::from("one")).await.unwrap(), "one");
        let mux = first.clone();
        let held = lease_is_held.then_some(first);
        if !lease_is_held {
            // It rests.
            sleep(secs(60)).await;
        }
        server.is_now(Mood::HangsUp);
        mux.closed().await;
        server.is_now(Mood::Answers);
        drop(held);
        for _ in 0..10 {
            let lease = pool.get().await.unwrap();
            assert_eq!(lease.call(Bytes::from("other")).await.unwrap(), "other");
        }
        assert_eq!(server.opened(), 2, "held: {lease_is_held}");
    }
}

/// A black hole under users with time-outs of a second, which drop their calls: nobody was served for the 40 s that
/// were watched.
#[tokio::test(start_paused = true)]
async fn users_of_a_pool_whose_only_peer_fell_silent_are_served_again_within_ten_seconds() {
    for ping in [None, Some(secs(5)), Some(secs(600))] {
        let server = Server::new(Mood::Answers);
        let pool = pool(&server, ping, 1);
        let mut users = JoinSet::new();
        let silent_at = Instant::now() + secs(3);
        for _ in 0..20 {
            let pool = pool.clone();
            users.spawn(async move {
                loop {
                    let ask = async {
                        let lease = pool.get().await.unwrap();
                        lease.call(Bytes::from("asked")).await
                    };
                    let served = matches!(timeout(secs(1), ask).await, Ok(Ok(_)));
                    if served && Instant::now() > silent_at + ms(1) {
                        return Instant::now() - silent_at;
                    }
                    sleep(ms(20)).await;
                }
            });
        }
        tokio::time::sleep_until(silent_at).await;
        server.is_now(Mood::FallsSilent);
        sleep(secs(1)).await;
        // The connection that it has stays silent.
        server.is_now(Mood::Answers);
        let served_after = users.join_all().await;
        let last = served_after.iter().max().unwrap();
        assert!(*last <= secs(10), "{last:?}, pings after {ping:?}");
        assert_eq!(server.opened(), 2, "pings after {ping:?}");
    }
}

/// Nobody new comes to a connection whose peer owes the answer to a ping, while others can be had.
#[tokio::test(start_paused = true)]
async fn a_connection_whose_peer_owes_the_answer_to_a_ping_is_leased_to_nobody_new() {
    let server = Server::new(Mood::FallsSilent);
    let pool = pool(&server, Some(secs(600)), 2);
    let suspect = pool.get().await.unwrap();
    assert!(
        timeout(secs(1), suspect.call(Bytes::from("asked")))
            .await
            .is_err()
    );
    while suspect.capacity() > 0 {
        sleep(ms(50)).await;
    }
    assert!(suspect.is_open());
    server.is_now(Mood::Answers);
    let other = timeout(secs(2), pool.get()).await.unwrap().unwrap();
    assert!(suspect.is_open());
    assert_eq!(other.call(Bytes::from("asked")).await.unwrap(), "asked");
    assert_eq!(server.opened(), 2);
}

/// In order, over TCP, and closed with a goodbye: the peer sees the end of the stream.
#[tokio::test]
async fn a_host_and_a_codec_are_a_connector() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = Host::from(listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let (mut read, mut write) = socket.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap()
    });
    let pool = SharedPool::new(MuxConnect::in_order(host, LinesCodec::new()));
    let ask = async |line: &str| pool.get().await.unwrap().call(line.to_owned()).await;
    let (one, other): (Result<String, _>, _) = tokio::join!(ask("one"), ask("other"));
    assert_eq!(
        (one.unwrap(), other.unwrap()),
        ("one".into(), "other".into())
    );
    pool.close().await;
    assert_eq!(server.await.unwrap(), "one\nother\n".len() as u64);
}

#[tokio::test(start_paused = true)]
async fn settings_that_cannot_work_fail_the_get_by_name_and_at_once() {
    let server = Server::new(Mood::Answers);
    let settings = MuxBuilder::new().max_frame(0);
    let connect = MuxConnect::tagged(server, Codec).settings(settings);
    let pool = SharedPool::new(connect);
    let refused = timeout(secs(1), pool.get()).await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("max_frame"), "{refused}");
}

/// By a function, of which the pool learns no more than its error.
#[tokio::test(start_paused = true)]
async fn the_error_of_a_transport_is_the_connector_s() {
    let transport = |_: Dial| async {
        Err::<(DuplexStream, DuplexStream), _>(io::Error::other("no such store"))
    };
    let connect = MuxConnect::<_, Bytes, Bytes>::tagged(transport, Codec);
    let error = connect.connect(&Dial::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "no such store");
    assert_eq!(connect.classify(&error), FailureKind::Transient);
}

/// The peer has no more connections than the pool says, whatever users keep of them.
#[tokio::test(start_paused = true)]
async fn a_clone_that_is_kept_does_not_keep_the_connection() {
    for is_discarded in [true, false] {
        let server = Server::new(Mood::Answers);
        let pool = pool(&server, None, 1);
        let lease = pool.get().await.unwrap();
        let kept = lease.clone();
        assert_eq!(kept.call(Bytes::from("one")).await.unwrap(), "one");
        if is_discarded {
            SharedLease::discard(lease);
        } else {
            drop(lease);
            pool.close().await;
        }
        let why = kept.closed().await;
        assert!(matches!(why, Disconnected::Closed), "{why}");
        let refused = kept.call(Bytes::from("two")).await.unwrap_err();
        assert!(
            matches!(refused, CallError::Disconnected { .. }),
            "{refused}"
        );
    }
}

/// A reply that nobody waits for any more makes room for one more lease: who waits for it need not wait for upkeep.
#[tokio::test(start_paused = true)]
async fn a_late_reply_makes_room_at_once() {
    let server = Server::new(Mood::AnswersAfter(2));
    let settings = MuxBuilder::new().max_in_flight(8);
    let connect = MuxConnect::tagged(server.clone(), Codec).settings(settings);
    let pool = SharedPool::builder(connect).max_size(1).build().unwrap();
    let lease = pool.get().await.unwrap();
    timeout(ms(10), lease.call(Bytes::from("given up")))
        .await
        .unwrap_err();
    drop(lease);
    let held = join_all((0..7).map(|_| pool.get())).await;
    assert!(held.iter().all(Result::is_ok));
    let mut waits = pin!(pool.get());
    assert!(poll!(&mut waits).is_pending());
    let began = Instant::now();
    let second = held[0].as_ref().unwrap().call(Bytes::from("second"));
    assert_eq!(second.await.unwrap(), "second");
    drop(waits.await.unwrap());
    assert_eq!(began.elapsed(), Duration::ZERO);
}
