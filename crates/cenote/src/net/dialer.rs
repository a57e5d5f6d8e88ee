//! Opens sockets to one host: looks its name up, races its addresses, and gives the winner its options.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

use super::AsSocket;
use super::error::DialError;
use super::host::{Host, Place, alternate};
use super::lookups::Lookups;
use super::options::{Keepalive, Options};
use super::race::{race, rounded};
use super::socket::Socket;
use crate::dial::Dial;
use crate::rt::timeout_at;

/// Opens sockets that notice when their peer has vanished.
///
/// Every TCP socket has `TCP_NODELAY`, keepalive and, on Linux, `TCP_USER_TIMEOUT`; by default what was sent and not
/// acknowledged, or silence at an idle peer, ends the connection within 10 s. Only the systems at both ends and the
/// network between them decide that: a server that is slow with its answer, however slow, lives.
///
/// ```
/// use cenote::Dial;
/// use cenote::net::{Dialer, Host};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let port = listener.local_addr()?.port();
/// // A connector has its `Dial` from the pool.
/// let dial = Dial::within(Duration::from_secs(5));
/// let socket = Dialer::new().connect(&Host::new("localhost", port), &dial).await?;
/// # let _ = socket;
/// # Ok(())
/// # }
/// ```
///
/// A name is looked up for each dial, so that one that moves is followed; of a name one look-up is under way at a time,
/// and dials that want it meanwhile, of this dialer and of its clones, have its answer. One that hangs is therefore not
/// begun again before the system has given it up.
#[derive(Clone, Debug, Default)]
pub struct Dialer {
    options: Options,
    local_address: Option<IpAddr>,
    lookups: Lookups,
}

/// By their settings.
impl PartialEq for Dialer {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            options,
            local_address,
            lookups: _,
        } = self;
        *options == other.options && *local_address == other.local_address
    }
}

impl Eq for Dialer {}

impl Dialer {
    /// A dialer with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// When an idle peer is asked for a sign of life; `None`: never, by which a vanished one goes unnoticed until
    /// something is sent. On by default: see [`Keepalive`].
    #[must_use]
    pub fn keepalive(mut self, keepalive: impl Into<Option<Keepalive>>) -> Self {
        self.options.keepalive = keepalive.into();
        self
    }

