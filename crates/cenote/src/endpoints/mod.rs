//! Sets of endpoints: what a service consists of, and how that is found out.
//!
//! A source that implements [`Discover`] tells whole sets, one after the other. [`Discovery`] has a task of its own ask
//! it, so that news is heard while nobody calls and while all callers wait; it keeps the last good set when the source
//! fails, and says how old that is.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use cenote::endpoints::{Discovery, Endpoint, EndpointSet, channel};
//!
//! let (sender, source) = channel();
//! let mut discovery = Discovery::start(source)?;
//! sender.send(EndpointSet::from([
//!     Endpoint::new("10.0.0.1:80").weight(2),
//!     Endpoint::new("10.0.0.2:80"),
//! ]));
//! let set = discovery.changed().await.expect("there is a sender");
//! assert_eq!(set.len(), 2);
//! assert!(discovery.status().to_string().starts_with("2 endpoints of a channel, version 1"));
//! # Ok(()) }
//! ```
//!
//! [`Pool::balanced`](crate::Pool::balanced) is given a source, or a `Discovery`; [`Balance`] says which endpoint it
//! chooses, [`Ejection`] when one gets no calls for a while, [`Outcome`] how a call ended.
//!
//! | source | tells |
//! |---|---|
//! | [`fixed`](fixed()) | one list, for good |
//! | [`channel`](channel()) | what the program sends: from a configuration service, a subscription, an admin's hand |
//! | [`Lookup`] | the addresses of a `host:port`, looked up again and again (feature `net`) |
//! | [`WatchedFile`] | what a file says, read again whenever it changes |
//! | `cenote-dns` | what DNS says: the addresses of a name, the targets of a service |
//! | `cenote-redis` | what Redis Sentinel says: a master, its replicas |
//! | your own [`Discover`] | anything else, [`Polling`] what has to be asked; `cenote-tower` has what tower's discoveries find |

// `set` has the words, `discover` what a source is, `discovery` the task; each source is a file,
// and `polling` is for those that ask, here and elsewhere.

mod balance;
mod channel;
mod discover;
mod discovery;
mod ejection;
mod file;
mod fixed;
mod id;
mod into_discovery;
#[cfg(feature = "net")]
mod lookup;
mod polling;
mod set;
mod status;

pub use crate::lifecycle::candidates::{Candidate, Candidates};
pub use crate::policy::accrual::Outcome;
pub use balance::Balance;
pub use channel::{Channel, SetSender, channel};
pub use discover::Discover;
pub(crate) use discovery::News;
pub use discovery::{Discovery, DiscoveryBuilder, EmptySets};
pub use ejection::Ejection;
pub use file::{FileError, WatchedFile};
pub use fixed::{Fixed, fixed};
pub use id::EndpointId;
pub use into_discovery::IntoDiscovery;
#[cfg(feature = "net")]
pub use lookup::{Lookup, LookupError};
pub use polling::Polling;
pub use set::{Change, Endpoint, EndpointSet, Key};
pub use status::{DiscoveryStatus, Failing};
