//! The client and the shared pool among tower's own layers.

mod server;

use std::future::ready;
use std::time::Duration;

use bytes::Bytes;
use cenote::endpoints::{Endpoint, EndpointSet, Outcome, fixed};
use cenote::mux::MuxBuilder;
use cenote::{Multiplex, SharedPool, Verdict};
use cenote_tower::{Client, MakeConnect, MuxSink, SharedClient, TowerError};
use futures::SinkExt;
use server::{Line, Lines, Server};
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::Load;
use tower::retry::Policy;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};

/// Tries three times.
#[derive(Clone)]
struct Thrice(u8);

impl<Res> Policy<Line, Res, BoxError> for Thrice {
    type Future = std::future::Ready<()>;

    fn retry(&mut self, _: &mut Line, result: &mut Result<Res, BoxError>) -> Option<Self::Future> {
        (result.is_err() && self.0 > 1).then(|| {
            self.0 -= 1;
            ready(())
        })
    }

    fn clone_request(&mut self, request: &Line) -> Option<Line> {
        Some(request.clone())
    }
}

async fn client(server: &Server, max_in_flight: usize) -> Client<Line, Line> {
    let (read, write) = server.connect();
    let settings = MuxBuilder::new().max_in_flight(max_in_flight).max_queued(8);
    Client::new(
        settings
            .in_order(read, write, Lines)
            .expect("good settings"),
    )
}

#[tokio::test(start_paused = true)]
async fn a_client_works_under_limit_retry_and_timeout() {
    let server = Server::silent_at_first(2);
    let mut service = ServiceBuilder::new()
        .concurrency_limit(4)
        .retry(Thrice(3))
        .timeout(Duration::from_secs(1))
        .service(client(&server, 16).await);
    let reply = service.ready().await.unwrap().call(Bytes::from("hello"));
    assert_eq!(reply.await.unwrap(), "hello");
    assert_eq!(server.seen(), 3);
}

#[tokio::test]
async fn clients_are_balanced_by_their_load() {
    let (slow, quick) = (Server::silent(), Server::echoing());
    let mut busy = client(&slow, 16).await;
    for _ in 0..8 {
        let call = busy.ready().await.unwrap().call(Bytes::from("no answer"));
        tokio::spawn(call);
    }
    tokio::task::yield_now().await;
    assert_eq!(busy.load(), 8);
    let services = vec![busy, client(&quick, 16).await];
    let mut balance = Balance::new(ServiceList::new::<Line>(services));
    for _ in 0..20 {
        let reply = balance.ready().await.unwrap().call(Bytes::from("hello"));
        assert_eq!(reply.await.unwrap(), "hello");
    }
    assert_eq!(quick.seen(), 20);
}

/// tower #408, #425.
#[tokio::test]
async fn a_service_that_was_ready_and_is_dropped_leaks_no_turn() {
    let server = Server::echoing();
    let mut one = client(&server, 1).await;
    one.ready().await.unwrap();
    let mut other = one.clone();
    assert_eq!(one.load(), 1);
    drop(one);
    let reply = other.ready().await.unwrap().call(Bytes::from("hello"));
    assert_eq!(reply.await.unwrap(), "hello");
    assert_eq!(other.load(), 0);
}

#[tokio::test]
async fn who_waits_to_be_ready_and_leaves_passes_the_turn_on() {
    let server = Server::echoing();
    let mut holder = client(&server, 1).await;
    let (mut leaver, mut next) = (holder.clone(), holder.clone());
    holder.ready().await.unwrap();
    assert!(futures::poll!(leaver.ready()).is_pending());
    assert!(futures::poll!(next.ready()).is_pending());
    drop(leaver);
    drop(holder);
    next.ready().await.unwrap();
}

#[tokio::test]
async fn a_client_whose_connection_ended_is_not_ready_and_says_why() {
    let server = Server::echoing();
    let mut service = client(&server, 1).await;
    service.ready().await.unwrap();
    service.mux().close().await;
    let error = service.ready().await.unwrap_err();
    assert!(error.to_string().contains("closed"), "{error}");
}

#[tokio::test]
async fn a_shared_pool_calls_through_connections_that_a_tower_connector_makes() {
    let server = Server::echoing();
    let make = {
        let server = server.clone();
        service_fn(move |(): ()| {
            let server = server.clone();
            async move { Ok::<_, std::io::Error>(client(&server, 16).await) }
        })
    };
    let connector = MakeConnect::new(make, (), |_| Verdict::Reuse)
        .capacity(16)
        .is_open(|client: &Client<Line, Line>| client.mux().is_open());
    let pool = SharedPool::builder(connector).max_size(2).build().unwrap();
    let service = SharedClient::new(pool);
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..100 {
        let service = service.clone();
        calls.spawn(async move {
            let line = Bytes::from(format!("line {n}"));
            assert_eq!(service.oneshot(line.clone()).await.unwrap(), line);
        });
    }
    while let Some(done) = calls.join_next().await {
        done.unwrap();
    }
    assert_eq!(service.load(), 0);
    assert!(server.connections() <= 2);
}

