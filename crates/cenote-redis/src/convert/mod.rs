//! Conversions from replies to the Rust types that callers ask for.
//!
//! Only what loses nothing: an integer reads as any integer type that it fits, digits in a string read as a
//! number, nil is `None` and never an empty string. A reply reads as the same types in both versions of the
//! protocol. `numbers` has those, `collections` lists, tuples, maps and sets.

mod collections;
mod numbers;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::error::ConversionError;
use crate::value::Value;

/// A type that a reply can be read as; see [`RedisConnection::query`](crate::RedisConnection::query).
///
/// | type | replies |
/// |---|---|
/// | integers of every size | integers and digits in strings, within the type's range; truth values as 1 and 0 |
/// | `f64`, `f32` | doubles, integers up to 2⁵³, and numbers in strings |
/// | `bool` | truth values, and the integers 1 and 0 |
/// | `String` | strings of UTF-8 text, statuses, numbers |
/// | [`Bytes`], `Vec<u8>` | the same, whatever their bytes |
/// | `Option<T>` | nil, and what a `T` is read from |
/// | `Vec<T>`, `HashSet<T>`, `BTreeSet<T>` | arrays and sets, and maps as lists of key, value, key, value |
/// | tuples of 1 to 12 | arrays of that length |
/// | `Vec` of tuples | arrays of such arrays, flat arrays (as RESP2 sends pairs), and maps |
/// | `HashMap<K, V>`, `BTreeMap<K, V>` | maps, and what a `Vec<(K, V)>` is read from |
/// | `()`, [`Value`] | any |
///
/// ```
/// use std::collections::HashMap;
/// use cenote_redis::{Cmd, RedisConnection, RedisError};
///
/// # async fn example(redis: &mut RedisConnection) -> Result<(), RedisError> {
/// let user: HashMap<String, String> = redis.query(&Cmd::new("HGETALL").arg("user:7")).await?;
/// let top = Cmd::new("ZRANGE").arg("scores").arg(0).arg(9).arg("WITHSCORES");
/// let top: Vec<(String, f64)> = redis.query(&top).await?;
/// # Ok(())
/// # }
/// ```
pub trait FromReply: Sized {
    /// Reads a reply.
    ///
    /// # Errors
    ///
    /// [`ConversionError`] when the reply is of another type, or a number out of range.
    fn from_reply(reply: Value) -> Result<Self, ConversionError>;

    /// Reads a reply as a list, for `Vec<Self>` and the sets. By default, the items of an array, a set or a
    /// push message, and the keys and values of a map in turn.
    ///
    /// # Errors
    ///
    /// [`ConversionError`] when the reply is no list, or one of its items is of another type.
    fn list_from_reply(reply: Value) -> Result<Vec<Self>, ConversionError> {
        collections::items(reply)?
            .into_iter()
            .map(Self::from_reply)
            .collect()
    }
}

fn mismatch<T>(reply: &Value, expected: &'static str) -> Result<T, ConversionError> {
    Err(ConversionError {
        expected,
        found: reply.kind(),
    })
}

impl FromReply for Value {
    fn from_reply(reply: Value) -> Result<Self, ConversionError> {
        Ok(reply)
    }
}

/// Any reply will do.
impl FromReply for () {
    fn from_reply(_: Value) -> Result<Self, ConversionError> {
        Ok(())
    }
}

impl FromReply for Bytes {
    fn from_reply(reply: Value) -> Result<Self, ConversionError> {
        match reply {
            Value::Bulk(bytes) | Value::Verbatim { text: bytes, .. } => Ok(bytes),
            Value::Simple(text) | Value::BigNumber(text) => Ok(text.into()),
            Value::Int(number) => Ok(number.to_string().into()),
            // What RESP2 servers send as a string.
            Value::Double(number) => Ok(number.to_string().into()),
            other => mismatch(&other, "a string"),
        }
    }
}

impl FromReply for String {
    fn from_reply(reply: Value) -> Result<Self, ConversionError> {
        let bytes = Vec::from(Bytes::from_reply(reply)?);
        String::from_utf8(bytes).map_err(|_| ConversionError {
            expected: "UTF-8 text",
            found: "a string of other bytes",
        })
    }
}

impl<T: FromReply> FromReply for Option<T> {
    fn from_reply(reply: Value) -> Result<Self, ConversionError> {
        match reply {
            Value::Nil => Ok(None),
            other => T::from_reply(other).map(Some),
        }
    }
}
