//! One embedded server: a port that is served, or behaves as that of a server that is frozen or gone.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::Echo;
use crate::target::Place;

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Serving,
    /// Connections are accepted, and nothing is answered.
    Frozen,
    /// Its connections are reset, and others refused.
    Killed,
}

/// A running server; its tasks end with their runtime, or when this is dropped.
pub struct Server {
    pub place: Place,
    behaviour: watch::Sender<Behaviour>,
    /// Keeps the port while nobody listens, so that nobody else is given it meanwhile.
    _port: TcpSocket,
}

const BACKLOG: u32 = 4096;

/// Before the next try to listen or to accept. Out of file descriptors, most likely: some will come free.
const PAUSE: Duration = Duration::from_millis(10);

impl Server {
    /// Within the runtime that is to serve.
    pub fn start(echo: Echo, acceptor: Option<TlsAcceptor>) -> io::Result<Self> {
        let port = bound((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = port.local_addr()?;
        // Clients may come as soon as this returns.
        let listener = listen(address)?;
        let (sender, behaviour) = watch::channel(Behaviour::Serving);
        tokio::spawn(run(address, Some(listener), acceptor, echo, behaviour));
        Ok(Self {
            place: address.into(),
            behaviour: sender,
            _port: port,
        })
    }

    pub fn set(&self, behaviour: Behaviour) {
        self.behaviour.send_replace(behaviour);
    }
}

/// A socket at `address`, where others of ours may be as well.
fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    #[cfg(unix)]
    socket.set_reuseport(true)?;
    #[cfg(not(unix))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    bound(address)?.listen(BACKLOG)
}

/// Listens for as long as the server is not killed, again and again.
async fn run(
    address: SocketAddr,
    mut listener: Option<TcpListener>,
    acceptor: Option<TlsAcceptor>,
    echo: Echo,
    mut behaviour: watch::Receiver<Behaviour>,
) {
    let mut killed = behaviour.clone();
    while until(&mut behaviour, |now| now != Behaviour::Killed)
        .await
        .is_some()
    {
        let Some(listener) = listener.take().or_else(|| listen(address).ok()) else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        tokio::select! {
            () = accept(listener, acceptor.clone(), echo, &behaviour) => {}
            _ = until(&mut killed, |now| now == Behaviour::Killed) => {}
        }
    }
}

/// The first behaviour, the current one included, that is `wanted`; none where there will be no other.
async fn until(
    behaviour: &mut watch::Receiver<Behaviour>,
    wanted: impl Fn(Behaviour) -> bool,
) -> Option<Behaviour> {
    let now = behaviour.wait_for(|now| wanted(*now)).await;
    now.ok().map(|now| *now)
}

async fn accept(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    echo: Echo,
    behaviour: &watch::Receiver<Behaviour>,
) {
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => {
                tokio::spawn(serve(tcp, acceptor.clone(), echo, behaviour.clone()));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Until the client has left, or the server is killed.
async fn serve(
    tcp: TcpStream,
    acceptor: Option<TlsAcceptor>,
    echo: Echo,
    mut behaviour: watch::Receiver<Behaviour>,
) {
    // Closing it resets it, which matters only to a client that is still there.
    if tcp.set_zero_linger().is_err() {
        return;
    }
    let mut answering = pin!(answer_all(tcp, acceptor, echo));
    // While it is frozen, nothing is read and nothing written.
    while until(&mut behaviour, |now| now != Behaviour::Frozen).await == Some(Behaviour::Serving) {
        tokio::select! {
            biased;
            // A client that goes away is no concern of the server's.
            _ = &mut answering => return,
            _ = behaviour.changed() => {}
        }
    }
}

async fn answer_all(tcp: TcpStream, acceptor: Option<TlsAcceptor>, echo: Echo) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    match acceptor {
        Some(acceptor) => answer(acceptor.accept(tcp).await?, echo).await,
        None => answer(tcp, echo).await,
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, echo: Echo) -> io::Result<()> {
    let mut stream = BufReader::new(BufWriter::new(stream));
    let mut request = vec![0; echo.request_size];
    loop {
        stream.read_exact(&mut request).await?;
        if !echo.service_time.is_zero() {
            tokio::time::sleep(echo.service_time).await;
        }
        stream.write_all(&request).await?;
        // As a database does: what is answered goes out once nothing is left to do at once.
        let next_is_here = stream.buffer().len() >= echo.request_size;
        if !next_is_here || !echo.service_time.is_zero() {
            stream.flush().await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: [u8; 4] = *b"ping";

    /// Far more than any step takes.
    const LIMIT: Duration = Duration::from_secs(60);

    fn server() -> Server {
        let echo = Echo {
            request_size: REQUEST.len(),
            ..Echo::default()
        };
        Server::start(echo, None).expect("a port is free")
    }

    async fn client(server: &Server) -> io::Result<TcpStream> {
        TcpStream::connect((&*server.place.host, server.place.port)).await
    }

    async fn answered(client: &mut TcpStream) -> io::Result<()> {
        let mut answer = [0; REQUEST.len()];
        let read = client.read_exact(&mut answer);
        tokio::time::timeout(LIMIT, read).await.expect("in time")?;
        assert_eq!(answer, REQUEST);
        Ok(())
    }

    async fn refused(server: &Server) {
        let is_refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        while !client(server).await.is_err_and(is_refused) {
            tokio::task::yield_now().await;
        }
    }

    async fn accepted(server: &Server) -> TcpStream {
        loop {
            match client(server).await {
                Ok(client) => return client,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    #[tokio::test]
    async fn a_killed_server_resets_its_connections_and_refuses_others_until_it_serves_again() {
        let server = server();
        let mut before = client(&server).await.expect("it serves");
        before.write_all(&REQUEST).await.expect("it serves");
        answered(&mut before).await.expect("it serves");

        server.set(Behaviour::Killed);
        let error = answered(&mut before).await.expect_err("it was killed");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        tokio::time::timeout(LIMIT, refused(&server))
            .await
            .expect("in time");

        server.set(Behaviour::Serving);
        let after = tokio::time::timeout(LIMIT, accepted(&server)).await;
        let mut after = after.expect("in time");
        after.write_all(&REQUEST).await.expect("it serves");
        answered(&mut after).await.expect("it serves");
    }

    #[tokio::test]
    async fn a_frozen_server_accepts_and_answers_only_when_it_serves_again() {
        let server = server();
        server.set(Behaviour::Frozen);
        let mut client = client(&server).await.expect("it accepts");
        client.write_all(&REQUEST).await.expect("it accepts");
        let early = client.try_read(&mut [0; REQUEST.len()]);
        assert!(
            early.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock),
            "it answered"
        );
        server.set(Behaviour::Serving);
        answered(&mut client).await.expect("it serves");
    }
}