    /// How long bytes may go unacknowledged before the connection ends, on Linux: 9 s by default, which with the
    /// system's own steps of retrying is within 10 s; `None`: the system's limit, which is a quarter of an hour.
    /// Other systems have no such option and go by their own limit.
    ///
    /// Linux also counts the time for which a living peer takes nothing in though its buffers are full. Megabytes
    /// sent to a server that reads none of them for longer than this, such as a bulk load into a table that somebody
    /// else has locked, need a longer time here.
    #[must_use]
    pub fn tcp_user_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.options.user_timeout = limit.into();
        self
    }

    /// The address of this machine that TCP connections come from, where it has several: its interface, and what servers
    /// and firewalls know it by. Of a host, only addresses of its family (IPv4 or IPv6) are connected to. Unix sockets have
    /// none. `None`: the system chooses, by the server's address. Default: `None`.
    ///
    /// The system keeps a port of the address for each connection, about 28,000 on Linux by default, where it would
    /// otherwise use one port for connections to several servers.
    #[must_use]
    pub fn bind(mut self, address: impl Into<Option<IpAddr>>) -> Self {
        self.local_address = address.into();
        self
    }

    /// Connects to the first address of the host that accepts.
    ///
    /// The addresses begin 250 ms after each other, or at once when another has failed, in the resolver's order with
    /// the families taking turns (RFC 8305); the losers are closed. Where the dial leaves less time than that, they
    /// begin sooner, so that each has its turn. At the dial's deadline the attempt ends with an error that says how
    /// far each address came; without a deadline the system's limits hold, which is minutes.
    ///
    /// Dropping the future gives everything up at once, but for a look-up under way, which ends by itself.
    ///
    /// # Panics
    ///
    /// As all of tokio's I/O: outside a runtime, or on one without I/O (`enable_io`). A pool's dials are always within
    /// a runtime.
    ///
    /// # Errors
    ///
    /// [`DialError`]: the name has no address, or none accepted a connection in time; also when an option could not
    /// be set, or the local address is not one of this machine.
    pub async fn connect(&self, host: &Host, dial: &Dial) -> Result<Socket, DialError> {
        let found;
        let addresses: &[SocketAddr] = match host.place() {
            Place::Addresses { addresses, .. } => addresses,
            Place::Name { name, port } => {
                found = self.look_up(host, name, *port, dial).await?;
                &found
            }
            #[cfg(unix)]
            Place::Path(path) => return connect_unix(host, path, dial).await,
        };
        let addresses = alternate(addresses.iter().copied());
        if addresses.is_empty() {
            return Err(DialError::NoAddress { host: host.clone() });
        }
        let attempt = |address| self.connect_to(address);
        match race(&addresses, dial.deadline(), attempt).await {
            Ok(socket) => Ok(Socket::Tcp(socket)),
            Err(failures) => Err(DialError::Unreachable {
                host: host.clone(),
                failures,
            }),
        }
    }

    async fn look_up(
        &self,
        host: &Host,
        name: &Arc<str>,
        port: u16,
        dial: &Dial,
    ) -> Result<Vec<SocketAddr>, DialError> {
        let lookup = self.lookups.addresses(name, port, ask_system);
        let found = match dial.deadline() {
            None => lookup.await,
            Some(deadline) => {
                let limit = dial.remaining().unwrap_or_default();
                match timeout_at(deadline, lookup).await {
                    Ok(found) => found,
                    Err(_) => {
                        return Err(DialError::LookupTimedOut {
                            host: host.clone(),
                            limit: rounded(limit),
                        });
                    }
                }
            }
        };
        found.map_err(|source| DialError::Lookup {
            host: host.clone(),
            source,
        })
    }

    async fn connect_to(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = match self.local_address {
            None => TcpStream::connect(address).await?,
            Some(local) => connect_from(local, address).await?,
        };
        self.configure(&socket)?;
        Ok(socket)
    }

    /// Gives a TCP socket that was opened elsewhere the same options: a blocking driver's, say, or another client's.
    ///
    /// # Errors
    ///
    /// The system's, with the name of the option that it refused.
    pub fn configure(&self, socket: &impl AsSocket) -> io::Result<()> {
        self.options.apply(SockRef::from(socket))
    }
}

async fn connect_from(local: IpAddr, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match (local, address) {
        (IpAddr::V4(_), SocketAddr::V4(_)) => TcpSocket::new_v4()?,
        (IpAddr::V6(_), SocketAddr::V6(_)) => TcpSocket::new_v6()?,
        _ => {
            let problem = format!("it is not of the family of the local address {local}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
    };
    socket.bind(SocketAddr::new(local, 0)).map_err(|error| {
        let problem = format!("cannot connect from {local}: {error}");
        io::Error::new(error.kind(), problem)
    })?;
    socket.connect(address).await
}

/// The system's resolver, which asks for no port.
fn ask_system(name: &str) -> io::Result<Vec<SocketAddr>> {
    Ok((name, 0).to_socket_addrs()?.collect())
}

#[cfg(unix)]
async fn connect_unix(
    host: &Host,
    path: &std::path::Path,
    dial: &Dial,
) -> Result<Socket, DialError> {
    use tokio::net::UnixStream;

    let connect = UnixStream::connect(path);
    let connected = match dial.deadline() {
        None => connect.await,
        Some(deadline) => match timeout_at(deadline, connect).await {
            Ok(connected) => connected,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        },
    };
    match connected {
        Ok(socket) => Ok(Socket::Unix(socket)),
        Err(source) => Err(DialError::Path {
            host: host.clone(),
            source,
        }),
    }
}
