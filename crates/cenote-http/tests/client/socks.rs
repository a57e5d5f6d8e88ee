//! SOCKS5 proxies (RFC 1928, RFC 1929), byte for byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use cenote_http::{Client, Error, Proxy, ProxyError, RouteOptions};

use crate::server::{Peer, Server, ok};

/// A proxy that leads to one server whatever is asked for; where it has a login, to those who know it.
struct SocksProxy {
    server: Server,
    login: Option<&'static str>,
    /// What was asked for: hosts with their ports.
    targets: Arc<Mutex<Vec<String>>>,
}

impl SocksProxy {
    async fn leading_to(addr: SocketAddr, login: Option<&'static str>) -> Self {
        let targets = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&targets);
        let server = Server::scripted(move |_, peer| {
            let seen = Arc::clone(&seen);
            async move {
                serve(peer, addr, login, &seen).await;
            }
        })
        .await;
        Self {
            server,
            login,
            targets,
        }
    }

    fn proxy(&self) -> Proxy {
        let login = self.login.map(|login| format!("{login}@"));
        let login = login.unwrap_or_default();
        Proxy::socks5(format!("socks5://{login}{}", self.server.addr)).unwrap()
    }

    fn targets(&self) -> Vec<String> {
        self.targets.lock().unwrap().clone()
    }
}

async fn serve(
    mut peer: Peer,
    addr: SocketAddr,
    login: Option<&str>,
    targets: &Mutex<Vec<String>>,
) -> Option<()> {
    let offered = listed(&mut peer, 5).await?;
    let method = match login {
        None => 0,
        Some(_) => 2,
    };
    if !offered.contains(&method) {
        peer.say([5, 0xff]).await;
        return None;
    }
    peer.say([5, method]).await;
    if let Some(login) = login {
        let user = listed(&mut peer, 1).await?;
        let length = peer.bytes(1).await?[0];
        let password = peer.bytes(length.into()).await?;
        let said = [user, password].map(|text| String::from_utf8(text).unwrap());
        let is_wrong = said.join(":") != login;
        peer.say([1, is_wrong.into()]).await;
        if is_wrong {
            return None;
        }
    }
    assert_eq!(peer.bytes(3).await?, [5, 1, 0], "CONNECT");
    let host = match peer.bytes(1).await?[0] {
        1 => peer
            .bytes(4)
            .await?
            .iter()
            .map(u8::to_string)
            .collect::<Vec<_>>()
            .join("."),
        3 => {
            let length = peer.bytes(1).await?[0];
            String::from_utf8(peer.bytes(length.into()).await?).unwrap()
        }
        4 => format!("{:x?}", peer.bytes(16).await?),
        other => panic!("an address of kind {other}"),
    };
    let port = peer.bytes(2).await?;
    let port = u16::from_be_bytes([port[0], port[1]]);
    targets.lock().unwrap().push(format!("{host} {port}"));
    peer.say([5, 0, 0, 1, 127, 0, 0, 1, 0, 80]).await;
    peer.lead_to(addr).await;
    Some(())
}

/// A message of a version, a length and so many bytes.
async fn listed(peer: &mut Peer, version: u8) -> Option<Vec<u8>> {
    let head = peer.bytes(2).await?;
    assert_eq!(head[0], version);
    peer.bytes(head[1].into()).await
}

async fn text(client: &Client, url: &str, options: RouteOptions) -> String {
    let reply = client.get(url).route(options).send().await.unwrap();
    reply.text().await.unwrap()
}

