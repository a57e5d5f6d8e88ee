//! Messages that answer no command, as types.

use bytes::Bytes;

use crate::value::Value;

/// The channel by which invalidations are redirected to connections that speak RESP2.
const INVALIDATIONS: &[u8] = b"__redis__:invalidate";

/// A message that answers no command; see [`RedisConnection::next_message`](crate::RedisConnection::next_message).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// Somebody published on a channel that is subscribed.
    Published {
        /// The channel.
        channel: Bytes,
        /// The pattern that the channel matches, if it was subscribed by one.
        pattern: Option<Bytes>,
        /// What was published.
        payload: Bytes,
    },
    /// These keys changed since they were read (`CLIENT TRACKING`).
    Invalidated(Vec<Bytes>),
    /// Every key may have changed: the server was emptied, or more invalidations came than were kept.
    AllInvalidated,
    /// The server ended a subscription by itself, because the shard moved. Nothing more comes from that channel.
    Unsubscribed {
        /// The channel.
        channel: Bytes,
    },
    /// A command that the server runs (`MONITOR`), as it shows it.
    Monitored(String),
    /// Something that no server known here sends.
    Other(Value),
}

impl From<Value> for Message {
    fn from(value: Value) -> Self {
        let known = match &value {
            Value::Simple(line) => Some(Self::Monitored(line.clone())),
            Value::Push(parts) | Value::Array(parts) => of_parts(parts),
            _ => None,
        };
        known.unwrap_or(Self::Other(value))
    }
}

fn of_parts(parts: &[Value]) -> Option<Message> {
    let [Value::Bulk(word), parts @ ..] = parts else {
        return None;
    };
    match (&word[..], parts) {
        (b"message" | b"smessage", [Value::Bulk(channel), Value::Bulk(payload)]) => {
            Some(Message::Published {
                channel: channel.clone(),
                pattern: None,
                payload: payload.clone(),
            })
        }
        (b"message", [Value::Bulk(channel), keys]) if channel == INVALIDATIONS => invalidated(keys),
        (
            b"pmessage",
            [
                Value::Bulk(pattern),
                Value::Bulk(channel),
                Value::Bulk(payload),
            ],
        ) => Some(Message::Published {
            channel: channel.clone(),
            pattern: Some(pattern.clone()),
            payload: payload.clone(),
        }),
        (b"invalidate", [keys]) => invalidated(keys),
        (b"unsubscribe" | b"punsubscribe" | b"sunsubscribe", [Value::Bulk(channel), _]) => {
            Some(Message::Unsubscribed {
                channel: channel.clone(),
            })
        }
        _ => None,
    }
}

fn invalidated(keys: &Value) -> Option<Message> {
    match keys {
        Value::Nil => Some(Message::AllInvalidated),
        Value::Array(keys) => {
            let keys = keys.iter().map(|key| match key {
                Value::Bulk(key) => Some(key.clone()),
                _ => None,
            });
            keys.collect::<Option<_>>().map(Message::Invalidated)
        }
        _ => None,
    }
}
