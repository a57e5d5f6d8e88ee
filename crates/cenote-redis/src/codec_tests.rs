//! What the decoder makes of good, broken and hostile bytes.

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1 << 20;

fn decode(bytes: &[u8]) -> Result<Option<Value>, FrameError> {
    Decoder::new(LIMIT).decode(&mut BytesMut::from(bytes))
}

fn reply(bytes: &[u8]) -> Value {
    decode(bytes)
        .expect("the bytes are well formed")
        .expect("the reply is complete")
}

fn bulk(text: &str) -> Value {
    Value::Bulk(Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn reads_every_type_of_both_versions() {
    let cases: &[(&[u8], Value)] = &[
        (b"+OK\r\n", Value::Simple("OK".into())),
        (b":-42\r\n", Value::Int(-42)),
        (b"$3\r\na\r\n\r\n", bulk("a\r\n")),
        (b"$0\r\n\r\n", bulk("")),
        (b"$-1\r\n", Value::Nil),
        (b"*-1\r\n", Value::Nil),
        (b"_\r\n", Value::Nil),
        (b"#t\r\n", Value::Bool(true)),
        (b",1.5\r\n", Value::Double(1.5)),
        (b",-inf\r\n", Value::Double(f64::NEG_INFINITY)),
        (
            b"(12345678901234567890\r\n",
            Value::BigNumber("12345678901234567890".into()),
        ),
        (b"=6\r\ntxt:hi\r\n", verbatim(b"txt", "hi")),
        (b"=4\r\nmkd:\r\n", verbatim(b"mkd", "")),
        (b"=6\r\nnew:hi\r\n", verbatim(b"new", "hi")),
        (b"-ERR no\r\n", Value::Error(ServerError::new("ERR no"))),
        (
            b"!6\r\nERR no\r\n",
            Value::Error(ServerError::new("ERR no")),
        ),
        (b"*0\r\n", Value::Array(vec![])),
        (
            b"*2\r\n*1\r\n:1\r\n$-1\r\n",
            Value::Array(vec![Value::Array(vec![Value::Int(1)]), Value::Nil]),
        ),
        (b"~1\r\n:1\r\n", Value::Set(vec![Value::Int(1)])),
        (
            b">1\r\n+x\r\n",
            Value::Push(vec![Value::Simple("x".into())]),
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(&reply(bytes), expected, "{}", bytes.escape_ascii());
    }
}

fn verbatim(format: &[u8; 3], text: &'static str) -> Value {
    Value::Verbatim {
        format: *format,
        text: Bytes::from_static(text.as_bytes()),
    }
}

#[test]
fn a_map_keeps_its_order() {
    assert_eq!(
        reply(b"%2\r\n+z\r\n:1\r\n+a\r\n:2\r\n"),
        Value::Map(vec![
            (Value::Simple("z".into()), Value::Int(1)),
            (Value::Simple("a".into()), Value::Int(2)),
        ])
    );
}

#[test]
fn attributes_are_no_values() {
    assert_eq!(
        reply(b"|1\r\n+ttl\r\n:9\r\n*2\r\n:1\r\n|1\r\n+k\r\n+v\r\n:2\r\n"),
        Value::Array(vec![Value::Int(1), Value::Int(2)])
    );
}

#[test]
fn what_follows_a_reply_stays_in_the_input() {
    let mut input = BytesMut::from(&b":1\r\n:2"[..]);
    assert_eq!(
        Decoder::new(LIMIT).decode(&mut input),
        Ok(Some(Value::Int(1)))
    );
    assert_eq!(&input[..], b":2");
}

#[test]
fn broken_bytes_are_an_error_that_says_how() {
    let cases: &[(&[u8], &str)] = &[
        (
            b"HTTP/1.1 400 Bad Request\r\n",
            "no reply starts with \"HTTP/1.1 400 Bad\", as an HTTP server's answer does",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH server"),
        (b"220 mail.example ESMTP\r\n", "mail or FTP server"),
        (b"J\x00\x00\x00\x0a8.0.36\x00", "MySQL server"),
        (b"E\x00\x00\x00\x57SFATAL\x00", "PostgreSQL server"),
        (b"ERROR\r\n", "memcached server"),
        (b"\x00\r\n", "no reply starts with \"\\x00\\r\\n\""),
        (b"$abc\r\n", "\"abc\" is no length"),
        (b"$?\r\n", "\"?\" is no length"),
        (b"*-2\r\n", "\"-2\" is no length"),
        (b"$+1\r\nx\r\n", "\"+1\" is no length"),
        (b"$1\r\nxyz\r\n", "a string is longer than announced"),
        (b"*1\r\n>1\r\n+x\r\n", "a push message inside a reply"),
        (b":12x\r\n", "malformed"),
        (b"#x\r\n", "malformed"),
        (b"_x\r\n", "a value of no known type"),
        (b"=2\r\nab\r\n", "malformed"),
    ];
    for (bytes, expected) in cases {
        let error = decode(bytes).expect_err("the bytes are broken").to_string();
        assert!(
            error.contains(expected),
            "{}: {error}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn a_line_without_an_end_is_given_up() {
    let line = vec![b'+'; MAX_LINE];
    assert!(decode(&line).is_err());
    assert_eq!(decode(&line[..MAX_LINE - 1]), Ok(None));
}

#[test]
fn an_over_long_reply_is_refused_when_announced() {
    let too_large = Err(FrameError::TooLarge { limit: LIMIT });
    assert_eq!(decode(b"$1048577\r\n"), too_large);
    assert_eq!(decode(b"$18446744073709551615\r\n"), too_large);
    assert_eq!(decode(b"*18446744073709551615\r\n"), too_large);
    assert_eq!(decode(b"%9223372036854775808\r\n"), too_large);
}

#[test]
fn many_small_values_count_towards_the_limit() {
    let piece = b"*1000\r\n"
        .iter()
        .chain(b"_\r\n".repeat(1000).iter())
        .copied()
        .collect::<Vec<_>>();
    let mut bytes = b"*1000\r\n".to_vec();
    for _ in 0..1000 {
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(decode(&bytes), Err(FrameError::TooLarge { limit: LIMIT }));
}

/// What a value holds: places that are reserved, and strings as an allocator rounds them.
fn held(value: &Value) -> usize {
    fn allocated(bytes: usize) -> usize {
        (bytes + 8).next_multiple_of(16).max(32)
    }
    match value {
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            items.capacity() * size_of::<Value>() + items.iter().map(held).sum::<usize>()
        }
        Value::Map(pairs) => {
            let strings = pairs.iter().map(|(key, value)| held(key) + held(value));
            pairs.capacity() * size_of::<(Value, Value)>() + strings.sum::<usize>()
        }
        Value::Bulk(bytes) | Value::Verbatim { text: bytes, .. } => allocated(bytes.len()),
        Value::Simple(text) | Value::BigNumber(text) => allocated(text.capacity()),
        Value::Error(error) => allocated(error.message().len()),
        _ => 0,
    }
}

/// A map of 64 MiB took 156.
#[test]
fn a_reply_holds_no_more_than_it_is_charged() {
    let items: [&[u8]; 9] = [
        b"$1\r\nx\r\n",
        b"$0\r\n\r\n",
        b":1\r\n",
        b"_\r\n",
        b"+\xff\xff\xff\xff\r\n",
        b"!6\r\n\xff\xff\xff\xff\xff\xff\r\n",
        b"=5\r\ntxt:a\r\n",
        b"*0\r\n",
        b"%1\r\n$1\r\nk\r\n$1\r\nv\r\n",
    ];
    // Just beyond a doubling is where most is reserved.
    for count in [1, 2, 65, 129, 1025, 5000] {
        for item in items {
            for kind in ['*', '~', '%'] {
                let values = if kind == '%' { 2 * count } else { count };
                let header = format!("{kind}{count}\r\n").into_bytes();
                let mut input = BytesMut::from(&[header, item.repeat(values)].concat()[..]);
                // Without the end, so that the charge is still there.
                let last = input.split_off(input.len() - 1);
                let mut decoder = Decoder::new(1 << 30);
                assert_eq!(decoder.decode(&mut input), Ok(None));
                let charged = decoder.size;
                input.unsplit(last);
                let reply = decoder.decode(&mut input).unwrap().unwrap();
                // The last value may not be charged yet.
                let held = held(&reply);
                assert!(
                    held <= charged + 128,
                    "{kind}{count} of {}: {held} held, {charged} charged",
                    item.escape_ascii()
                );
            }
        }
    }
}

#[test]
fn the_limit_is_per_reply() {
    let mut decoder = Decoder::new(1000);
    let one = [b"$500\r\n", &[b'x'; 500][..], b"\r\n"].concat();
    let mut input = BytesMut::from(&one.repeat(10)[..]);
    for _ in 0..10 {
        assert!(matches!(
            decoder.decode(&mut input),
            Ok(Some(Value::Bulk(_)))
        ));
    }
}

/// hiredis #1338: nesting without a limit overflows the stack.
#[test]
fn nesting_without_end_is_refused() {
    let nested = b"*1\r\n".repeat(100_000);
    assert_eq!(
        decode(&nested),
        Err(FrameError::TooDeep { limit: MAX_DEPTH })
    );
    let mut deepest = b"*1\r\n".repeat(MAX_DEPTH);
    deepest.extend_from_slice(b":1\r\n");
    assert!(matches!(decode(&deepest), Ok(Some(Value::Array(_)))));
}

/// Feeds `bytes` in pieces and returns all replies up to the first error.
fn decode_pieces(bytes: &[u8], piece: usize) -> (Vec<Value>, Option<FrameError>) {
    let mut decoder = Decoder::new(LIMIT);
    let mut input = BytesMut::new();
    let mut replies = Vec::new();
    for chunk in bytes.chunks(piece) {
        input.extend_from_slice(chunk);
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(value)) => replies.push(value),
                Ok(None) => break,
                Err(error) => return (replies, Some(error)),
            }
        }
    }
    (replies, None)
}

/// Bytes that look enough like RESP to get far into the decoder.
fn resp_like() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop_oneof![
        4 => proptest::sample::select(vec![
            &b"*1\r\n"[..], b"*2\r\n", b"%1\r\n", b"~2\r\n", b">1\r\n", b"|1\r\n", b"$3\r\nabc\r\n",
            b"$-1\r\n", b"*-1\r\n", b"_\r\n", b":7\r\n", b",0.5\r\n", b"+OK\r\n", b"-ERR\r\n", b"#t\r\n",
            b"=5\r\ntxt:a\r\n", b"!3\r\nbad\r\n", b"(99\r\n", b"*0\r\n", b"%0\r\n", b"|0\r\n",
        ]).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(fragment, 0..24).prop_map(|fragments| fragments.concat())
}

proptest! {
    #[test]
    fn any_bytes_decode_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = decode_pieces(&bytes, 256);
    }

    #[test]
    fn how_bytes_are_cut_into_pieces_does_not_matter(bytes in resp_like(), piece in 1usize..9) {
        let (whole, whole_error) = decode_pieces(&bytes, bytes.len().max(1));
        let (pieces, pieces_error) = decode_pieces(&bytes, piece);
        prop_assert_eq!(whole, pieces);
        prop_assert_eq!(whole_error.is_some(), pieces_error.is_some());
    }
}
