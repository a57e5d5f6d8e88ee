//! The connector of the crate's front page.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use cenote::Pool;

use super::server::EchoServer;
use super::until;

use cenote::net::{DialError, Dialer, Host, Socket, is_quiet};
use cenote::{Connect, Dial, Verdict};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Server(Host);

/// A connection, and whether its server owes a reply.
struct Session {
    socket: Socket,
    reply_owed: bool,
}

impl Session {
    /// Wherever its caller leaves, the mark stays until the whole reply has been read.
    async fn ask(&mut self, question: [u8; 4]) -> io::Result<[u8; 4]> {
        if std::mem::replace(&mut self.reply_owed, true) {
            return Err(io::Error::other(
                "the reply to an earlier question is still to come",
            ));
        }
        self.socket.write_all(&question).await?;
        let mut reply = [0; 4];
        self.socket.read_exact(&mut reply).await?;
        self.reply_owed = false;
        Ok(reply)
    }
}

impl Connect for Server {
    type Connection = Session;
    type Error = DialError;

    async fn connect(&self, dial: &Dial) -> Result<Session, DialError> {
        let socket = Dialer::new().connect(&self.0, dial).await?;
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
    let connector = Server(Host::from(server.addr));
    Pool::builder(connector).max_size(5).build().unwrap()
}

/// The front page's connector of old: a server that closed idle connections left dead ones, and five gets of five
/// got one.
#[tokio::test]
async fn connections_that_the_server_closed_are_passed_over() {
    let server = EchoServer::start();
    let pool = pool(&server);
    let mut leases = Vec::new();
    for _ in 0..5 {
        let mut session = pool.get().await.unwrap();
        session.ask(*b"open").await.unwrap();
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
        let mut session = pool.get().await.unwrap();
        assert_eq!(session.ask(*b"ping").await.unwrap(), *b"ping");
    }
}

/// Polls a question until the server has it, and leaves.
async fn ask_and_leave(server: &EchoServer, session: &mut Session) {
    let asked = server.asked();
    let mut asking = pin!(session.ask(*b"mine"));
    while server.asked() == asked {
        let polled = asking
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending(), "the server holds its answer");
        tokio::task::yield_now().await;
    }
}

/// The reply comes when its user has left: deadpool #97, redis-py #2624.
#[tokio::test]
async fn a_reply_that_is_still_to_come_does_not_reach_the_next_user() {
    let server = EchoServer::start();
    let pool = pool(&server);
    let mut session = pool.get().await.unwrap();
    server.hold();
    ask_and_leave(&server, &mut session).await;
    drop(session);
    // The connection lies idle with nothing to read, if it lies idle at all.
    let mut next = pool.get().await.unwrap();
    server.release();
    assert_eq!(next.ask(*b"next").await.unwrap(), *b"next");
}

/// The same within one lease.
#[tokio::test]
async fn who_asks_again_before_the_reply_came_does_not_get_that_one() {
    let server = EchoServer::start();
    let pool = pool(&server);
    let mut session = pool.get().await.unwrap();
    server.hold();
    ask_and_leave(&server, &mut session).await;
    server.release();
    session.ask(*b"next").await.unwrap_err();
}
