//! Lists, tuples, maps and sets.
//!
//! Promises: what RESP3 sends as a map or as an array of pairs reads as what RESP2 sends as one flat array.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, Hash};

use super::{FromReply, mismatch};
use crate::error::ConversionError;
use crate::value::Value;

/// The items of a list, with a map flattened as RESP2 servers send pairs.
pub(super) fn items(reply: Value) -> Result<Vec<Value>, ConversionError> {
    match reply {
        Value::Array(items) | Value::Set(items) | Value::Push(items) => Ok(items),
        Value::Map(pairs) => Ok(pairs
            .into_iter()
            .flat_map(|(key, value)| [key, value])
            .collect()),
        other => mismatch(&other, "an array"),
    }
}

/// A list whose items are lists of `size`: as it came, or out of a flat list.
fn groups(reply: Value, size: usize) -> Result<Vec<Value>, ConversionError> {
    let grouped = match &reply {
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            items.iter().all(|item| length(item) == Some(size))
        }
        _ => false,
    };
    let mut rest = items(reply)?;
    if grouped {
        return Ok(rest);
    }
    if !rest.len().is_multiple_of(size) {
        return Err(ConversionError {
            expected: "a list of tuples",
            found: "an array of another length",
        });
    }
    let mut groups = Vec::with_capacity(rest.len() / size);
    let mut rest = rest.drain(..);
    while rest.len() > 0 {
        groups.push(Value::Array(rest.by_ref().take(size).collect()));
    }
    Ok(groups)
}

fn length(value: &Value) -> Option<usize> {
    match value {
        Value::Array(items) | Value::Set(items) | Value::Push(items) => Some(items.len()),
        Value::Map(pairs) => Some(2 * pairs.len()),
        _ => None,
    }
}

/// Bytes for a `Vec<u8>`, see the list of `u8`.
impl<T: FromReply> FromReply for Vec<T> {
    fn from_reply(reply: Value) -> Result<Self, ConversionError> {
        T::list_from_reply(reply)
    }
}

macro_rules! tuple {
    ($size:literal: $($item:ident)*) => {
        impl<$($item: FromReply),*> FromReply for ($($item,)*) {
            fn from_reply(reply: Value) -> Result<Self, ConversionError> {
                let items: Result<[Value; $size], _> = items(reply)?.try_into();
                let items = items.map_err(|_| ConversionError {
                    expected: concat!("a tuple of ", $size),
                    found: "an array of another length",
                })?;
                let mut items = items.into_iter();
                let mut next = || items.next().expect("there are as many as types");
                Ok(($($item::from_reply(next())?,)*))
            }

            fn list_from_reply(reply: Value) -> Result<Vec<Self>, ConversionError> {
                groups(reply, $size)?.into_iter().map(Self::from_reply).collect()
            }
        }
    };
}

tuple!(1: A);
tuple!(2: A B);
tuple!(3: A B C);
tuple!(4: A B C D);
tuple!(5: A B C D E);
tuple!(6: A B C D E F);
tuple!(7: A B C D E F G);
tuple!(8: A B C D E F G H);
tuple!(9: A B C D E F G H I);
tuple!(10: A B C D E F G H I J);
tuple!(11: A B C D E F G H I J K);
tuple!(12: A B C D E F G H I J K L);

/// Of equal keys the last counts.
impl<K, V, S> FromReply for HashMap<K, V, S>
where
    K: FromReply + Eq + Hash,
    V: FromReply,
    S: BuildHasher + Default,
{
    fn from_reply(reply: Value) -> Result<Self, ConversionError> {
        let pairs = <(K, V)>::list_from_reply(reply)?;
        Ok(pairs.into_iter().collect())
    }
}

/// Of equal keys the last counts.
impl<K: FromReply + Ord, V: FromReply> FromReply for BTreeMap<K, V> {
    fn from_reply(reply: Value) -> Result<Self, ConversionError> {
        let pairs = <(K, V)>::list_from_reply(reply)?;
        Ok(pairs.into_iter().collect())
    }
}

impl<T, S> FromReply for HashSet<T, S>
where
    T: FromReply + Eq + Hash,
    S: BuildHasher + Default,
{
    fn from_reply(reply: Value) -> Result<Self, ConversionError> {
        Ok(T::list_from_reply(reply)?.into_iter().collect())
    }
}

impl<T: FromReply + Ord> FromReply for BTreeSet<T> {
    fn from_reply(reply: Value) -> Result<Self, ConversionError> {
        Ok(T::list_from_reply(reply)?.into_iter().collect())
    }
}
