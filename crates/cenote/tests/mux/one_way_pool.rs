//! Muxes as the connections of a one-way pool: messages go where there is room, and wait where there is none.

use std::collections::BTreeSet;
use std::future::{Ready, ready};
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cenote::mux::{Frame, MuxBuilder, MuxConnect};
use cenote::report::EventKind;
use cenote::shared::SharedPoolBuilder;
use cenote::{Dial, OneWay, OneWayPool, SharedPool};
use futures::{SinkExt, StreamExt};
use tokio::io::{DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::codec::Framed;

use crate::peer::{BUFFER, Codec, Peer, ms, secs};

/// The other ends of all connections that were opened, the first first.
#[derive(Clone, Default)]
struct Peers(Arc<Mutex<Vec<Peer>>>);

type Halves = (ReadHalf<DuplexStream>, WriteHalf<DuplexStream>);

impl Peers {
    fn open(&self) -> Ready<io::Result<Halves>> {
        let (near, far) = duplex(BUFFER);
        self.0.lock().unwrap().push(Peer(Framed::new(far, Codec)));
        ready(Ok(split(near)))
    }

    fn opened(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn take(&self) -> Vec<Peer> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn connections(
        &self,
        settings: MuxBuilder<Bytes>,
    ) -> SharedPoolBuilder<impl OneWay<Message = Bytes> + use<>> {
        let peers = self.clone();
        let transport = move |_: Dial| peers.open();
        let connect = MuxConnect::<_, Bytes, Bytes>::tagged(transport, Codec).settings(settings);
        SharedPool::builder(connect.one_way())
    }
}

/// A thousand bytes that begin with this number.
fn message(n: u32) -> Bytes {
    let mut bytes = vec![0; 1_000];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    bytes.into()
}

/// The numbers of messages that this peer has until it has had none for a while, or its connection ends.
async fn numbers(peer: &mut Peer) -> Vec<u32> {
    let mut numbers = Vec::new();
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(ms(10), peer.0.next()).await {
        assert_eq!(frame.tag, None);
        let (number, _) = frame.message.split_first_chunk().unwrap();
        numbers.push(u32::from_be_bytes(*number));
    }
    numbers
}

#[tokio::test(start_paused = true)]
async fn messages_go_over_one_connection_while_it_has_room() {
    let peers = Peers::default();
    let pool = OneWayPool::new(peers.connections(MuxBuilder::new()).build().unwrap());
    for n in 0..1_000 {
        pool.send(message(n)).await.unwrap();
    }
    sleep(secs(1)).await;
    assert_eq!(pool.counters().handed_over, 1_000);
    let mut peer = peers.take().pop().unwrap();
    assert_eq!(numbers(&mut peer).await, Vec::from_iter(0..1_000));
    assert_eq!(pool.pool().counters().opened, 1);
}

/// Room that comes is heard of, not found at the next look of upkeep: the peers here wait for 10 ms and no longer.
#[tokio::test(start_paused = true)]
async fn connections_without_room_get_no_more_and_go_on_when_they_have_some() {
    let peers = Peers::default();
    let connections = peers.connections(MuxBuilder::new().max_buffered(4_000));
    let connections = connections.max_size(2).build().unwrap();
    let pool = OneWayPool::new(connections);
    let sender = pool.clone();
    let sending = tokio::spawn(async move {
        for n in 0..2_000 {
            sender.send(message(n)).await.unwrap();
        }
    });
    sleep(secs(1)).await;
    assert_eq!(peers.opened(), 2, "one was not enough");
    let held = pool.counters().handed_over as usize;
    // What two lines hold, what is on its way into them, and what may wait.
    assert!(
        (2 * BUFFER..2 * BUFFER + 24_000).contains(&(held * 1008)),
        "{held}"
    );
    assert_eq!(pool.counters().queued, 100);

    let mut reading = JoinSet::new();
    for mut peer in peers.take() {
        reading.spawn(async move { numbers(&mut peer).await });
    }
    sending.await.unwrap();
    assert_eq!(pool.close().await, Vec::<Bytes>::new());
    let mut all = BTreeSet::new();
    while let Some(numbers) = reading.join_next().await {
        let numbers = numbers.unwrap();
        assert!(
            numbers.is_sorted(),
            "what went over one connection kept its order"
        );
        assert!(numbers.len() > BUFFER / 1008, "and both were used");
        all.extend(numbers);
    }
    assert_eq!(all.len(), 2_000);
}

#[tokio::test(start_paused = true)]
async fn what_was_handed_over_is_written_before_a_connection_is_closed() {
    let peers = Peers::default();
    let pool = OneWayPool::new(peers.connections(MuxBuilder::new()).build().unwrap());
    for n in 0..200 {
        pool.send(message(n)).await.unwrap();
    }
    let close = tokio::spawn(async move { pool.close().await });
    while peers.opened() == 0 {
        sleep(ms(1)).await;
    }
    let mut peer = peers.take().pop().unwrap();
    assert_eq!(numbers(&mut peer).await, Vec::from_iter(0..200));
    assert!(peer.0.next().await.is_none(), "and then it ended");
    assert!(close.await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_encoded_is_told_and_harms_no_other() {
    let peers = Peers::default();
    let told = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&told);
    let connections = peers.connections(MuxBuilder::new()).on_event(move |event| {
        if let EventKind::MessageRefused { error, .. } = event.kind {
            kept.lock().unwrap().push(error.to_owned());
        }
    });
    let pool = OneWayPool::new(connections.build().unwrap());
    pool.send(message(1)).await.unwrap();
    pool.send(Bytes::from("unspeakable")).await.unwrap();
    pool.send(message(2)).await.unwrap();
    sleep(ms(10)).await;
    // The encoder's panic costs its connection, and that message alone.
    pool.send(Bytes::from("panic")).await.unwrap();
    pool.send(message(3)).await.unwrap();
    sleep(secs(5)).await;
    let mut heard = Vec::new();
    for mut peer in peers.take() {
        heard.push(numbers(&mut peer).await);
    }
    assert_eq!(heard, [vec![1, 2], vec![3]]);
    let counters = pool.counters();
    assert_eq!((counters.handed_over, counters.refused), (3, 2));
    let told = told.lock().unwrap();
    assert_eq!(told[0], "unspeakable");
    assert!(told[1].contains("panicked"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_its_peer_closes_is_replaced_for_the_next_message() {
    let peers = Peers::default();
    let pool = OneWayPool::new(peers.connections(MuxBuilder::new()).build().unwrap());
    pool.send(message(1)).await.unwrap();
    sleep(ms(10)).await;
    let mut first = peers.take().pop().unwrap();
    assert_eq!(numbers(&mut first).await, [1]);
    drop(first);
    sleep(ms(10)).await;
    pool.send(message(2)).await.unwrap();
    sleep(secs(1)).await;
    let mut second = peers.take().pop().unwrap();
    assert_eq!(numbers(&mut second).await, [2]);
}

/// A peer of one-way messages has nothing to say.
#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_loses_its_connection_and_messages_go_on() {
    let peers = Peers::default();
    let pool = OneWayPool::new(peers.connections(MuxBuilder::new()).build().unwrap());
    pool.send(message(1)).await.unwrap();
    sleep(ms(10)).await;
    let mut first = peers.take().pop().unwrap();
    let answer = Frame {
        tag: Some(0),
        message: Bytes::new(),
    };
    first.0.send(answer).await.unwrap();
    sleep(ms(10)).await;
    pool.send(message(2)).await.unwrap();
    sleep(secs(1)).await;
    let mut second = peers.take().pop().unwrap();
    assert_eq!(numbers(&mut second).await, [2]);
}

/// A peer that has vanished takes no more messages once it owes the answer to a ping.
#[tokio::test(start_paused = true)]
async fn a_peer_that_owes_the_answer_to_a_ping_gets_no_messages() {
    let peers = Peers::default();
    let settings = MuxBuilder::new()
        .ping(secs(1), || Bytes::from("ping"))
        .ping_timeout(secs(4));
    let connections = peers.connections(settings).max_size(1).build().unwrap();
    let pool = OneWayPool::new(connections);
    pool.send(message(1)).await.unwrap();
    sleep(secs(3)).await;
    let before = pool.counters().handed_over;
    pool.send(message(2)).await.unwrap();
    sleep(ms(100)).await;
    assert_eq!((before, pool.counters().handed_over), (1, 1));
    assert_eq!(pool.counters().queued, 1);
    // It is given up, and the message goes to the next.
    sleep(secs(10)).await;
    assert_eq!(pool.counters().handed_over, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_senders_on_two_threads_lose_nothing() {
    let peers = Peers::default();
    let connections = peers.connections(MuxBuilder::new().max_buffered(2_000));
    let pool = OneWayPool::new(connections.max_size(3).build().unwrap());
    let mut senders = JoinSet::new();
    for sender in 0..20 {
        let pool = pool.clone();
        senders.spawn(async move {
            for n in 0..200 {
                pool.send(message(sender * 200 + n)).await.unwrap();
            }
        });
    }
    let all = tokio::spawn(async move {
        let mut all = BTreeSet::new();
        let mut reading: Vec<Peer> = Vec::new();
        while all.len() < 4_000 {
            reading.extend(peers.take());
            for peer in &mut reading {
                all.extend(numbers(peer).await);
            }
            tokio::task::yield_now().await;
        }
        all
    });
    while let Some(sender) = senders.join_next().await {
        sender.unwrap();
    }
    assert_eq!(all.await.unwrap(), BTreeSet::from_iter(0..4_000));
    let counters = pool.counters();
    assert_eq!((counters.taken, counters.handed_over), (4_000, 4_000));
}
