//! The proxy's listening socket, which can be closed and opened again on the same port at any moment, from
//! any thread, in effect when the call returns.
//!
//! A second socket is bound to the port all the time and never listens: while the door is closed, the
//! kernel gives the port to no outgoing connection and to nobody who asks for any free one.

use super::deaf;
use crate::error::ServerError;
use crate::port;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Notify;

const BACKLOG: u32 = 1024;
const PORT_TRIES: u32 = 5;

/// Whether SYNs arrive at a door.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hears {
    Everything,
    Nothing,
}

#[derive(Debug)]
pub(crate) struct Door {
    addr: SocketAddr,
    listener: Mutex<Option<TcpListener>>,
    opened: Notify,
    runtime: Handle,
    _placeholder: TcpSocket,
}

impl Door {
    /// Listens on a free port of 127.0.0.1, on the calling task's runtime.
    pub(crate) fn open_somewhere() -> Result<Self, ServerError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let port = port::pick().map_err(ServerError::system("find a free port"))?;
            let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let opened = bind(addr).and_then(|placeholder| Ok((placeholder, listen(addr)?)));
            match opened {
                // Someone else took the port since it was picked.
                Err(error) if error.kind() == ErrorKind::AddrInUse && tries < PORT_TRIES => {}
                Err(error) => return Err(cannot_listen(addr)(error)),
                Ok((placeholder, listener)) => {
                    return Ok(Self {
                        addr,
                        listener: Mutex::new(Some(listener)),
                        opened: Notify::new(),
                        runtime: Handle::current(),
                        _placeholder: placeholder,
                    });
                }
            }
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Refuses clients from now on, and resets those that only the system has accepted.
    pub(crate) fn close(&self) {
        self.listener().take();
    }

    /// Listens again, if it was closed.
    pub(crate) fn open(&self) -> Result<(), ServerError> {
        let mut listener = self.listener();
        if listener.is_none() {
            let _runtime = self.runtime.enter();
            *listener = Some(listen(self.addr).map_err(cannot_listen(self.addr))?);
            self.opened.notify_one();
        }
        Ok(())
    }

    /// Drops the SYNs of new clients from now on; or no longer. Of a closed door, nothing.
    pub(crate) fn hears(&self, hears: Hears) -> Result<(), ServerError> {
        let listener = self.listener();
        let Some(socket) = &*listener else {
            return Ok(());
        };
        match hears {
            Hears::Nothing => deaf::make(socket),
            Hears::Everything => deaf::unmake(socket).or_else(|error| match error.kind() {
                // It heard everything before.
                ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            }),
        }
        .map_err(ServerError::system(
            "filter the packets of the proxy's port",
        ))
    }

    /// The next client; while the door is closed, none.
    pub(crate) async fn accept(&self) -> io::Result<TcpStream> {
        let accepted = poll_fn(|cx| match &*self.listener() {
            Some(listener) => listener.poll_accept(cx),
            None => Poll::Pending,
        });
        let mut accepted = std::pin::pin!(accepted);
        loop {
            tokio::select! {
                accepted = &mut accepted => return accepted.map(|(client, _)| client),
                // Another listener, which has to be polled before it wakes anyone.
                () = self.opened.notified() => {}
            }
        }
    }

    fn listener(&self) -> MutexGuard<'_, Option<TcpListener>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Past connections that linger in TIME_WAIT must not keep the port.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    bind(addr)?.listen(BACKLOG)
}

fn cannot_listen(addr: SocketAddr) -> impl FnOnce(io::Error) -> ServerError {
    ServerError::system(format!("listen on {addr}"))
}
