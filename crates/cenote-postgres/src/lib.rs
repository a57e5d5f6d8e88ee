//! PostgreSQL connections for the [`cenote`] pool, over [`tokio_postgres`].
//!
//! ```no_run
//! use cenote::Pool;
//! use cenote_postgres::PostgresConnector;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let connector = PostgresConnector::new("postgres://orders:secret@db.example/orders")?;
//! let pool = Pool::builder(connector).name("orders").max_size(10).build()?;
//!
//! let mut conn = pool.get().await?;
//! let open = conn.query_cached("SELECT id FROM orders WHERE NOT paid", &[]).await?;
//!
//! let transaction = conn.transaction().await?;
//! for row in open {
//!     let id: i64 = row.get(0);
//!     transaction.execute_cached("UPDATE orders SET paid = true WHERE id = $1", &[&id]).await?;
//! }
//! transaction.commit().await?;
//! # Ok(())
//! # }
//! ```
//!
//! What a session keeps between statements (settings, locks, an open transaction, a reply still on its
//! way) belongs to one user and must not reach the next. A [`PgConnection`] keeps account of it; when a
//! lease ends, the connection goes back at once if nothing is left in it, is reset in the background if
//! something may be, and is closed if no reset can help. [`ResetMode`] says when, and what is undone.
//!
//! Statements run by the `_cached` methods are prepared once per connection and kept, also across resets.
//!
//! Behind PgBouncer in transaction mode, or another pooler of its kind, use
//! [`PostgresConnector::behind_transaction_pooler`].
//!
//! For several servers of which one is the primary, a [`PostgresCluster`] has pools of the primary and of the replicas.
//!
//! For many short statements, a [`PipelinedConnector`] makes connections that a [`cenote::SharedPool`] lets many
//! users share: one connection then does the work of many, as nobody waits for another's reply.
//!
//! Features: `rustls` for TLS, with the ring provider and the system's root certificates.
//!
//! Runs on a tokio runtime with I/O (`enable_io`, or `enable_all` as `#[tokio::main]` has): timers are Cenote's own.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs)]
#![deny(missing_debug_implementations)]
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod calls;
mod cluster;
mod connect;
mod connection;
mod connector;
mod driver;
mod endpoint;
mod error;
mod inbox;
mod listener;
mod login;
mod pipelined;
mod quiet;
mod reset;
mod role;
mod running;
mod session;
mod silence;
mod sql;
mod statement;
mod statements;
#[cfg(feature = "rustls")]
mod tls;
mod tls_options;
mod traces;
mod transaction;
mod tunnel;
mod wire;

pub use cluster::PostgresCluster;
pub use connection::PgConnection;
pub use connector::PostgresConnector;
pub use driver::CancelToken;
pub use error::{ConfigError, ConnectCause, Error, Unclean};
pub use listener::{Heard, ListenError, PgListener};
pub use pipelined::{PipelinedConnection, PipelinedConnector, PipelinedError};
pub use reset::ResetMode;
#[cfg(feature = "rustls")]
pub use rustls;
pub use sql::Sql;
pub use statement::Statement;
pub use tokio_postgres;
pub use transaction::{PgTransaction, PgTransactionBuilder};
