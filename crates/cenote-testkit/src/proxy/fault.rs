//! The faults a proxy knows: what each does to those who are connected and to those who come.

use crate::error::ServerError;
use std::time::Duration;

/// What a [`FaultProxy`](crate::FaultProxy) does to what passes through it. Unless it says otherwise, a
/// fault strikes the connections that are open as well as new ones, from the moment it is set.
///
/// No fault changes a byte or leaves a gap: where something was swallowed, nothing later on the same
/// connection arrives. A peer sees what TCP can show it, and nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Everything passes as it comes.
    #[default]
    None,
    /// A far server, or a loaded link: what either side sends, and the end of its sending, arrives late by
    /// `by` and a random time up to `jitter` more. Order is kept and what was sent together may come
    /// apart. Up to 256 KiB are under way in each direction; beyond that the sender is held up.
    Delay {
        /// The least delay, in each direction: a round trip is late by twice this.
        by: Duration,
        /// The most that chance adds to it; zero for a steady link.
        jitter: Duration,
    },
    /// A slow link: each connection gets this many bytes a second in each direction, in steps of a
    /// twentieth of a second or of one byte.
    Bandwidth {
        /// At least 1.
        bytes_per_second: u32,
    },
    /// Small segments: what either side sends is passed on in writes of 1 to `chunk` bytes, each flushed
    /// and followed by a turn of the other tasks. A client that takes one read for one message is found
    /// out. The kernel may still join segments for a reader that is slower than the proxy.
    SplitWrites {
        /// The longest write, at least 1.
        chunk: usize,
    },
    /// The server ends its sending (FIN) and goes on listening: clients read the end of the stream, while
    /// what they write is taken and passed on; its replies are swallowed. Does not pass: a connection it
    /// struck has ended towards its client for good.
    HalfClose,
    /// Connections are reset (RST): clients read and write "connection reset by peer". New ones are
    /// accepted by the system and then reset.
    Reset,
    /// The network is gone, without a word: both sides may write and connect, but nothing arrives, neither
    /// data nor the end of a connection. New connections are accepted, and the server does not hear of
    /// them.
    ///
    /// When the fault ends, a connection that lost anything stays dead and silent, as TCP cannot go on with
    /// a gap; one on which nobody sent anything works on. When a client ends its sending, its connection to
    /// the server is closed.
    BlackHole,
    /// The cable is out: no packet arrives, so that nothing is acknowledged, neither data nor a SYN. Unlike in a
    /// [`BlackHole`](Self::BlackHole), where the peer's system still takes everything, the client's own system
    /// can notice it (TCP keepalive, `TCP_USER_TIMEOUT`), and nothing else can.
    ///
    /// A connection it struck never speaks again; new ones are served when the fault ends. In effect for a
    /// connection within the 50 ms in which the system acknowledges what has arrived before.
    Unplugged,
    /// A server that is too busy to accept: the system accepts new connections and takes what they send,
    /// but nothing answers until the fault ends. Then they are served, with nothing lost. A client that
    /// ends its sending in the meantime is closed. Connections that were open before work.
    AcceptThenSilence,
    /// Nobody listens on the port: new connections are refused. It listens again, on the same port, as soon
    /// as another fault or none is set. Open connections work;
    /// [`FaultProxy::cut`](crate::FaultProxy::cut) ends them.
    Refuse,
    /// A server, or a balancer in front of none, that takes connections and closes them at once: a new
    /// client reads the end of the stream, or a reset when it had written before that. Open connections
    /// work.
    CloseAtAccept,
}

impl Fault {
    /// Refuses what would stop everything while it claims to be slow.
    pub(crate) fn verify(&self) -> Result<(), ServerError> {
        let setting = match self {
            Self::Bandwidth {
                bytes_per_second: 0,
            } => "bytes_per_second",
            Self::SplitWrites { chunk: 0 } => "chunk",
            _ => return Ok(()),
        };
        Err(ServerError::BadSetting {
            setting,
            value: "0".into(),
            accepted: "it must be at least 1; Fault::BlackHole lets nothing pass",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_of_nothing_is_refused_by_name_with_what_lets_nothing_pass() {
        for (fault, setting) in [
            (
                Fault::Bandwidth {
                    bytes_per_second: 0,
                },
                "bytes_per_second",
            ),
            (Fault::SplitWrites { chunk: 0 }, "chunk"),
        ] {
            let expected = format!(
                "{setting} is 0: it must be at least 1; Fault::BlackHole lets nothing pass"
            );
            assert_eq!(fault.verify().unwrap_err().to_string(), expected);
        }
        assert!(Fault::SplitWrites { chunk: 1 }.verify().is_ok());
    }
}
