//! Tunnels through HTTP proxies.

use std::net::SocketAddr;
use std::time::Duration;

use cenote_http::{Client, Error, Proxy, ProxyError, RouteOptions};

use crate::proxies::{HttpProxy, by, text};
use crate::server::{Server, eventually};
use crate::tls::Secure;

fn local(secure: &Secure) -> SocketAddr {
    ([127, 0, 0, 1], secure.port).into()
}

/// hackney#355, #283, async-http-client#364: known by their proxies, they carried requests to the wrong host.
#[tokio::test]
async fn tunnels_to_different_hosts_are_never_mixed_up() {
    let secure = Secure::start().await;
    let proxy = HttpProxy::leading_to(local(&secure)).await;
    let client = Client::builder().tls(secure.trusted());
    let client = client.proxy(proxy.proxy()).build().unwrap();
    for _ in 0..3 {
        for host in ["localhost", "other.example"] {
            let name = text(&client, &secure.url(host), RouteOptions::new()).await;
            assert_eq!(name, host);
        }
    }
    assert_eq!(secure.connections(), 2, "each is used again");
    let port = secure.port;
    let asked = ["localhost", "other.example"]
        .map(|host| format!("CONNECT {host}:{port} HTTP/1.1\r\nhost: {host}:{port}\r\n\r\n"));
    assert_eq!(proxy.tunnels(), asked);
}

/// lua-resty-http#202, libhv#886.
#[tokio::test]
async fn what_is_handed_to_a_proxy_and_what_is_tunnelled_through_it_are_never_mixed_up() {
    let secure = Secure::start().await;
    let proxy = HttpProxy::leading_to(local(&secure)).await;
    let client = Client::builder().tls(secure.trusted());
    let client = client.proxy(proxy.proxy()).build().unwrap();
    let plain = format!("http://localhost:{}/", secure.port);
    for _ in 0..3 {
        let head = text(&client, &plain, RouteOptions::new()).await;
        assert!(head.starts_with(&format!("GET {plain} ")), "{head}");
        let name = text(&client, &secure.url("localhost"), RouteOptions::new()).await;
        assert_eq!(name, "localhost");
    }
    assert_eq!(proxy.server.accepted(), 2);
    assert_eq!(proxy.tunnels().len(), 1);
}

#[tokio::test]
async fn who_asks_is_told_with_connect_and_to_the_proxy_alone() {
    let secure = Secure::start().await;
    let proxy = HttpProxy::leading_to(local(&secure)).await;
    let client = secure.client();
    let options = by(proxy.with("anna:secret").header("x-zone", "a").unwrap());
    let url = secure.url("localhost") + "head";
    let head = text(&client, &url, options).await;
    let expected = format!(
        "GET /head HTTP/1.1\r\nhost: localhost:{}\r\n\r\n",
        secure.port
    );
    assert_eq!(head, expected);
    let [connect] = &proxy.tunnels()[..] else {
        panic!("one tunnel");
    };
    let expected = "proxy-authorization: Basic YW5uYTpzZWNyZXQ=\r\nx-zone: a\r\n";
    assert!(connect.contains(expected), "{connect}");
}

async fn refusal(status: &'static str) -> Error {
    let proxy =
        Server::answering(move |_| format!("HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\nbusy"))
            .await;
    let proxy = Proxy::http(format!("http://anna:secret@{}", proxy.addr)).unwrap();
    let client = Client::builder().proxy(proxy.clone()).build().unwrap();
    let error = client.get("https://a.invalid/").send().await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&format!("https://a.invalid:443 by {proxy}")),
        "{text}"
    );
    assert!(!text.contains("secret") && !text.contains("YW5u"), "{text}");
    error
}

#[tokio::test]
async fn a_tunnel_that_is_refused_is_told_with_the_proxy_and_the_status_and_at_once() {
    for status in [
        "407 Proxy Authentication Required",
        "403 Forbidden",
        "502 Bad Gateway",
    ] {
        let error = refusal(status).await;
        assert!(!error.is_timeout());
        let text = error.to_string();
        let said = format!("the proxy answered CONNECT with {status}");
        assert_eq!(text.matches(&said).count(), 1, "{text}");
        let Error::NoConnection { source, .. } = error else {
            panic!("{text}");
        };
        let cause = source.downcast_ref::<Error>().unwrap();
        let Error::Proxy {
            source: ProxyError::Status { status: found, .. },
            ..
        } = cause
        else {
            panic!("{cause}");
        };
        assert!(status.starts_with(found.as_str()));
    }
}

#[tokio::test]
async fn a_proxy_that_is_none_is_told_as_such() {
    for said in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "",
        "HTTP/1.1 200 OK\r\n\r\nhello",
    ] {
        let proxy = Server::scripted(move |_, mut peer| async move {
            peer.request().await;
            peer.say(said).await;
        })
        .await;
        let proxy = Proxy::http(proxy.url("")).unwrap();
        let client = Client::builder().proxy(proxy).build().unwrap();
        let error = client.get("https://a.invalid/").send().await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("the proxy opened no tunnel: "), "{text}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let proxy = Proxy::http(format!("http://{addr}")).unwrap();
    let client = Client::builder().proxy(proxy).build().unwrap();
    let error = client.get("https://a.invalid/").send().await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&format!("cannot connect to {addr}")),
        "{text}"
    );
}

/// A proxy that never answers, and how long it takes to be seen.
#[tokio::test(start_paused = true)]
async fn a_tunnel_that_does_not_come_ends_with_the_time_for_connecting() {
    let proxy = Server::scripted(|_, mut peer| async move { peer.closed().await }).await;
    let client = Client::builder()
        .proxy(Proxy::http(proxy.url("")).unwrap())
        .connect_timeout(Duration::from_secs(3));
    let client = client.build().unwrap();
    let error = client.get("https://a.invalid/").send().await.unwrap_err();
    assert!(error.to_string().contains("3s"), "{error}");
    eventually("the proxy's connection is closed", || proxy.ended() == 1).await;
}

/// A dial goes on without its request, for the next, for as long as connecting may take.
#[tokio::test(start_paused = true)]
async fn a_client_that_is_closed_while_a_proxy_is_asked_leaves_nothing() {
    let proxy = Server::scripted(|_, mut peer| async move { peer.closed().await }).await;
    let client = Client::builder().proxy(Proxy::http(proxy.url("")).unwrap());
    let client = client.build().unwrap();
    let request = tokio::spawn(client.get("https://a.invalid/").send());
    eventually("the proxy is asked", || proxy.accepted() == 1).await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    client.close().await;
    eventually("its connection is closed", || proxy.ended() == 1).await;
    assert_eq!(client.status().size, 0);
}

/// Given up at any poll, a request leaves the tunnel that was opened for it to the next, whole.
#[tokio::test]
async fn a_request_that_is_given_up_while_its_tunnel_is_opened_leaves_it_to_the_next() {
    let secure = Secure::start().await;
    let proxy = HttpProxy::leading_to(local(&secure)).await;
    let client = Client::builder().tls(secure.trusted()).max_per_route(1);
    let client = client.proxy(proxy.proxy()).build().unwrap();
    let url = secure.url("localhost");
    for _ in 0..20 {
        let given_up = tokio::spawn(client.get(&*url).send());
        eventually("the proxy is asked", || proxy.server.accepted() == 1).await;
        given_up.abort();
        let _ = given_up.await;
        assert_eq!(text(&client, &url, RouteOptions::new()).await, "localhost");
    }
    assert_eq!(secure.connections(), 1);
}
