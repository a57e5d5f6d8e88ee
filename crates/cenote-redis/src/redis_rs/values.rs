//! Our values as redis-rs's and back.
//!
//! Promises: nothing is lost but the attributes of a redis-rs value, which ours have not, and bytes of a verbatim
//! string that are not UTF-8, which redis-rs has no place for.

use redis::{PushKind, VerbatimFormat};

use crate::error::ServerError;
use crate::value::Value;

impl From<Value> for redis::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Nil => Self::Nil,
            Value::Int(number) => Self::Int(number),
            Value::Double(number) => Self::Double(number),
            Value::Bool(truth) => Self::Boolean(truth),
            Value::Simple(text) if text == "OK" => Self::Okay,
            Value::Simple(text) => Self::SimpleString(text),
            Value::Bulk(bytes) => Self::BulkString(bytes.into()),
            Value::Verbatim { format, text } => Self::VerbatimString {
                format: match &format {
                    b"txt" => VerbatimFormat::Text,
                    b"mkd" => VerbatimFormat::Markdown,
                    other => VerbatimFormat::Unknown(String::from_utf8_lossy(other).into_owned()),
                },
                text: String::from_utf8_lossy(&text).into_owned(),
            },
            Value::BigNumber(digits) => of_big_number(digits),
            Value::Array(items) => Self::Array(all(items)),
            Value::Set(items) => Self::Set(all(items)),
            Value::Map(pairs) => Self::Map(
                pairs
                    .into_iter()
                    .map(|(key, value)| (key.into(), value.into()))
                    .collect(),
            ),
            Value::Push(items) => of_push(items),
            Value::Error(error) => of_error(error.message()),
        }
    }
}

/// Attributes are left out.
impl From<redis::Value> for Value {
    fn from(value: redis::Value) -> Self {
        match value {
            redis::Value::Nil => Self::Nil,
            redis::Value::Int(number) => Self::Int(number),
            redis::Value::Double(number) => Self::Double(number),
            redis::Value::Boolean(truth) => Self::Bool(truth),
            redis::Value::Okay => Self::Simple("OK".to_owned()),
            redis::Value::SimpleString(text) => Self::Simple(text),
            redis::Value::BulkString(bytes) => Self::Bulk(bytes.into()),
            redis::Value::VerbatimString { format, text } => Self::Verbatim {
                // No protocol has a format of another length.
                format: format
                    .to_string()
                    .into_bytes()
                    .try_into()
                    .unwrap_or(*b"txt"),
                text: text.into(),
            },
            redis::Value::BigNumber(number) => {
                let number = &number;
                Self::BigNumber(number.digits())
            }
            redis::Value::Array(items) => Self::Array(all(items)),
            redis::Value::Set(items) => Self::Set(all(items)),
            redis::Value::Map(pairs) => Self::Map(
                pairs
                    .into_iter()
                    .map(|(key, value)| (key.into(), value.into()))
                    .collect(),
            ),
            redis::Value::Push { kind, data } => {
                let kind = Self::Bulk(kind.to_string().into());
                Self::Push([kind].into_iter().chain(all(data)).collect())
            }
            redis::Value::Attribute { data, .. } => (*data).into(),
            redis::Value::ServerError(error) => {
                let text = match error.details() {
                    Some(details) => format!("{} {details}", error.code()),
                    None => error.code().to_owned(),
                };
                Self::Error(ServerError::new(text))
            }
            // What a later redis-rs adds.
            other => Self::Simple(format!("{other:?}")),
        }
    }
}

fn all<A, B: From<A>>(values: Vec<A>) -> Vec<B> {
    values.into_iter().map(B::from).collect()
}

/// The reply to one command of a pipeline.
pub(super) fn of_reply(reply: Result<Value, ServerError>) -> redis::Value {
    match reply {
        Ok(value) => value.into(),
        Err(error) => of_error(&error.to_string()),
    }
}

/// redis-rs gives a number another type with its feature `num-bigint`, and its errors no constructor: both are made
/// by its own parser, out of what a server sends.
pub(super) fn of_error(text: &str) -> redis::Value {
    let sent = format!("!{}\r\n{text}\r\n", text.len());
    redis::parse_redis_value(sent.as_bytes())
        .unwrap_or_else(|_| redis::Value::SimpleString(text.to_owned()))
}

fn of_big_number(digits: String) -> redis::Value {
    let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(&digits);
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return redis::Value::SimpleString(digits);
    }
    let sent = format!("({digits}\r\n");
    redis::parse_redis_value(sent.as_bytes()).unwrap_or(redis::Value::SimpleString(digits))
}

