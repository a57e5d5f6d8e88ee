//! Sockets for connectors: a [`Dialer`] that passes what hangs and notices when a peer vanishes, a walk over
//! [several hosts](each_host), and a [look](is_quiet) at a socket that comes back.
//!
//! With the feature `net`, which is on by default. `cenote-postgres` and `cenote-redis` dial with it.
//!
//! ```
//! use cenote::net::{Dialer, Host, HostFailure, HostsError, Keepalive, Socket, each_host, is_quiet};
//! use cenote::{Connect, Dial, FailureKind, Verdict};
//! use std::io;
//! use std::time::Duration;
//! use tokio::io::AsyncReadExt;
//!
//! /// A server that greets, at whichever of its hosts is up.
//! struct Greeter {
//!     hosts: Vec<Host>,
//!     dialer: Dialer,
//! }
//!
//! impl Connect for Greeter {
//!     type Connection = Socket;
//!     type Error = HostsError<io::Error>;
//!
//!     async fn connect(&self, dial: &Dial) -> Result<Socket, Self::Error> {
//!         each_host(&self.hosts, dial, |host, dial| async move {
//!             let mut socket = self.dialer.connect(host, &dial).await.map_err(io::Error::from)?;
//!             match socket.read_u8().await? {
//!                 b'+' => Ok(socket),
//!                 // Another host has the same accounts.
//!                 b'!' => Err(HostFailure::Stop(io::ErrorKind::PermissionDenied.into())),
//!                 _ => Err(HostFailure::TryNext(io::ErrorKind::InvalidData.into())),
//!             }
//!         })
//!         .await
//!     }
//!
//!     fn is_open(&self, socket: &Socket) -> bool {
//!         is_quiet(socket)
//!     }
//!
//!     // Nothing is ever asked of this server, so that it never owes a reply.
//!     fn verdict(&self, _: &mut Socket) -> Verdict {
//!         Verdict::Reuse
//!     }
//!
//!     fn classify(&self, error: &Self::Error) -> FailureKind {
//!         error.classify(|error| match error.kind() {
//!             io::ErrorKind::PermissionDenied => FailureKind::Credentials,
//!             _ => FailureKind::Transient,
//!         })
//!     }
//! }
//!
//! let greeter = Greeter {
//!     hosts: vec![Host::new("db1.example", 7000), Host::new("db2.example", 7000)],
//!     dialer: Dialer::new().keepalive(Keepalive::new().idle(Duration::from_secs(3))),
//! };
//! # let _ = greeter;
//! ```

mod dialer;
mod error;
mod host;
mod hosts;
mod lookups;
mod options;
mod quiet;
mod race;
mod socket;
mod split;
mod watch;

#[cfg(unix)]
use std::os::fd::AsFd as AsSocket;
#[cfg(windows)]
use std::os::windows::io::AsSocket;

pub use dialer::Dialer;
pub use error::{AddressError, DialError};
pub use host::Host;
pub use hosts::{HostCause, HostFailure, HostsError, each_host};
pub use options::Keepalive;
pub use quiet::is_quiet;
pub use socket::Socket;
pub use split::{ReadHalf, WriteHalf};
pub use watch::{Watch, Watched};
