//! In which order what is sent through the services arrives.

mod server;

use std::thread;

use bytes::{Buf, Bytes};
use cenote::mux::{Mux, MuxBuilder};
use cenote_tower::{Client, MuxSink};
use futures::future::join_all;
use futures::{FutureExt, SinkExt};
use server::{Line, Lines, Server};
use tokio::io::{AsyncReadExt, duplex, split};
use tower::{Service, ServiceExt};

/// More than there are lanes for the threads of one connection.
const THREADS: usize = 40;

/// Nothing is written until the runtime has its turn: a call is pending, so that the driver writes for all.
async fn busy(server: &Server) -> Mux<Line, Line> {
    let (read, write) = server.connect();
    let mux = MuxBuilder::new().in_order(read, write, Lines);
    let mux = mux.expect("good settings");
    let call = mux.call(Bytes::from("first")).into_owned();
    tokio::spawn(call);
    while server.seen() == 0 {
        tokio::task::yield_now().await;
    }
    mux
}

fn line(n: usize) -> String {
    format!("line {n}")
}

async fn assert_in_order(server: &Server) {
    let expected: Vec<_> = (0..THREADS).map(line).collect();
    assert_eq!(server.lines().await[1..], expected);
}

/// A task that goes from thread to thread, as the runtime takes it from the one to the other: each item is put into
/// the lane of another thread.
#[tokio::test(start_paused = true)]
async fn items_of_one_sink_arrive_in_order_whatever_threads_they_are_sent_from() {
    let server = Server::silent();
    let mux = busy(&server).await;
    let mut sink = MuxSink::new(mux);
    for n in 0..THREADS {
        let sent = thread::spawn(move || {
            let sent = sink.send(Bytes::from(line(n))).now_or_never();
            sent.expect("there is room").expect("it is open");
            sink
        });
        sink = sent.join().expect("no panic there");
    }
    SinkExt::<Line>::close(&mut sink).await.expect("it closes");
    assert_in_order(&server).await;
}

/// The same for the calls of one service.
#[tokio::test(start_paused = true)]
async fn calls_of_one_client_arrive_in_order_whatever_threads_they_are_made_from() {
    let server = Server::silent();
    let mux = busy(&server).await;
    let mut client = Client::new(mux);
    let mut calls = Vec::new();
    for n in 0..THREADS {
        let called = thread::spawn(move || {
            let ready = client.ready().now_or_never();
            let ready = ready.expect("there is room").expect("it is open");
            let mut call = Box::pin(ready.call(Bytes::from(line(n))));
            assert!(call.as_mut().now_or_never().is_none());
            (client, call)
        });
        let (back, call) = called.join().expect("no panic there");
        client = back;
        calls.push(call);
    }
    while server.seen() <= THREADS {
        tokio::task::yield_now().await;
    }
    drop((client, calls));
    assert_in_order(&server).await;
}

/// Several sinks on many threads, whose peer reads nothing until all of them have to wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn items_of_one_sink_arrive_in_order_though_the_peer_stalls() {
    const SINKS: usize = 8;
    const ITEMS: u32 = 500;
    let (near, mut far) = duplex(64);
    let (read, write) = split(near);
    let mux: Mux<Line, Line> = MuxBuilder::new()
        .encoders(8)
        .max_buffered(128)
        .in_order(read, write, Lines)
        .expect("good settings");
    let sinks = (0..SINKS).map(|sink| {
        let mut items = MuxSink::new(mux.clone());
        tokio::spawn(async move {
            for item in 0..ITEMS {
                let line = format!("{sink} {item}");
                items.send(Bytes::from(line)).await.expect("it is open");
            }
            items
        })
    });
    let sinks: Vec<_> = sinks.collect();
    // Until the line is full, what may wait is there, and nothing more is sent.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    let reader = tokio::spawn(async move {
        let mut bytes = bytes::BytesMut::new();
        let mut next = [0; SINKS];
        while far.read_buf(&mut bytes).await.expect("whole") > 0 {
            while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
                let line = String::from_utf8(bytes.split_to(end).to_vec()).expect("text");
                bytes.advance(1);
                let (sink, item) = line.split_once(' ').expect("two numbers");
                let sink: usize = sink.parse().expect("a sink");
                assert_eq!(item.parse(), Ok(next[sink]), "of sink {sink}");
                next[sink] += 1;
            }
        }
        next
    });
    // Their handles are dropped when all of them are done: the connection is closed then, and all is written.
    drop(join_all(sinks).await);
    drop(mux);
    assert_eq!(reader.await.expect("in order"), [ITEMS; SINKS]);
}
