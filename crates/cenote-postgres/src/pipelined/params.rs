//! The parameters of a statement, encoded by its caller, so that the request needs nothing of the caller's any
//! more. What cannot be encoded fails where the driver would have it fail.

use std::error::Error;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio_postgres::types::{Format, IsNull, ToSql, Type};

type BoxError = Box<dyn Error + Sync + Send>;

/// One parameter as it goes over the wire.
pub(super) struct Encoded {
    format: Format,
    value: Value,
}

enum Value {
    Null,
    Bytes(Bytes),
    /// Why it cannot be encoded; taken by the one who asks.
    Failed(Mutex<Option<BoxError>>),
}

/// Encodes each parameter for the type it is to have. One without a type is refused with the number of
/// parameters, before it is looked at.
pub(super) fn encode(params: &[&(dyn ToSql + Sync)], types: &[Type]) -> Vec<Encoded> {
    let types = types.iter().map(Some).chain(std::iter::repeat(None));
    let mut out = BytesMut::new();
    let params = params.iter().zip(types);
    let encoded =
        params.map(|(param, of)| Encoded::new(*param, of.unwrap_or(&Type::UNKNOWN), &mut out));
    encoded.collect()
}

/// As [`encode`], where each parameter comes with its type.
pub(super) fn encode_typed(params: &[(&(dyn ToSql + Sync), Type)]) -> Vec<(Encoded, Type)> {
    let mut out = BytesMut::new();
    let params = params.iter();
    let encoded = params.map(|(param, of)| (Encoded::new(*param, of, &mut out), of.clone()));
    encoded.collect()
}

impl Encoded {
    fn new(param: &(dyn ToSql + Sync), of: &Type, out: &mut BytesMut) -> Self {
        let value = match param.to_sql_checked(of, out) {
            Ok(IsNull::Yes) => Value::Null,
            Ok(IsNull::No) => Value::Bytes(out.split().freeze()),
            Err(error) => Value::Failed(Mutex::new(Some(error))),
        };
        // What one left behind that failed belongs to no other.
        out.clear();
        Self {
            format: param.encode_format(of),
            value,
        }
    }
}

impl ToSql for Encoded {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        match &self.value {
            Value::Null => Ok(IsNull::Yes),
            Value::Bytes(bytes) => {
                out.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
            Value::Failed(error) => {
                let error = error.lock().unwrap_or_else(PoisonError::into_inner).take();
                Err(error.unwrap_or_else(|| "it cannot be encoded".into()))
            }
        }
    }

    /// It was made for one type.
    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        self.to_sql(of, out)
    }

    fn encode_format(&self, _: &Type) -> Format {
        self.format
    }
}

/// For the driver's log.
impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Null => f.write_str("NULL"),
            Value::Bytes(bytes) => bytes.fmt(f),
            Value::Failed(_) => f.write_str("?"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(encoded: &Encoded) -> Result<Option<Vec<u8>>, String> {
        let mut out = BytesMut::new();
        match encoded.to_sql_checked(&Type::ANY, &mut out) {
            Ok(IsNull::Yes) => Ok(None),
            Ok(IsNull::No) => Ok(Some(out.to_vec())),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn each_parameter_is_what_its_type_makes_of_it() {
        let encoded = encode(
            &[&1_i16, &None::<i32>, &"two", &""],
            &[Type::INT2, Type::INT4, Type::TEXT, Type::TEXT],
        );
        let wire: Vec<_> = encoded.iter().map(wire).collect();
        let expected = [
            Ok(Some(vec![0, 1])),
            Ok(None),
            Ok(Some(b"two".to_vec())),
            Ok(Some(Vec::new())),
        ];
        assert_eq!(wire, expected);
    }

    #[test]
    fn one_that_cannot_be_encoded_fails_alone_and_says_why() {
        let encoded = encode(&[&"two", &3_i32], &[Type::INT4, Type::INT4]);
        assert!(wire(&encoded[0]).is_err_and(|why| why.contains("int4")));
        assert_eq!(wire(&encoded[1]), Ok(Some(vec![0, 0, 0, 3])));
    }
}
