//! The connector of the blocking pool's page.

use super::server::EchoServer;
use super::until;

use cenote::Verdict;
use cenote::blocking::{Connect, Pool};
use cenote::net::{Dialer, is_quiet};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

struct Server(SocketAddr);

/// A connection, and whether its server owes a reply.
struct Session {
    socket: TcpStream,
    reply_owed: bool,
}

impl Session {
    /// When it fails half-way, by a time-out say, the mark stays.
    fn ask(&mut self, question: [u8; 4]) -> io::Result<[u8; 4]> {
        if std::mem::replace(&mut self.reply_owed, true) {
            return Err(io::Error::other(
                "the reply to an earlier question is still to come",
            ));
        }
        self.socket.write_all(&question)?;
        let mut reply = [0; 4];
        self.socket.read_exact(&mut reply)?;
        self.reply_owed = false;
        Ok(reply)
    }
}

impl Connect for Server {
    type Connection = Session;
    type Error = io::Error;

    fn connect(&self) -> io::Result<Session> {
        let socket = TcpStream::connect_timeout(&self.0, Duration::from_secs(5))?;
        // A server that vanishes is noticed.
        Dialer::new().configure(&socket)?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        socket.set_write_timeout(Some(Duration::from_secs(5)))?;
        Ok(Session {
            socket,
            reply_owed: false,
        })
    }

    /// Not when the server closed the connection while it was idle, nor when it sent what nobody asked for.
    fn is_open(&self, session: &Session) -> bool {
        is_quiet(&session.socket)
    }

    /// A reply that is still to come is for the user who left, and not for the next.
    fn verdict(&self, session: &mut Session) -> Verdict {
        if session.reply_owed {
            Verdict::Close
        } else {
            Verdict::Reuse
        }
    }
}

// Until here as on the page.

fn pool(server: &EchoServer) -> Pool<Server> {
    Pool::builder(Server(server.addr))
        .max_size(5)
        .build()
        .unwrap()
}

/// As on the front page: no dead connection is handed out.
#[test]
fn connections_that_the_server_closed_are_passed_over() {
    let server = EchoServer::start();
    let pool = pool(&server);
    let mut leases = Vec::new();
    for _ in 0..5 {
        let mut session = pool.get().unwrap();
        session.ask(*b"open").unwrap();
        leases.push(session);
    }
    drop(leases);
    server.hang_up();
    until("the end has arrived everywhere", || {
        let mut quiet = 0;
        pool.retain(|session, _| {
            quiet += usize::from(is_quiet(&session.socket));
            true
        });
        quiet == 0
    });
    for _ in 0..5 {
        let mut session = pool.get().unwrap();
        assert_eq!(session.ask(*b"ping").unwrap(), *b"ping");
    }
}

/// A user whose patience ended, by a time-out of the socket, leaves a reply to come.
#[test]
fn a_reply_that_is_still_to_come_does_not_reach_the_next_user() {
    let server = EchoServer::start();
    let pool = pool(&server);
    let mut session = pool.get().unwrap();
    let patience = Some(Duration::from_millis(1));
    session.socket.set_read_timeout(patience).unwrap();
    server.hold();
    session.ask(*b"mine").unwrap_err();
    drop(session);
    let mut next = pool.get().unwrap();
    server.release();
    assert_eq!(next.ask(*b"next").unwrap(), *b"next");
}
