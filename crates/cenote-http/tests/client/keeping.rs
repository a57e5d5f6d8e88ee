//! Which connections are used again, and which are not.

use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use cenote_http::{Client, Error};
use http::Method;
use socket2::SockRef;

use crate::server::{Server, eventually, ok};

fn client() -> Client {
    Client::builder().build().unwrap()
}

async fn get(client: &Client, url: &str) -> String {
    let reply = client.get(url).send().await.unwrap();
    reply.text().await.unwrap()
}

/// go#41600, and smithy's `no_content_response_is_reused`, `not_modified…` and
/// `head_response_with_content_length_does_not_desync_connection`: what has no body ends with its head, whatever length it
/// names.
#[tokio::test]
async fn replies_without_a_body_leave_the_connection_as_it_was() {
    let server = Server::answering(|request| match &*request.path {
        "/204" => "HTTP/1.1 204 No Content\r\n\r\n".into(),
        "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n".into(),
        "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".into(),
        "/empty" => ok(""),
        path => ok(path),
    })
    .await;
    let client = client();
    for (method, path) in [
        (Method::GET, "/204"),
        (Method::GET, "/304"),
        (Method::HEAD, "/head"),
        (Method::GET, "/empty"),
    ] {
        let reply = client
            .request(method, server.url(path))
            .send()
            .await
            .unwrap();
        assert_eq!(reply.bytes().await.unwrap().len(), 0, "{path}");
        assert_eq!(get(&client, &server.url("/next")).await, "/next");
    }
    assert_eq!(server.accepted(), 1);
}

/// hyper-util's `client_keep_alive_extra_body` and eager ones: chunks, extensions of theirs, and trailers.
#[tokio::test]
async fn a_reply_in_chunks_ends_with_its_trailers() {
    let server = Server::answering(|request| match &*request.path {
        "/chunks" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\none\r\n3\r\ntwo\r\n0\r\nX-Sum: 6\r\n\r\n".into(),
        path => ok(path),
    })
    .await;
    let client = client();
    for _ in 0..3 {
        assert_eq!(get(&client, &server.url("/chunks")).await, "onetwo");
        assert_eq!(get(&client, &server.url("/next")).await, "/next");
    }
    assert_eq!(server.accepted(), 1);
}

