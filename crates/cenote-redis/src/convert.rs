//! Conversions from replies to the Rust types that callers ask for.
//!
//! Only what loses nothing: an integer reads as `i64`, digits in a string read as a number, nil is
//! `None` and never an empty string.

use bytes::Bytes;

use crate::error::ConversionError;
use crate::value::Value;

/// A type that a reply can be read as; see [`RedisConnection::query`](crate::RedisConnection::query).
pub trait FromReply: Sized {
    /// Reads a reply.
    ///
    /// # Errors
    ///
    /// [`ConversionError`] when the reply is of another type.
    fn from_reply(reply: Value) -> Result<Self, ConversionError>;
}

fn mismatch<T>(reply: &Value, expected: &'static str) -> Result<T, ConversionError> {
    Err(ConversionError {
        expected,
        found: reply.kind(),
    })
}

/// The number in the digits of a string reply.
fn parse<T: std::str::FromStr>(
    reply: &Value,
    expected: &'static str,
) -> Result<T, ConversionError> {
    let text = match reply {
        Value::Bulk(bytes) | Value::Verbatim(bytes) => std::str::from_utf8(bytes).ok(),
        Value::Simple(text) | Value::BigNumber(text) => Some(text.as_str()),
        _ => None,
    };
    match text.and_then(|text| text.parse().ok()) {
        Some(number) => Ok(number),
        None => mismatch(reply, expected),
    }
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

impl FromReply for i64 {
    fn from_reply(reply: Value) -> Result<Self, ConversionError> {
        match reply {
            Value::Int(number) => Ok(number),
            Value::Bool(truth) => Ok(truth.into()),
            other => parse(&other, "an integer"),
        }
    }
}

impl FromReply for u64 {
    fn from_reply(reply: Value) -> Result<Self, ConversionError> {
        let expected = "an integer of zero or more";
        match reply {
            Value::Int(number) => {
                u64::try_from(number).or_else(|_| mismatch(&Value::Int(number), expected))
            }
            other => parse(&other, expected),
        }
    }
}

impl FromReply for f64 {
    fn from_reply(reply: Value) -> Result<Self, ConversionError> {
        match reply {
            Value::Double(number) => Ok(number),
            other => parse(&other, "a number"),
        }
    }
}

impl FromReply for bool {
    fn from_reply(reply: Value) -> Result<Self, ConversionError> {
        match reply {
            Value::Bool(truth) => Ok(truth),
            Value::Int(0) => Ok(false),
            Value::Int(1) => Ok(true),
            other => mismatch(&other, "a boolean"),
        }
    }
}

impl FromReply for Bytes {
    fn from_reply(reply: Value) -> Result<Self, ConversionError> {
        match reply {
            Value::Bulk(bytes) | Value::Verbatim(bytes) => Ok(bytes),
            Value::Simple(text) | Value::BigNumber(text) => Ok(text.into()),
            Value::Int(number) => Ok(number.to_string().into()),
            other => mismatch(&other, "a string"),
        }
    }
}

impl FromReply for Vec<u8> {
    fn from_reply(reply: Value) -> Result<Self, ConversionError> {
        Bytes::from_reply(reply).map(Into::into)
    }
}

impl FromReply for String {
    fn from_reply(reply: Value) -> Result<Self, ConversionError> {
        let bytes = Vec::from_reply(reply)?;
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

impl<T: FromReply> FromReply for Vec<T> {
    fn from_reply(reply: Value) -> Result<Self, ConversionError> {
        match reply {
            Value::Array(items) | Value::Set(items) | Value::Push(items) => {
                items.into_iter().map(T::from_reply).collect()
            }
            // Flattened, as RESP2 servers send pairs.
            Value::Map(pairs) => pairs
                .into_iter()
                .flat_map(|(key, value)| [key, value])
                .map(T::from_reply)
                .collect(),
            other => mismatch(&other, "an array"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &'static str) -> Value {
        Value::Bulk(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn digits_in_a_string_read_as_a_number() {
        assert_eq!(i64::from_reply(bulk("-7")), Ok(-7));
        assert_eq!(f64::from_reply(bulk("1.5")), Ok(1.5));
    }

    #[test]
    fn nil_is_none_and_never_an_empty_string() {
        assert_eq!(Option::<String>::from_reply(Value::Nil), Ok(None));
        let error = String::from_reply(Value::Nil).unwrap_err();
        assert_eq!(error.to_string(), "the reply is nil, which is not a string");
    }

    #[test]
    fn a_negative_integer_is_not_a_u64() {
        assert!(u64::from_reply(Value::Int(-1)).is_err());
    }

    #[test]
    fn bytes_that_are_not_text_are_no_string() {
        let error = String::from_reply(Value::Bulk(Bytes::from_static(b"\xff"))).unwrap_err();
        assert!(error.to_string().contains("UTF-8"), "{error}");
    }

    #[test]
    fn a_map_reads_as_the_flat_list_that_resp2_sends() {
        let map = Value::Map(vec![(bulk("a"), bulk("1"))]);
        let flat = Vec::<String>::from_reply(map);
        assert_eq!(flat, Ok(vec!["a".to_owned(), "1".to_owned()]));
    }
}