#[tokio::test]
async fn the_proxy_looks_names_up_and_each_host_has_a_tunnel_that_is_used_again() {
    let server = Server::answering(|request| ok(&request.head)).await;
    let proxy = SocksProxy::leading_to(server.addr, None).await;
    let client = Client::builder().proxy(proxy.proxy()).build().unwrap();
    for _ in 0..3 {
        for host in ["a.invalid", "b.invalid:8080"] {
            let head = text(&client, &format!("http://{host}/x"), RouteOptions::new()).await;
            let expected = format!("GET /x HTTP/1.1\r\nhost: {host}\r\n\r\n");
            assert_eq!(head, expected, "it is for the server itself");
        }
    }
    assert_eq!(proxy.targets(), ["a.invalid 80", "b.invalid 8080"]);
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn addresses_are_told_as_addresses() {
    let server = Server::echo().await;
    let proxy = SocksProxy::leading_to(server.addr, None).await;
    let client = Client::builder().proxy(proxy.proxy()).build().unwrap();
    for url in ["http://192.0.2.1/", "http://[2001:db8::1]:81/"] {
        text(&client, url, RouteOptions::new()).await;
    }
    let address = "[20, 1, d, b8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]";
    assert_eq!(
        proxy.targets(),
        ["192.0.2.1 80".to_owned(), format!("{address} 81")]
    );
}

#[tokio::test]
async fn a_proxy_is_told_who_asks_and_credentials_are_part_of_the_route() {
    let server = Server::echo().await;
    let proxy = SocksProxy::leading_to(server.addr, Some("anna:secret")).await;
    let client = Client::builder().build().unwrap();
    let known = RouteOptions::new().proxy(proxy.proxy());
    for _ in 0..2 {
        assert_eq!(
            text(&client, "http://a.invalid/x", known.clone()).await,
            "/x"
        );
        let other = proxy.proxy().credentials("anna", "other").unwrap();
        let nobody = Proxy::socks5(format!("socks5://{}", proxy.server.addr)).unwrap();
        for stranger in [other, nobody] {
            let request = client.get("http://a.invalid/x");
            let request = request.route(RouteOptions::new().proxy(stranger.clone()));
            let error = request.send().await.unwrap_err();
            let told = format!("http://a.invalid:80 by {stranger}");
            assert!(error.to_string().contains(&told), "{error}");
            assert!(error.to_string().contains("wants credentials"), "{error}");
            assert!(!format!("{error:?}").contains("other"), "{error:?}");
        }
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn what_a_proxy_says_when_it_does_not_lead_there_is_told() {
    for (code, expected) in [
        (
            2,
            "the proxy does not lead there: Connection not allowed by ruleset",
        ),
        (5, "the proxy did not reach the server: Connection refused"),
    ] {
        let proxy = Server::scripted(move |_, mut peer| async move {
            listed(&mut peer, 5).await;
            peer.say([5, 0]).await;
            peer.bytes(10).await;
            peer.say([5, code, 0, 1, 0, 0, 0, 0, 0, 0]).await;
        })
        .await;
        let proxy = Proxy::socks5(format!("socks5://{}", proxy.addr)).unwrap();
        let client = Client::builder().proxy(proxy).build().unwrap();
        let error = client.get("http://a.invalid/").send().await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_no_proxy_is_told_as_such() {
    let server = Server::scripted(|_, mut peer| async move {
        peer.bytes(1).await;
        peer.say("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let proxy = Proxy::socks5(format!("socks5://{}", server.addr)).unwrap();
    let client = Client::builder().proxy(proxy).build().unwrap();
    let error = client.get("http://a.invalid/").send().await.unwrap_err();
    let Error::NoConnection { source, .. } = &error else {
        panic!("{error}");
    };
    let Some(Error::Proxy { source, .. }) = source.downcast_ref() else {
        panic!("{error}");
    };
    assert!(matches!(source, ProxyError::Exchange { .. }), "{error}");
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn tls_is_spoken_with_the_server_within_the_tunnel() {
    let secure = crate::tls::Secure::start().await;
    let addr = ([127, 0, 0, 1], secure.port).into();
    let proxy = SocksProxy::leading_to(addr, Some("anna:secret")).await;
    let client = secure.client();
    for _ in 0..3 {
        for host in ["localhost", "other.example"] {
            let options = RouteOptions::new().proxy(proxy.proxy());
            assert_eq!(text(&client, &secure.url(host), options).await, host);
        }
    }
    assert_eq!(secure.connections(), 2);
}