#[tokio::test]
async fn a_shared_client_over_a_set_of_endpoints_calls_all_of_them() {
    let servers = [Server::echoing(), Server::echoing(), Server::echoing()];
    let all = servers.clone();
    let set = fixed(EndpointSet::of(0..servers.len()));
    let pool = SharedPool::balanced(set, move |at| {
        let server = all[at.key].clone();
        let make = service_fn(move |(): ()| {
            let server = server.clone();
            async move { Ok::<_, std::io::Error>(client(&server, 16).await) }
        });
        MakeConnect::new(make, (), |_| Verdict::Reuse)
            .capacity(16)
            .is_open(|client: &Client<Line, Line>| client.mux().is_open())
    });
    let service = SharedClient::new(pool.build().unwrap());
    for n in 0..100 {
        let line = Bytes::from(format!("line {n}"));
        assert_eq!(service.clone().oneshot(line.clone()).await.unwrap(), line);
    }
    assert_eq!(service.load(), 0);
    for server in servers {
        assert!(server.seen() > 10 && server.connections() == 1);
    }
}

#[tokio::test]
async fn a_shared_client_that_was_ready_and_is_dropped_gives_its_lease_back() {
    let server = Server::echoing();
    let make = {
        let server = server.clone();
        service_fn(move |(): ()| {
            let server = server.clone();
            async move { Ok::<_, std::io::Error>(client(&server, 16).await) }
        })
    };
    let pool = SharedPool::new(MakeConnect::new(make, (), |_| Verdict::Reuse));
    let mut service = SharedClient::new(pool);
    Service::<Line>::poll_ready(
        &mut service,
        &mut std::task::Context::from_waker(std::task::Waker::noop()),
    )
    .is_pending()
    .then_some(())
    .expect("the first must wait for its connection");
    ServiceExt::<Line>::ready(&mut service).await.unwrap();
    let other = service.clone();
    assert_eq!(other.load(), 1);
    drop(service);
    assert_eq!(other.load(), 0);
}

/// A pool over two servers, the second of which answers nothing, so that its calls fail in 10 ms.
fn over_one_that_fails(
    good: &Server,
) -> SharedPool<impl Multiplex<Connection = Client<Line, Line>>> {
    let servers = [good.clone(), Server::silent()];
    let make = move |at: &Endpoint<usize>| {
        let server = servers[at.key].clone();
        let connect = service_fn(move |(): ()| {
            let (read, write) = server.connect();
            let settings = MuxBuilder::new().call_timeout(Duration::from_millis(10));
            ready(settings.in_order(read, write, Lines).map(Client::new))
        });
        MakeConnect::new(connect, (), |_: &mut Client<Line, Line>| Verdict::Reuse)
    };
    let pool = SharedPool::balanced(fixed(EndpointSet::of([0, 1])), make);
    pool.build().expect("the settings are possible")
}

/// How many of 200 calls fail.
async fn failures<C>(mut service: SharedClient<C>) -> usize
where
    C: Multiplex<Connection = Client<Line, Line>>,
{
    let mut failed = 0;
    for _ in 0..200 {
        let ready = service.ready().await.expect("one of them serves");
        let reply = ready.call(Bytes::from("hello"));
        failed += usize::from(reply.await.is_err());
    }
    failed
}

/// Nobody has a lease in hand to tell how its calls end: the service does.
#[tokio::test(start_paused = true)]
async fn of_a_pool_over_a_set_an_endpoint_whose_calls_fail_gets_none_for_a_while() {
    let good = Server::echoing();
    let failed = failures(SharedClient::new(over_one_that_fails(&good))).await;
    assert!((5..=10).contains(&failed), "{failed}");
    assert_eq!(good.seen(), 200 - failed);
}

/// As of commands that make no sense: their callers are at fault, and no server.
#[tokio::test(start_paused = true)]
async fn errors_that_are_answers_cost_no_endpoint_its_share() {
    let good = Server::echoing();
    let service = SharedClient::new(over_one_that_fails(&good));
    let failed = failures(service.judge_errors(|_| Outcome::Ignore)).await;
    assert!(failed > 10, "{failed}");
}

#[tokio::test]
async fn a_sink_sends_in_order_and_closes_when_all_is_written() {
    let server = Server::silent();
    let (read, write) = server.connect();
    let mux = MuxBuilder::new()
        .max_buffered(8)
        .in_order(read, write, Lines);
    let mut sink = MuxSink::new(mux.unwrap() as cenote::mux::Mux<Line, Line>);
    for n in 0..100 {
        sink.send(Bytes::from(format!("line {n}"))).await.unwrap();
    }
    sink.close().await.unwrap();
    let expected: Vec<_> = (0..100).map(|n| format!("line {n}")).collect();
    assert_eq!(server.lines().await, expected);
}

/// Printed alone it is complete, printed with its causes it repeats nothing; the connector's error is reached by type.
#[tokio::test(start_paused = true)]
async fn the_error_of_a_connector_of_tower_s_says_everything_once() {
    let refuse = service_fn(|()| ready(Err::<(), _>(std::io::Error::other("the server refused"))));
    let pool = SharedPool::new(MakeConnect::new(refuse, (), |_: &mut ()| Verdict::Reuse));
    let error = pool.get().await.unwrap_err();
    let made: &TowerError = error.downcast_ref().unwrap();
    assert!(made.downcast_ref::<std::io::Error>().is_some());
    let mut texts = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        texts.push_str(&error.to_string());
        cause = error.source();
    }
    assert_eq!(texts.matches("the server refused").count(), 1, "{texts}");
}
