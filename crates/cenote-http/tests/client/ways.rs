//! By which way a server is reached: a Unix socket, an address of this machine.

use std::net::{IpAddr, Ipv4Addr};

use cenote_http::{Client, RouteOptions};

use crate::server::{Server, ok};

fn client() -> Client {
    Client::builder().build().unwrap()
}

#[cfg(unix)]
mod unix {
    use tokio::net::UnixListener;

    use super::*;
    use crate::server::Peer;

    /// The API of Docker and its like: the host is the URI's, the server is the socket's.
    #[tokio::test]
    async fn a_server_on_a_unix_socket_is_asked_by_the_uris_host_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            let mut peer = Peer::new(socket);
            for _ in 0..3 {
                let request = peer.request().await.unwrap();
                peer.say(ok(&request.head)).await;
            }
        });
        let client = client();
        for _ in 0..3 {
            let options = RouteOptions::new().unix_socket(&path);
            let reply = client.get("http://docker/version").route(options).send();
            let head = reply.await.unwrap().text().await.unwrap();
            assert_eq!(head, "GET /version HTTP/1.1\r\nhost: docker\r\n\r\n");
        }
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_unix_socket_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.sock");
        let options = RouteOptions::new().unix_socket(&path);
        let request = client().get("http://docker/").route(options);
        let error = request.send().await.unwrap_err().to_string();
        let route = format!("http://docker:80 at {}", path.display());
        assert!(error.contains(&route), "{error}");
        assert!(error.contains("cannot connect"), "{error}");
    }
}

/// httpx#486, #3146: a client for each address.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_request_comes_from_the_address_that_it_says_and_shares_no_connection_with_others() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (socket, from) = listener.accept().await.unwrap();
            tell.send(from.ip()).unwrap();
            tokio::spawn(async move {
                let mut peer = crate::server::Peer::new(socket);
                while peer.request().await.is_some() {
                    peer.say(ok("")).await;
                }
            });
        }
    });
    let client = client();
    // All of 127/8 is this machine's.
    let addresses = [1, 2, 3].map(|last| IpAddr::from([127, 0, 0, last]));
    for _ in 0..3 {
        for address in addresses {
            let request = client.get(&*url).route(RouteOptions::new().bind(address));
            request.send().await.unwrap().bytes().await.unwrap();
        }
    }
    for address in addresses {
        assert_eq!(told.recv().await, Some(address));
    }
    assert!(told.try_recv().is_err(), "each connection was used again");
}

#[tokio::test]
async fn an_address_that_is_not_this_machines_or_of_another_family_is_told() {
    let server = Server::echo().await;
    let documentation = IpAddr::from(Ipv4Addr::new(192, 0, 2, 1));
    for (address, problem) in [
        (documentation, "cannot connect from 192.0.2.1: "),
        (
            "::1".parse().unwrap(),
            "it is not of the family of the local address ::1",
        ),
    ] {
        let options = RouteOptions::new().bind(address);
        let request = client().get(server.url("/")).route(options);
        let error = request.send().await.unwrap_err().to_string();
        let route = format!("http://{} from {address}", server.addr);
        assert!(error.contains(&route), "{error}");
        assert!(error.contains(problem), "{error}");
    }
}