/// okhttp#4258: an informational reply is none.
#[tokio::test]
async fn early_hints_come_before_the_reply_and_do_not_take_its_place() {
    let server = Server::answering(|request| {
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        format!("{hints}{}", ok(&request.path))
    })
    .await;
    let client = client();
    for path in ["/1", "/2"] {
        assert_eq!(get(&client, &server.url(path)).await, path);
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_connection_that_the_server_will_close_is_not_used_again() {
    for head in ["HTTP/1.1 200 OK\r\nConnection: close", "HTTP/1.0 200 OK"] {
        // It says so, and leaves the closing to the client.
        let server =
            Server::answering(move |_| format!("{head}\r\nContent-Length: 2\r\n\r\nok")).await;
        let client = client();
        for _ in 0..3 {
            assert_eq!(get(&client, &server.url("/")).await, "ok");
        }
        assert_eq!(server.accepted(), 3, "{head}");
        eventually("all are closed", || server.ended() == 3).await;
    }
}

#[tokio::test]
async fn a_server_of_http_1_0_that_keeps_its_connections_is_believed() {
    let server = Server::answering(|_| {
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok".into()
    })
    .await;
    let client = client();
    for _ in 0..3 {
        assert_eq!(get(&client, &server.url("/")).await, "ok");
    }
    assert_eq!(server.accepted(), 1);
}

/// undici#3141, node#52649, rust-s3#405: a request that leaves as the server's time is up meets a closed connection.
#[tokio::test]
async fn a_connection_is_not_used_shortly_before_the_server_closes_it() {
    let server = Server::answering(|request| {
        let body = ok(&request.path);
        body.replacen("\r\n", "\r\nKeep-Alive: timeout=5, max=100\r\n", 1)
    })
    .await;
    let client = client();
    get(&client, &server.url("/1")).await;
    idle_for(Duration::from_millis(3_900)).await;
    get(&client, &server.url("/2")).await;
    assert_eq!(server.accepted(), 1, "4 s were not over");
    idle_for(Duration::from_millis(4_100)).await;
    get(&client, &server.url("/3")).await;
    assert_eq!(server.accepted(), 2, "4 s were over");
}

/// Moves tokio's clock, on which all of this is kept.
async fn idle_for(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// A server in a thread of its own. Its first connection answers one request, or none, and ends when the test says so, which
/// is before `close` returns; those that come later stay.
struct Closing {
    url: String,
    close: mpsc::Sender<()>,
    closed: mpsc::Receiver<()>,
}

impl Closing {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (close, told) = mpsc::channel();
        let (tell, closed) = mpsc::channel();
        std::thread::spawn(move || {
            let (first, _) = listener.accept().unwrap();
            // The close then waits until the end has been acknowledged.
            let linger = Some(Duration::from_secs(60));
            SockRef::from(&first).set_linger(linger).unwrap();
            let answering = first.try_clone().unwrap();
            let answering = std::thread::spawn(move || answer(answering));
            told.recv().unwrap();
            first.shutdown(Shutdown::Both).unwrap();
            answering.join().unwrap();
            drop(first);
            tell.send(()).unwrap();
            for socket in listener.incoming() {
                answer(socket.unwrap());
            }
        });
        Self { url, close, closed }
    }

    /// Blocks the thread, on which the connection's task would learn of it, until the end has arrived.
    fn close(&self) {
        self.close.send(()).unwrap();
        self.closed.recv().unwrap();
    }
}

fn answer(mut socket: TcpStream) {
    let mut heard = [0; 4096];
    while socket.read(&mut heard).unwrap_or(0) > 0 {
        let _ = socket.write_all(ok("here").as_bytes());
    }
}

/// node#47130, greptimedb#1505: a connection ends that was opened for somebody who has left, and its task has not run since.
/// With hyper-util the request fails, for the connection is new.
#[tokio::test]
async fn a_connection_that_ended_before_its_first_request_is_seen_before_anything_is_sent() {
    let server = Closing::start();
    let client = client();
    let mut given_up = Box::pin(client.get(&*server.url).send());
    assert!(poll_fn(|cx| Poll::Ready(given_up.as_mut().poll(cx).is_pending())).await);
    eventually("it is being opened", || client.status().opening == 1).await;
    drop(given_up);
    eventually("it is open", || client.status().idle == 1).await;
    // Else it would be one that was never any good, which is told.
    idle_for(Duration::from_millis(100)).await;
    server.close();
    let reply = client.post(&*server.url).body("x").send().await.unwrap();
    assert_eq!(reply.text().await.unwrap(), "here");
}

/// hyper-util retries these too: the connection ends when it has been leased, before its task has sent anything. A POST
/// request: nothing hides it.
#[test]
fn a_request_of_which_nothing_was_sent_goes_over_another_connection() {
    // Between two tasks the runtime looks at its sockets.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().event_interval(1).build().unwrap();
    runtime.block_on(async {
        let server = Closing::start();
        let client = client();
        get(&client, &server.url).await;
        eventually("it is idle", || client.status().idle == 1).await;
        for _ in 0..10 {
            // Whatever is still to be done for it.
            tokio::task::yield_now().await;
        }
        let mut request = Box::pin(client.post(&*server.url).body("x").send());
        // So the connection's task is not the next, and finds the end together with the request.
        tokio::spawn(async {});
        assert!(poll_fn(|cx| Poll::Ready(request.as_mut().poll(cx).is_pending())).await);
        assert_eq!(client.status().leased, 1);
        server.close();
        assert_eq!(request.await.unwrap().text().await.unwrap(), "here");
    });
}

/// Many servers say 408 to an idle connection before they close it: that is no reply to what is asked next.
#[tokio::test]
async fn what_a_server_says_without_being_asked_is_no_reply() {
    let server = Server::scripted(|number, mut peer| async move {
        while peer.request().await.is_some() {
            peer.say(&ok(&number.to_string())).await;
            if number == 1 {
                peer.say("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
                    .await;
                return peer.closed().await;
            }
        }
    })
    .await;
    let client = client();
    assert_eq!(get(&client, &server.url("/")).await, "1");
    eventually("the client has closed it", || server.ended() == 1).await;
    assert_eq!(get(&client, &server.url("/")).await, "2");
}

/// The same in one piece with the reply before: hyper has it in its buffer, where no look at the socket finds it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_too_many_reaches_nobody() {
    let server = Server::answering(|request| {
        format!("{}{}", ok(&request.path), ok("nobody asked for this"))
    })
    .await;
    let client = Client::builder().max_per_route(1).build().unwrap();
    for n in 0..300 {
        let path = format!("/{n}");
        let Ok(reply) = client.get(server.url(&path)).send().await else {
            // It was sent on a connection that had to be closed.
            continue;
        };
        assert_eq!(reply.text().await.unwrap(), path);
    }
}

/// A server whose first `closing` connections answer one request, read another, say `last`, and close.
async fn breaking(closing: usize, last: &'static str) -> Server {
    Server::scripted(move |number, mut peer| async move {
        while let Some(request) = peer.request().await {
            if number <= closing && request.path != "/first" {
                return peer.say(last).await;
            }
            peer.say(&ok(&request.path)).await;
        }
    })
    .await
}

/// rust-s3#405, sentry's uptime-checker#204: the server closed as the request came.
#[tokio::test]
async fn a_get_that_met_the_end_of_a_used_connection_is_sent_once_more() {
    let server = breaking(1, "").await;
    let client = client();
    get(&client, &server.url("/first")).await;
    assert_eq!(get(&client, &server.url("/second")).await, "/second");
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_request_that_may_have_been_acted_on_is_not_sent_again() {
    let server = breaking(1, "").await;
    let client = client();
    get(&client, &server.url("/first")).await;
    let failed = client.post(server.url("/second")).body("x").send().await;
    let error = failed.unwrap_err();
    assert!(matches!(error, Error::Exchange { .. }), "{error}");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_get_whose_reply_had_begun_is_not_sent_again() {
    let server = breaking(1, "HTTP/1.1 2").await;
    let client = client();
    get(&client, &server.url("/first")).await;
    let error = client.get(server.url("/second")).send().await.unwrap_err();
    assert!(matches!(error, Error::Exchange { .. }), "{error}");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_get_on_a_new_connection_is_not_sent_again() {
    let server = breaking(1, "").await;
    let error = client().get(server.url("/")).send().await.unwrap_err();
    assert!(matches!(error, Error::Exchange { .. }), "{error}");
    assert_eq!(server.accepted(), 1);
}

/// undici#5603: a server that refuses everything is not asked for ever.
#[tokio::test]
async fn a_get_is_sent_twice_at_most() {
    let server = breaking(2, "").await;
    let client = client();
    let both = [server.url("/first"), server.url("/first")];
    let [one, other] = both.map(|url| client.get(url).send());
    // Their bodies keep both connections, so that there are two.
    let (one, other) = (one.await.unwrap(), other.await.unwrap());
    drop((one, other));
    eventually("both are idle", || client.status().idle == 2).await;
    let error = client.get(server.url("/second")).send().await.unwrap_err();
    assert!(matches!(error, Error::Exchange { .. }), "{error}");
    assert_eq!(server.accepted(), 2);
}

/// hyper #2312, #2892, reqwest #1148, aws-sdk-rust#440: a client in a `static` of a test program, used by one test after the
/// other, each on a runtime of its own.
#[test]
fn a_client_serves_on_the_next_runtime_when_that_of_its_connections_has_ended() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let socket = socket.unwrap();
            std::thread::spawn(move || answer(socket));
        }
    });
    let client = client();
    for _ in 0..3 {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(async {
            assert_eq!(get(&client, &url).await, "here");
            assert_eq!(get(&client, &url).await, "here");
        });
    }
}

/// keycloak#50602, contour#5240: over another connection, once.
#[tokio::test]
async fn a_get_that_is_answered_with_421_on_a_used_connection_is_sent_once_over_another() {
    for misdirected in [1, 2] {
        let server = Server::scripted(move |number, mut peer| async move {
            while let Some(request) = peer.request().await {
                let is_first = request.path == "/first";
                match number <= misdirected && !is_first {
                    true => {
                        let reply = "HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n";
                        peer.say(reply).await;
                    }
                    false => peer.say(&ok(&request.path)).await,
                }
            }
        })
        .await;
        let client = client();
        get(&client, &server.url("/first")).await;
        let reply = client.get(server.url("/second")).send().await.unwrap();
        let expected = if misdirected == 1 { 200 } else { 421 };
        assert_eq!(reply.status(), expected);
        assert_eq!(server.accepted(), 2);
    }
}
