//! How long an exclusive connection puts up with a silent server, and the account of its silence.
//!
//! Silence alone proves nothing: a listener may hear nothing for a year, and a statement may take a minute. What is
//! watched is what must come: the answer to a `PING` that was sent to find out, the answer of a command that waits once
//! its own time is over, and any byte at all while one command after the other is given up. The clock is read in these
//! cases only.

use std::time::Duration;

use cenote::time::Instant;

use crate::error::Silence;
use crate::value::Value;

/// So long a connection that listens is silent at most, and then it has ended: together they are below ten seconds.
const PING_AFTER: Duration = Duration::from_secs(4);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// The settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// None: nothing is watched.
    pub(crate) ping_after: Option<Duration>,
    pub(crate) ping_timeout: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            ping_after: Some(PING_AFTER),
            ping_timeout: PING_TIMEOUT,
        }
    }
}

impl Patience {
    /// How long the server may be silent when something is due.
    fn in_all(self) -> Option<Duration> {
        Some(self.ping_after?.saturating_add(self.ping_timeout))
    }
}

/// Whether the server holds replies back because a command waits for something to happen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Blocked {
    No,
    /// Until then at the latest, by what the commands themselves say.
    Until(Instant),
    Endlessly,
}

impl Blocked {
    /// By one more command, which waits so long at most.
    pub(crate) fn longer(self, longest: Option<Duration>) -> Self {
        let from = match self {
            Self::No => Instant::now(),
            Self::Until(end) => end,
            Self::Endlessly => return self,
        };
        match longest.and_then(|longest| from.checked_add(longest)) {
            Some(end) => Self::Until(end),
            None => Self::Endlessly,
        }
    }
}

/// By when something must have come; after that the connection has ended in `end`, or a PING goes out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    pub(crate) deadline: Instant,
    pub(crate) end: Option<Silence>,
}

/// A `PING` of the connection's own.
#[derive(Clone, Copy, Debug)]
struct Ping {
    sent: Instant,
    /// How many replies to commands come before its own.
    behind: usize,
}

/// Of one connection.
#[derive(Debug)]
pub(crate) struct Vigil {
    patience: Patience,
    /// Not a byte has come since, as far as has been looked.
    quiet_since: Instant,
    ping: Option<Ping>,
    /// Commands sent while earlier ones, given up, had no reply; not a byte came between.
    in_vain: u32,
    /// The first of them.
    in_vain_since: Instant,
}

impl Vigil {
    pub(crate) fn new(patience: Patience) -> Self {
        let now = Instant::now();
        Self {
            patience,
            quiet_since: now,
            ping: None,
            in_vain: 0,
            in_vain_since: now,
        }
    }

    /// Bytes came.
    pub(crate) fn heard(&mut self) {
        self.quiet_since = Instant::now();
        self.in_vain = 0;
    }

    /// A command is sent although earlier ones, which were given up, have no reply.
    pub(crate) fn sent_in_vain(&mut self) {
        if self.in_vain == 0 {
            self.in_vain_since = Instant::now();
        }
        self.in_vain = self.in_vain.saturating_add(1);
    }

    /// The reply to a command came.
    pub(crate) fn answered(&mut self) {
        self.in_vain = 0;
        if let Some(ping) = &mut self.ping {
            ping.behind = ping.behind.saturating_sub(1);
        }
    }

    /// A PING goes out behind so many commands.
    pub(crate) fn pinged(&mut self, behind: usize) {
        let sent = Instant::now();
        self.ping = Some(Ping { sent, behind });
    }

    pub(crate) fn has_pinged(&self) -> bool {
        self.ping.is_some()
    }

    /// Whether this is the answer to the connection's own PING, which nobody else asked for. An error is one too:
    /// a server that says no is alive.
    pub(crate) fn takes(&mut self, frame: &Value) -> bool {
        let is_due = self.ping.is_some_and(|ping| ping.behind == 0);
        let takes = is_due && (is_pong(frame) || matches!(frame, Value::Error(_)));
        if takes {
            self.ping = None;
        }
        takes
    }

    pub(crate) fn while_listening(&self) -> Option<Watch> {
        let after = self.patience.ping_after?;
        let limit = self.patience.ping_timeout;
        Some(match self.ping {
            None => Watch {
                deadline: self.quiet_since.checked_add(after)?,
                end: None,
            },
            Some(ping) => Watch {
                deadline: ping.sent.max(self.quiet_since).checked_add(limit)?,
                end: Some(Silence::Ping { limit }),
            },
        })
    }

    /// While a command waits until `end` at the latest.
    pub(crate) fn beyond(&self, end: Instant) -> Option<Watch> {
        let beyond = self.patience.in_all()?;
        Some(Watch {
            deadline: end.checked_add(beyond)?,
            end: Some(Silence::Wait { beyond }),
        })
    }

    /// While the replies to commands that were given up are read. One command may be slow, and the next, sent behind
    /// it, waits for it; that the next was given up as well is the sign.
    pub(crate) fn while_draining(&self) -> Option<Watch> {
        if self.in_vain < 2 {
            return None;
        }
        let within = self.patience.in_all()?;
        Some(Watch {
            deadline: self.in_vain_since.checked_add(within)?,
            end: Some(Silence::Commands { within }),
        })
    }

    /// The same, after bytes came that were not all of it.
    pub(crate) fn renewed(&self, watch: Watch) -> Option<Watch> {
        match watch.end {
            None | Some(Silence::Ping { .. }) => self.while_listening(),
            Some(Silence::Wait { beyond: more } | Silence::Commands { within: more }) => {
                let deadline = Instant::now().checked_add(more)?;
                Some(Watch { deadline, ..watch })
            }
        }
    }
}

/// `+PONG`, or what RESP2 sends to those who are subscribed.
fn is_pong(frame: &Value) -> bool {
    match frame {
        Value::Simple(status) => status == "PONG",
        Value::Array(parts) => match parts.as_slice() {
            [Value::Bulk(kind), Value::Bulk(text)] => &kind[..] == b"pong" && text.is_empty(),
            _ => false,
        },
        _ => false,
    }
}
