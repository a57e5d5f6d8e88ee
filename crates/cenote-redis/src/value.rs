//! A reply of the server, the same for both versions of the protocol.

use bytes::Bytes;

use crate::error::ServerError;

/// A reply, or a part of one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// No value: a missing key, an aborted EXEC, a time-out of BLPOP.
    Nil,
    /// An integer.
    Int(i64),
    /// A floating-point number (RESP3; RESP2 servers send them as [`Bulk`](Self::Bulk)).
    Double(f64),
    /// A truth value (RESP3; RESP2 servers send `Int(0)` and `Int(1)`).
    Bool(bool),
    /// A status, such as `OK`, `PONG` or `QUEUED`.
    Simple(String),
    /// A string of bytes.
    Bulk(Bytes),
    /// A string meant for people, such as the text of INFO (RESP3; RESP2 servers send
    /// [`Bulk`](Self::Bulk)).
    Verbatim {
        /// How to show it: `txt` as it is, `mkd` as Markdown.
        format: [u8; 3],
        /// The string.
        text: Bytes,
    },
    /// An integer of any size, in decimal digits.
    BigNumber(String),
    /// A list.
    Array(Vec<Value>),
    /// A set, in the order received.
    Set(Vec<Value>),
    /// Pairs, in the order received (RESP3; RESP2 servers send an [`Array`](Self::Array) of twice
    /// the length).
    Map(Vec<(Value, Value)>),
    /// A message that answers no command, such as one of a subscribed channel (RESP3).
    Push(Vec<Value>),
    /// An error inside a reply: one failed command of an EXEC.
    Error(ServerError),
}

impl Value {
    /// Whether this is the status `text`.
    pub fn is_status(&self, text: &str) -> bool {
        matches!(self, Self::Simple(status) if status == text)
    }

    /// The kind of value, for error messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Int(_) => "an integer",
            Self::Double(_) => "a double",
            Self::Bool(_) => "a boolean",
            Self::Simple(_) => "a status",
            Self::Bulk(_) | Self::Verbatim { .. } => "a string",
            Self::BigNumber(_) => "a big number",
            Self::Array(_) => "an array",
            Self::Set(_) => "a set",
            Self::Map(_) => "a map",
            Self::Push(_) => "a push message",
            Self::Error(_) => "an error",
        }
    }

    /// A reply as a result: error replies become `Err`.
    pub(crate) fn into_result(self) -> Result<Self, ServerError> {
        match self {
            Self::Error(error) => Err(error),
            value => Ok(value),
        }
    }
}
