//! Each type out of each form of reply, and what must not be read.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::*;

fn bulk(text: &'static str) -> Value {
    Value::Bulk(Bytes::from_static(text.as_bytes()))
}

fn array(items: impl IntoIterator<Item = Value>) -> Value {
    Value::Array(items.into_iter().collect())
}

fn read<T: FromReply>(reply: Value) -> Result<T, String> {
    T::from_reply(reply).map_err(|error| error.to_string())
}

#[test]
fn digits_in_a_string_read_as_a_number() {
    assert_eq!(read(bulk("-7")), Ok(-7_i64));
    assert_eq!(read(bulk("1.5")), Ok(1.5));
}

#[test]
fn nil_is_none_and_never_an_empty_string() {
    assert_eq!(read(Value::Nil), Ok(None::<String>));
    let error = read::<String>(Value::Nil).unwrap_err();
    assert_eq!(error, "the reply is nil, which is not a string");
}

/// An integer that was cut to size would be another integer.
#[test]
fn an_integer_that_does_not_fit_is_an_error_for_every_type() {
    macro_rules! limits {
        ($($type:ident)*) => {$(
            for number in [$type::MIN, $type::MAX] {
                let digits = number.to_string();
                assert_eq!(read(Value::Bulk(digits.clone().into())), Ok(number));
                assert_eq!(read(Value::BigNumber(digits)), Ok(number));
            }
            for number in [i64::MIN, -1, 128, 256, 65_536, 1 << 31, 1 << 32, i64::MAX] {
                let expected = $type::try_from(number).ok();
                assert_eq!(read(Value::Int(number)).ok(), expected, "{number}");
                assert_eq!(read(Value::Bulk(number.to_string().into())).ok(), expected);
            }
        )*};
    }
    limits!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);
    let error = read::<u8>(Value::Int(256)).unwrap_err();
    assert_eq!(
        error,
        "the reply is an integer, which is not an integer in the range of u8"
    );
}

#[test]
fn a_float_is_read_when_it_stands_for_the_number_sent() {
    assert_eq!(read(Value::Double(0.1)), Ok(0.1_f32));
    assert_eq!(read(Value::Int(1 << 53)), Ok(9_007_199_254_740_992.0_f64));
    assert!(read::<f64>(Value::Int((1 << 53) + 1)).is_err());
    assert!(read::<f32>(Value::Double(1e300)).is_err());
    assert_eq!(read(Value::Double(f64::INFINITY)), Ok(f32::INFINITY));
}

#[test]
fn bytes_that_are_not_text_are_no_string() {
    let reply = || Value::Bulk(Bytes::from_static(b"\xff"));
    let error = read::<String>(reply()).unwrap_err();
    assert!(error.contains("UTF-8"), "{error}");
    assert_eq!(read(reply()), Ok(vec![0xff_u8]));
}

#[test]
fn a_double_reads_as_the_text_that_resp2_sends() {
    assert_eq!(read(Value::Double(1.5)), Ok("1.5".to_owned()));
}

/// The three forms in which servers send pairs: a map, an array of pairs, a flat array.
#[test]
fn pairs_are_read_in_every_form_that_servers_send_them() {
    let forms = || {
        [
            Value::Map(vec![(bulk("a"), bulk("1")), (bulk("b"), bulk("2"))]),
            array([array([bulk("a"), bulk("1")]), array([bulk("b"), bulk("2")])]),
            array([bulk("a"), bulk("1"), bulk("b"), bulk("2")]),
        ]
    };
    let pairs = [("a".to_owned(), 1), ("b".to_owned(), 2)];
    for form in forms() {
        assert_eq!(read(form), Ok(Vec::from(pairs.clone())));
    }
    for form in forms() {
        assert_eq!(read(form), Ok(HashMap::from(pairs.clone())));
    }
    for form in forms() {
        assert_eq!(read(form), Ok(BTreeMap::from(pairs.clone())));
    }
}

#[test]
fn a_map_reads_as_the_flat_list_that_resp2_sends() {
    let map = Value::Map(vec![(bulk("a"), bulk("1"))]);
    assert_eq!(read(map), Ok(vec!["a".to_owned(), "1".to_owned()]));
}

#[test]
fn a_list_of_odd_length_is_no_list_of_pairs() {
    let error = read::<HashMap<String, String>>(array([bulk("a")])).unwrap_err();
    assert_eq!(
        error,
        "the reply is an array of another length, which is not a list of tuples"
    );
}

/// The reply to XRANGE, whose entries hold flat lists.
#[test]
fn collections_nest() {
    let entry = array([bulk("1-0"), array([bulk("field"), bulk("7")])]);
    let entries: Vec<(String, HashMap<String, u8>)> = read(array([entry])).unwrap();
    assert_eq!(
        entries,
        [("1-0".to_owned(), HashMap::from([("field".to_owned(), 7)]))]
    );
}

/// The reply to GEOPOS.
#[test]
fn a_missing_tuple_is_none() {
    let reply = array([Value::Nil, array([Value::Double(1.0), bulk("2")])]);
    assert_eq!(read(reply), Ok(vec![None, Some((1.0, 2.0))]));
}

#[test]
fn a_tuple_has_the_length_of_its_array() {
    let reply = || array([Value::Int(1), bulk("two"), Value::Nil]);
    assert_eq!(read(reply()), Ok((1_u8, "two".to_owned(), None::<i64>)));
    let error = read::<(u8, String)>(reply()).unwrap_err();
    assert_eq!(
        error,
        "the reply is an array of another length, which is not a tuple of 2"
    );
}

#[test]
fn a_set_is_read_from_either_version() {
    for reply in [Value::Set, Value::Array] {
        let members = reply(vec![bulk("b"), bulk("a")]);
        let expected = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        assert_eq!(read(members), Ok(expected));
    }
}

#[test]
fn an_empty_array_is_an_empty_collection() {
    assert_eq!(read(array([])), Ok(Vec::<(String, i64)>::new()));
    assert_eq!(read(array([])), Ok(HashMap::<String, i64>::new()));
}
