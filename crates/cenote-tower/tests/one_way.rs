//! A one-way pool as a sink.

mod server;

use std::future::ready;
use std::io;

use bytes::Bytes;
use cenote::mux::MuxConnect;
use cenote::one_way::SendError;
use cenote::{Dial, OneWay, OneWayPool, SharedPool};
use cenote_tower::OneWaySink;
use futures::{SinkExt, StreamExt, stream};
use server::{Line, Lines, Server};

fn pool(server: &Server) -> OneWayPool<impl OneWay<Message = Line> + use<>> {
    let server = server.clone();
    let transport = move |_: Dial| ready(Ok::<_, io::Error>(server.connect()));
    let connect = MuxConnect::<_, Line, Line>::in_order(transport, Lines).one_way();
    OneWayPool::new(SharedPool::new(connect))
}

fn line(n: usize) -> Line {
    Bytes::from(format!("line {n}"))
}

#[tokio::test(start_paused = true)]
async fn what_a_sink_is_given_is_sent_in_order_before_its_pool_ends() {
    let server = Server::silent();
    let mut sink = OneWaySink::new(pool(&server));
    let mut items = stream::iter(0..1_000).map(|n| Ok(line(n)));
    sink.send_all(&mut items).await.unwrap();
    sink.close().await.unwrap();
    let expected: Vec<_> = (0..1_000).map(|n| format!("line {n}")).collect();
    assert_eq!(server.lines().await, expected);
}

#[tokio::test(start_paused = true)]
async fn closing_one_of_two_sinks_leaves_the_other() {
    let server = Server::silent();
    let mut one = OneWaySink::new(pool(&server));
    let mut other = one.clone();
    one.send(line(1)).await.unwrap();
    one.close().await.unwrap();
    assert_eq!(one.send(line(2)).await, Err(SendError::Closed(line(2))));
    other.send(line(3)).await.unwrap();
    other.close().await.unwrap();
    assert_eq!(server.lines().await, ["line 1", "line 3"]);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_is_not_taken_comes_back_with_the_error() {
    let pool = pool(&Server::silent());
    let mut sink = OneWaySink::new(pool.clone());
    sink.send(line(1)).await.unwrap();
    assert!(pool.close().await.is_empty());
    let error = sink.send(line(2)).await.unwrap_err();
    assert_eq!(error.into_message(), line(2));
}
