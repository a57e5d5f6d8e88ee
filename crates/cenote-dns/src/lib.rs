//! What DNS says a service consists of, as sources of cenote's [endpoint sets](cenote::endpoints): the addresses of a
//! name ([`host`]), and the targets of a service with their ports, priorities and weights ([`srv`]).
//!
//! ```no_run
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use cenote::endpoints::Discovery;
//!
//! let mut discovery = Discovery::start(cenote_dns::host("db.internal:5432")?)?;
//! while let Some(set) = discovery.changed().await {
//!     println!("{} addresses: {}", set.len(), discovery.status());
//! }
//! # Ok(()) }
//! ```
//!
//! A source asks the name servers itself, those of the system (`/etc/resolv.conf`) or [others](Dns::name_servers), not the
//! system's resolver; for `/etc/hosts` and the like there is `cenote::endpoints::Lookup`.
//!
//! - **How often.** An answer is good for its time to live, within a [minimum](Dns::min_interval) and a
//!   [maximum](Dns::max_interval), and is not kept for longer: there is no cache. After a failure, and after a
//!   [refresh](cenote::endpoints::Discovery::refresh), as when no endpoint is to be reached, the name servers are asked as
//!   soon as the minimum interval since the last question is over. One question is under way at a time; sharing a
//!   [`Discovery`](cenote::endpoints::Discovery), whose handles are cheap to clone, makes it one for each name.
//! - **What is not there.** That a name does not exist, or has no such records, is an answer: an empty set, which
//!   [`EmptySets`](cenote::endpoints::EmptySets) says whether to obey. A name server that fails, refuses, refers to others or
//!   says nothing has given none: a [`DnsError`], and the last set stays.
//! - **Part of an answer** takes nothing away: while the addresses of one family, or of one target, cannot be found out,
//!   those that are known stay, and the rest is told.
//! - **Long answers** that do not fit a datagram are asked for over TCP.
//! - **Name servers** that do not answer are passed over, each with an equal share of what is left of the
//!   [time-out](Dns::timeout); the last that answered is asked first. After three failures in a row they are read anew from
//!   the system's settings.
//!
//! Dropping a source, or the last handle of its discovery, ends what it asks. The discovery's runtime must have I/O and time
//! enabled.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs)]
#![deny(missing_debug_implementations)]
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

// `source` asks again and again; `host` and `srv` are the questions, of `addresses` each.
// `name_servers` keeps the `resolver`, by which one record is looked up.

mod addresses;
mod dns;
mod error;
mod host;
mod name_servers;
mod resolver;
mod source;
mod srv;
mod target;

#[cfg(test)]
#[allow(dead_code, reason = "the tests of the public face need the rest")]
#[path = "../tests/scripted/mod.rs"]
mod scripted;

pub use dns::{Dns, host, srv};
pub use error::{DnsError, Tried};
pub use host::Host;
pub use srv::Srv;
pub use target::Target;
