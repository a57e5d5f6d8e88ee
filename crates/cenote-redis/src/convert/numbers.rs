//! Numbers and truth values, out of replies or out of the digits of a string.
//!
//! Promises: a number that does not fit is an error, never another number.

use std::str::FromStr;

use bytes::Bytes;

use super::{FromReply, mismatch};
use crate::error::ConversionError;
use crate::value::Value;

/// No double stands for every integer beyond this.
const LARGEST_EXACT: u64 = 1 << f64::MANTISSA_DIGITS;

/// The number in the digits of a string reply.
fn parse<T: FromStr>(reply: &Value, expected: &'static str) -> Result<T, ConversionError> {
    let text = match reply {
        Value::Bulk(bytes) | Value::Verbatim { text: bytes, .. } => std::str::from_utf8(bytes).ok(),
        Value::Simple(text) | Value::BigNumber(text) => Some(text.as_str()),
        _ => None,
    };
    match text.and_then(|text| text.parse().ok()) {
        Some(number) => Ok(number),
        None => mismatch(reply, expected),
    }
}

macro_rules! integers {
    ($($type:ident $({ $($more:tt)* })?),*) => {$(
        impl FromReply for $type {
            fn from_reply(reply: Value) -> Result<Self, ConversionError> {
                let expected = concat!("an integer in the range of ", stringify!($type));
                match reply {
                    Value::Int(number) => {
                        $type::try_from(number).or_else(|_| mismatch(&reply, expected))
                    }
                    Value::Bool(truth) => Ok(truth.into()),
                    other => parse(&other, expected),
                }
            }

            $($($more)*)?
        }
    )*};
}

integers!(
    i8, i16, i32, i64, i128, isize, u16, u32, u64, u128, usize,
    u8 {
        /// The bytes of a string; of an array, its items.
        fn list_from_reply(reply: Value) -> Result<Vec<Self>, ConversionError> {
            match reply {
                Value::Array(items) | Value::Set(items) | Value::Push(items) => {
                    items.into_iter().map(Self::from_reply).collect()
                }
                other => Bytes::from_reply(other).map(Into::into),
            }
        }
    }
);

impl FromReply for f64 {
    fn from_reply(reply: Value) -> Result<Self, ConversionError> {
        match reply {
            Value::Double(number) => Ok(number),
            Value::Int(number) if number.unsigned_abs() <= LARGEST_EXACT => Ok(number as f64),
            other => parse(&other, "a number that an f64 can hold"),
        }
    }
}

/// The nearest `f32`; a finite number beyond its range is an error.
impl FromReply for f32 {
    fn from_reply(reply: Value) -> Result<Self, ConversionError> {
        let found = reply.kind();
        let number = f64::from_reply(reply)?;
        let nearest = number as f32;
        if nearest.is_infinite() && number.is_finite() {
            return Err(ConversionError {
                expected: "a number in the range of f32",
                found,
            });
        }
        Ok(nearest)
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
