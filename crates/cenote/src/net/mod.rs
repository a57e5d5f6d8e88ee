//! Sockets for connectors: a [`Dialer`] that passes what hangs and notices when a peer vanishes, a walk over
//! [several hosts](each_host), and a [look](is_quiet) at a socket that comes back.
//!
//! With the feature `net`, which is on by default. `cenote-postgres` and `cenote-redis` dial with it.
//!
//! ```
//! use cenote::net::{DialError, Dialer, Host, Socket, is_quiet};
//! use cenote::{Connect, Dial, FailureKind, Verdict};
//!
//! struct Server(Host);
//!
//! /// A connection, and whether a reply to its last user is still to come.
//! struct Session {
//!     socket: Socket,
//!     reply_owed: bool,
//! }
//!
//! impl Connect for Server {
//!     type Connection = Session;
//!     type Error = DialError;
//!
//!     async fn connect(&self, dial: &Dial) -> Result<Session, DialError> {
//!         let socket = Dialer::new().connect(&self.0, dial).await?;
//!         Ok(Session { socket, reply_owed: false })
//!     }
//!
//!     fn is_open(&self, session: &Session) -> bool {
//!         is_quiet(&session.socket)
//!     }
//!
//!     fn verdict(&self, session: &mut Session) -> Verdict {
//!         if session.reply_owed { Verdict::Close } else { Verdict::Reuse }
//!     }
//!
//!     fn classify(&self, error: &DialError) -> FailureKind {
//!         error.classify()
//!     }
//! }
//! ```

mod dialer;
mod error;
mod host;
mod hosts;
mod options;
mod quiet;
mod race;
mod socket;

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
