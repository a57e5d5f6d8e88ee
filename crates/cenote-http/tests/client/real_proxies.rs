//! The client by a real tinyproxy, an HTTP proxy, and a real Dante, a SOCKS5 proxy.

use cenote_http::{Client, Error, Proxy, RouteOptions};
use cenote_testkit::{DanteServer, TinyproxyServer};

use crate::server::Server;
#[cfg(feature = "rustls")]
use crate::tls::Secure;

fn tinyproxy(server: &TinyproxyServer, userinfo: &str) -> Proxy {
    Proxy::http(format!("http://{userinfo}{}", server.addr())).unwrap()
}

fn dante(server: &DanteServer) -> Proxy {
    Proxy::socks5(format!("socks5://{}", server.addr())).unwrap()
}

async fn text(client: &Client, url: &str, proxy: Proxy) -> Result<(u16, String), Error> {
    let options = RouteOptions::new().proxy(proxy);
    let reply = client.get(url).route(options).send().await?;
    let status = reply.status().as_u16();
    Ok((status, reply.text().await?))
}

#[tokio::test]
async fn tinyproxy_passes_requests_of_those_whom_it_knows_on() {
    let proxy = TinyproxyServer::start("BasicAuth anna secret").unwrap();
    let server = Server::echo().await;
    let client = Client::builder().build().unwrap();
    for path in ["/a", "/b?c=d", "/e"] {
        let url = server.url(path);
        let reply = text(&client, &url, tinyproxy(&proxy, "anna:secret@")).await;
        assert_eq!(reply.unwrap(), (200, path.to_owned()));
        let (status, _) = text(&client, &url, tinyproxy(&proxy, "anna:other@"))
            .await
            .unwrap();
        assert_eq!(status, 401, "what tinyproxy says to a wrong password");
        let (status, _) = text(&client, &url, tinyproxy(&proxy, "")).await.unwrap();
        assert_eq!(status, 407);
    }
}

#[tokio::test]
async fn dante_leads_to_servers_by_name_and_its_tunnel_is_used_again() {
    let proxy = DanteServer::start().unwrap();
    let server = Server::echo().await;
    let client = Client::builder().build().unwrap();
    let port = server.addr.port();
    for path in ["/a", "/b", "/c"] {
        let url = format!("http://localhost:{port}{path}");
        let reply = text(&client, &url, dante(&proxy)).await;
        assert_eq!(reply.unwrap(), (200, path.to_owned()));
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_server_that_dante_does_not_reach_is_told() {
    let proxy = DanteServer::start().unwrap();
    let client = Client::builder().build().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let error = text(&client, &format!("http://{addr}/"), dante(&proxy)).await;
    let error = error.unwrap_err().to_string();
    let expected = format!("http://{addr} by {}", dante(&proxy));
    assert!(error.contains(&expected), "{error}");
    assert!(
        error.contains("the proxy did not reach the server"),
        "{error}"
    );
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn tunnels_through_tinyproxy_are_used_again_and_opened_anew_after_it_was_restarted() {
    let proxy = TinyproxyServer::start("BasicAuth anna secret").unwrap();
    let secure = Secure::start().await;
    let client = secure.client();
    let url = secure.url("localhost");
    for _ in 0..3 {
        for _ in 0..3 {
            let reply = text(&client, &url, tinyproxy(&proxy, "anna:secret@")).await;
            assert_eq!(reply.unwrap(), (200, "localhost".to_owned()));
        }
        assert_eq!(secure.connections(), 1);
        proxy.restart().unwrap();
    }
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn a_tunnel_that_tinyproxy_refuses_is_told_with_its_status() {
    let proxy = TinyproxyServer::start("BasicAuth anna secret\nConnectPort 443").unwrap();
    let secure = Secure::start().await;
    let client = secure.client();
    for (userinfo, status) in [("", "407"), ("anna:other@", "401"), ("anna:secret@", "403")] {
        let proxy = tinyproxy(&proxy, userinfo);
        let error = text(&client, &secure.url("localhost"), proxy.clone()).await;
        let error = error.unwrap_err().to_string();
        let said = format!("the proxy answered CONNECT with {status}");
        assert!(error.contains(&said), "{error}");
        assert!(error.contains(&format!("by {proxy}")), "{error}");
    }
    assert_eq!(secure.connections(), 0);
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn tls_through_dante_is_spoken_with_the_server() {
    let proxy = DanteServer::start().unwrap();
    let secure = Secure::start().await;
    let client = secure.client();
    for _ in 0..3 {
        let reply = text(&client, &secure.url("localhost"), dante(&proxy)).await;
        assert_eq!(reply.unwrap(), (200, "localhost".to_owned()));
    }
    assert_eq!(secure.connections(), 1);
}
