//! An address at which a connect gets no answer: neither a yes nor a no, as behind a firewall that drops packets.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rustix::net::listen;

use crate::error::ServerError;

/// How long a connect on the loopback network is waited for before it counts as dropped.
const PATIENCE: Duration = Duration::from_millis(100);

/// An address of the loopback network whose listener's queue is full, so that the system drops every further SYN:
/// connecting to it hangs until the client gives up. The address is free again when the value is dropped.
///
/// ```
/// use cenote_testkit::SilentAddress;
/// use std::net::TcpStream;
/// use std::time::Duration;
///
/// let silent = SilentAddress::new()?;
/// let connected = TcpStream::connect_timeout(&silent.addr(), Duration::from_millis(50));
/// assert_eq!(connected.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
/// # Ok::<(), cenote_testkit::ServerError>(())
/// ```
#[derive(Debug)]
pub struct SilentAddress {
    addr: SocketAddr,
    _listener: TcpListener,
    /// What fills the queue.
    _queued: Vec<TcpStream>,
}

impl SilentAddress {
    /// A port of 127.0.0.1 that the system chooses.
    ///
    /// # Errors
    ///
    /// [`ServerError::System`] when the system refuses a socket.
    pub fn new() -> Result<Self, ServerError> {
        Self::on((Ipv4Addr::LOCALHOST, 0))
    }

    /// This address: 127.0.0.2, say, and the port that a server has at 127.0.0.1, as if one name had both.
    ///
    /// # Errors
    ///
    /// [`ServerError::System`] when the address is taken, or the system refuses a socket.
    pub fn on(addr: impl Into<SocketAddr>) -> Result<Self, ServerError> {
        let addr = addr.into();
        let silence = || -> io::Result<Self> {
            let listener = TcpListener::bind(addr)?;
            // Listening anew with the shortest queue there is.
            listen(&listener, 0)?;
            let addr = listener.local_addr()?;
            let mut queued = Vec::new();
            loop {
                match TcpStream::connect_timeout(&addr, PATIENCE) {
                    Ok(stream) => queued.push(stream),
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => break,
                    Err(error) => return Err(error),
                }
            }
            Ok(Self {
                addr,
                _listener: listener,
                _queued: queued,
            })
        };
        silence().map_err(|source| ServerError::System {
            action: format!("silence {addr}"),
            source,
        })
    }

    /// The address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}
