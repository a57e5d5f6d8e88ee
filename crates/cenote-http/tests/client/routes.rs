//! Which requests share connections: those whose routes are equal, whole.

use cenote::net::Host;
use cenote_http::{Client, RouteOptions};

use crate::server::Server;

/// One request with each of these in turn, again and again; how many connections there were.
async fn connections(of: &[(String, RouteOptions)], server: &Server) -> usize {
    let client = Client::builder().build().unwrap();
    for _ in 0..3 {
        for (url, options) in of {
            let request = client.get(url).route(options.clone());
            request.send().await.unwrap().bytes().await.unwrap();
        }
    }
    assert_eq!(client.status().keys, server.accepted());
    server.accepted()
}

#[tokio::test]
async fn requests_with_different_tags_share_no_connection() {
    let server = Server::echo().await;
    let url = server.url("/");
    let of = [
        (url.clone(), RouteOptions::new()),
        (url.clone(), RouteOptions::new().tag("a")),
        (url, RouteOptions::new().tag("b")),
    ];
    assert_eq!(connections(&of, &server).await, 3);
}

/// One server has many names, and one name may be sent to many servers: neither is the other.
#[tokio::test]
async fn requests_that_connect_elsewhere_share_no_connection_with_those_that_do_not() {
    let server = Server::echo().await;
    let here = || Host::from(server.addr);
    let of = [
        (server.url("/"), RouteOptions::new()),
        (server.url("/"), RouteOptions::new().connect_to(here())),
        (
            "http://one.invalid/".into(),
            RouteOptions::new().connect_to(here()),
        ),
        (
            "http://two.invalid/".into(),
            RouteOptions::new().connect_to(here()),
        ),
    ];
    assert_eq!(connections(&of, &server).await, 4);
}

#[tokio::test]
async fn spellings_of_one_route_share_their_connections() {
    let server = Server::echo().await;
    let here = || RouteOptions::new().connect_to(Host::from(server.addr));
    let of = [
        ("http://name.invalid/".into(), here()),
        ("http://NAME.invalid:80/path?query".into(), here()),
        ("http://anna:secret@name.Invalid/".into(), here()),
    ];
    assert_eq!(connections(&of, &server).await, 1);
}

#[tokio::test]
async fn addresses_of_ipv6_have_one_spelling() {
    let server = Server::echo().await;
    let here = || RouteOptions::new().connect_to(Host::from(server.addr));
    let of = [
        ("http://[::1]/".into(), here()),
        ("http://[0:0:0:0:0:0:0:1]:80/".into(), here()),
    ];
    assert_eq!(connections(&of, &server).await, 1);
}
