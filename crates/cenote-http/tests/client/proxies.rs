//! HTTP proxies: requests that are handed to them, and whose their connections are.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use cenote_http::{Client, Proxy, RouteOptions};

use crate::server::{Peer, Request, Server, ok};

/// A proxy that leads each tunnel to one server, whatever host is asked for, and answers requests that are handed to it
/// with their head.
pub struct HttpProxy {
    pub server: Server,
    /// The heads of CONNECT.
    tunnels: Arc<Mutex<Vec<String>>>,
}

impl HttpProxy {
    pub async fn leading_to(addr: SocketAddr) -> Self {
        let tunnels = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&tunnels);
        let server = Server::scripted(move |_, peer| {
            let seen = Arc::clone(&seen);
            async move { serve(peer, addr, &seen).await }
        })
        .await;
        Self { server, tunnels }
    }

    /// One that is only handed requests.
    async fn start() -> Self {
        Self::leading_to(([127, 0, 0, 1], 1).into()).await
    }

    pub fn proxy(&self) -> Proxy {
        Proxy::http(self.server.url("")).unwrap()
    }

    pub fn with(&self, userinfo: &str) -> Proxy {
        Proxy::http(format!("http://{userinfo}@{}", self.server.addr)).unwrap()
    }

    /// What was asked for so far.
    pub fn tunnels(&self) -> Vec<String> {
        self.tunnels.lock().unwrap().clone()
    }
}

async fn serve(mut peer: Peer, addr: SocketAddr, tunnels: &Mutex<Vec<String>>) {
    while let Some(Request { method, head, .. }) = peer.request().await {
        if method == "CONNECT" {
            tunnels.lock().unwrap().push(head);
            peer.say("HTTP/1.1 200 Connection established\r\n\r\n")
                .await;
            return peer.lead_to(addr).await;
        }
        peer.say(ok(&head)).await;
    }
}

pub fn by(proxy: Proxy) -> RouteOptions {
    RouteOptions::new().proxy(proxy)
}

pub async fn text(client: &Client, url: &str, options: RouteOptions) -> String {
    let reply = client.get(url).route(options).send().await.unwrap();
    reply.text().await.unwrap()
}

/// RFC 9112, 3.2.2.
#[tokio::test]
async fn a_plain_request_is_handed_to_the_proxy_with_its_whole_uri() {
    let proxy = HttpProxy::start().await;
    let client = Client::builder().proxy(proxy.proxy()).build().unwrap();
    for (url, expected) in [
        (
            "http://a.invalid:8080/b?c=d",
            "GET http://a.invalid:8080/b?c=d HTTP/1.1\r\nhost: a.invalid:8080\r\n\r\n",
        ),
        (
            "http://anna:secret@a.invalid",
            "GET http://a.invalid/ HTTP/1.1\r\nhost: a.invalid\r\n\r\n",
        ),
    ] {
        assert_eq!(text(&client, url, RouteOptions::new()).await, expected);
    }
    assert!(proxy.tunnels().is_empty());
}

#[tokio::test]
async fn a_proxy_is_told_who_asks_with_each_request_that_is_handed_to_it() {
    let proxy = HttpProxy::start().await;
    let client = Client::builder().build().unwrap();
    for _ in 0..2 {
        let head = text(&client, "http://a.invalid/", by(proxy.with("anna:secret"))).await;
        assert!(
            head.contains("proxy-authorization: Basic YW5uYTpzZWNyZXQ=\r\n"),
            "{head}"
        );
    }
    assert_eq!(proxy.server.accepted(), 1);
}

/// What a caller says for a proxy would reach servers, where there is none or a tunnel: the route says it.
#[tokio::test]
async fn what_a_caller_says_to_proxies_in_a_field_of_a_request_is_not_sent() {
    let proxy = HttpProxy::start().await;
    let server = Server::answering(|request| ok(&request.head)).await;
    let client = Client::builder().build().unwrap();
    for (url, options) in [
        (server.url("/"), RouteOptions::new()),
        ("http://a.invalid/".to_owned(), by(proxy.proxy())),
    ] {
        let request = client.get(url).header("proxy-authorization", "secret");
        let reply = request.route(options).send().await.unwrap();
        let head = reply.text().await.unwrap();
        assert!(!head.contains("secret"), "{head}");
    }
}

/// reqwest#1544, #2641, #2674: a client for each proxy.
#[tokio::test]
async fn each_request_may_say_which_proxy_it_goes_by_or_none() {
    let (own, other) = (HttpProxy::start().await, HttpProxy::start().await);
    let server = Server::echo().await;
    let client = Client::builder().proxy(own.proxy()).build().unwrap();
    let url = server.url("/here");
    for _ in 0..2 {
        let whole = format!("GET {url} ");
        for options in [RouteOptions::new(), by(other.proxy())] {
            assert!(text(&client, &url, options).await.starts_with(&whole));
        }
        assert_eq!(
            text(&client, &url, RouteOptions::new().direct()).await,
            "/here"
        );
        let here = RouteOptions::new().connect_to(server.addr.into());
        assert_eq!(text(&client, &url, here).await, "/here");
    }
    let accepted = [&own.server, &other.server].map(Server::accepted);
    assert_eq!((accepted, server.accepted()), ([1, 1], 2));
}

/// guzzle#3628, curl#4835, bun#28611: with others' credentials.
#[tokio::test]
async fn requests_whose_proxies_differ_in_credentials_or_fields_of_connect_share_no_connection() {
    let proxy = HttpProxy::start().await;
    let client = Client::builder().build().unwrap();
    let zone = |zone| proxy.proxy().header("x-zone", zone).unwrap();
    for _ in 0..3 {
        for proxy in [
            proxy.proxy(),
            proxy.with("anna:secret"),
            proxy.with("anna:other"),
            proxy.with("bert:secret"),
            zone("a"),
            zone("b"),
        ] {
            text(&client, "http://a.invalid/", by(proxy)).await;
        }
    }
    assert_eq!(proxy.server.accepted(), 6);
}

#[tokio::test]
async fn a_request_that_its_proxy_refuses_has_the_proxys_reply() {
    let reply = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
    let proxy = Server::answering(move |_| reply.into()).await;
    let proxy = Proxy::http(proxy.url("")).unwrap();
    let client = Client::builder().proxy(proxy).build().unwrap();
    let reply = client.get("http://a.invalid/").send().await.unwrap();
    assert_eq!(reply.status(), 407);
}