fn of_push(mut items: Vec<Value>) -> redis::Value {
    let kind = match items.first() {
        Some(Value::Bulk(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Some(Value::Simple(text)) => text.clone(),
        _ => {
            return redis::Value::Push {
                kind: PushKind::Other(String::new()),
                data: all(items),
            };
        }
    };
    redis::Value::Push {
        data: all(items.split_off(1)),
        kind: match kind.as_str() {
            "invalidate" => PushKind::Invalidate,
            "message" => PushKind::Message,
            "pmessage" => PushKind::PMessage,
            "smessage" => PushKind::SMessage,
            "subscribe" => PushKind::Subscribe,
            "psubscribe" => PushKind::PSubscribe,
            "ssubscribe" => PushKind::SSubscribe,
            "unsubscribe" => PushKind::Unsubscribe,
            "punsubscribe" => PushKind::PUnsubscribe,
            "sunsubscribe" => PushKind::SUnsubscribe,
            _ => PushKind::Other(kind),
        },
    }
}

/// The digits of redis-rs's big number, which is bytes, or with its feature `num-bigint` a number that can be
/// displayed. The compiler takes the implementation that fits, this one first.
#[allow(dead_code, reason = "dead with `num-bigint`")]
trait DigitsOfBytes {
    fn digits(&self) -> String;
}

impl DigitsOfBytes for Vec<u8> {
    fn digits(&self) -> String {
        String::from_utf8_lossy(self).into_owned()
    }
}

#[allow(dead_code, reason = "dead without `num-bigint`")]
trait DigitsOfNumber {
    fn digits(&self) -> String;
}

impl<T: ToString> DigitsOfNumber for &T {
    fn digits(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::codec::Decoder;

    /// Everything a server can send that redis-rs has a place for.
    fn values() -> impl Strategy<Value = Value> {
        let format = prop_oneof![Just(*b"txt"), Just(*b"mkd"), Just(*b"new")];
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<i64>().prop_map(Value::Int),
            any::<bool>().prop_map(Value::Bool),
            prop_oneof![
                prop::num::f64::NORMAL,
                Just(0.0),
                Just(f64::INFINITY),
                Just(f64::NEG_INFINITY)
            ]
            .prop_map(Value::Double),
            prop_oneof!["OK", "QUEUED", "[ -~]{0,20}"].prop_map(Value::Simple),
            vec(any::<u8>(), 0..40).prop_map(|bytes| Value::Bulk(bytes.into())),
            (format, "\\PC{0,20}").prop_map(|(format, text)| Value::Verbatim {
                format,
                text: text.into()
            }),
            "-?[1-9][0-9]{0,60}".prop_map(Value::BigNumber),
            prop_oneof![
                "(ERR|WRONGTYPE|MOVED|NOSCRIPT) \\PC{0,20}",
                "[A-Z]{1,10}",
                "\\PC{0,20}"
            ]
            .prop_map(|text| Value::Error(ServerError::new(text))),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..5).prop_map(Value::Array),
                vec(inner.clone(), 0..5).prop_map(Value::Set),
                vec((inner.clone(), inner), 0..5).prop_map(Value::Map),
            ]
        })
    }

    fn push() -> impl Strategy<Value = Value> {
        let kind = prop_oneof!["invalidate", "p?message", "s?(un)?subscribe", "[a-z]{1,10}"];
        (kind, vec(values(), 0..4)).prop_map(|(kind, data)| {
            let kind = Value::Bulk(kind.into());
            Value::Push([kind].into_iter().chain(data).collect())
        })
    }

    /// The value as RESP3.
    fn sent(value: &Value, out: &mut Vec<u8>) {
        let mut blob = |kind: char, bytes: &[u8]| {
            out.extend_from_slice(format!("{kind}{}\r\n", bytes.len()).as_bytes());
            out.extend_from_slice(bytes);
            out.extend_from_slice(b"\r\n");
        };
        let line = match value {
            Value::Nil => "_".to_owned(),
            Value::Int(number) => format!(":{number}"),
            Value::Bool(true) => "#t".to_owned(),
            Value::Bool(false) => "#f".to_owned(),
            Value::Double(number) => format!(",{number}"),
            Value::Simple(text) => format!("+{text}"),
            Value::BigNumber(digits) => format!("({digits}"),
            Value::Bulk(bytes) => return blob('$', bytes),
            Value::Verbatim { format, text } => {
                return blob('=', &[&format[..], b":", text].concat());
            }
            Value::Error(error) => return blob('!', error.message().as_bytes()),
            Value::Array(items) => return several(format!("*{}", items.len()), items, out),
            Value::Set(items) => return several(format!("~{}", items.len()), items, out),
            Value::Push(items) => return several(format!(">{}", items.len()), items, out),
            Value::Map(pairs) => {
                let items = pairs.iter().flat_map(|(key, value)| [key, value]);
                return several(format!("%{}", pairs.len()), items, out);
            }
        };
        out.extend_from_slice(format!("{line}\r\n").as_bytes());
    }

    fn several<'a>(header: String, items: impl IntoIterator<Item = &'a Value>, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{header}\r\n").as_bytes());
        items.into_iter().for_each(|item| sent(item, out));
    }

    proptest! {
        /// Decoded here and handed over, a reply is what redis-rs itself would have read; and it comes back as it was.
        #[test]
        fn a_reply_is_what_redis_rs_reads_and_comes_back_unchanged(
            value in prop_oneof![9 => values(), 1 => push()],
        ) {
            let mut bytes = Vec::new();
            sent(&value, &mut bytes);
            let decoded = Decoder::new(1 << 20).decode(&mut BytesMut::from(&bytes[..]));
            let whole = Some(value.clone());
            prop_assert_eq!(decoded.as_ref(), Ok(&whole));
            let ours = redis::Value::from(value.clone());
            prop_assert_eq!(&ours, &redis::parse_redis_value(&bytes).unwrap());
            prop_assert_eq!(Value::from(ours), value);
        }
    }

    #[test]
    fn what_redis_rs_has_no_place_for_is_still_readable() {
        let text = Bytes::from_static(b"a\xff");
        let format = *b"txt";
        let verbatim = redis::Value::from(Value::Verbatim { format, text });
        let text: String = redis::from_redis_value(verbatim).unwrap();
        assert_eq!(text, "a\u{fffd}");
        // No server sends these, but a user can make them.
        let number = redis::Value::from(Value::BigNumber("1\r\n+OK".to_owned()));
        assert_eq!(number, redis::Value::SimpleString("1\r\n+OK".to_owned()));
        let push = redis::Value::from(Value::Push(vec![Value::Int(1)]));
        let kind = PushKind::Other(String::new());
        let data = vec![redis::Value::Int(1)];
        assert_eq!(push, redis::Value::Push { kind, data });
    }
}
