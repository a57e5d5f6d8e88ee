//! What client and worker say to each other: a frame is a length, a tag and a text of fields separated by
//! tabs, which values do not have.

use std::io;

use bytes::{Buf, BufMut, BytesMut};
use cenote::mux::Frame;
use tokio_util::codec::{Decoder, Encoder};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The rows of a view under a key.
    Lookup { view: String, key: u64 },
    /// A row into a shard of a table.
    Insert {
        table: String,
        key: u64,
        value: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Rows(Vec<String>),
    Written,
    /// The worker does not have what was asked for.
    Unknown(String),
}

/// The client's end; [`WorkerCodec`] is the worker's.
#[derive(Clone)]
pub struct ClientCodec;

pub struct WorkerCodec;

fn put(tag: Option<u32>, fields: &[&str], out: &mut BytesMut) -> io::Result<()> {
    let tag = tag.ok_or_else(|| malformed("every message here has a tag"))?;
    let body = fields.join("\t");
    out.put_u32(body.len() as u32);
    out.put_u32(tag);
    out.put_slice(body.as_bytes());
    Ok(())
}

fn take(input: &mut BytesMut) -> io::Result<Option<(u32, Vec<String>)>> {
    let Some((mut head, _)) = input.split_at_checked(8) else {
        return Ok(None);
    };
    let (length, tag) = (head.get_u32() as usize, head.get_u32());
    if length > 1 << 20 {
        return Err(malformed("a message of more than 1 MiB"));
    }
    if input.len() < 8 + length {
        return Ok(None);
    }
    input.advance(8);
    let body = input.split_to(length);
    let body = std::str::from_utf8(&body).map_err(|_| malformed("not UTF-8"))?;
    Ok(Some((tag, body.split('\t').map(str::to_owned).collect())))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn number(text: &str) -> io::Result<u64> {
    text.parse().map_err(|_| malformed("a key is a number"))
}

impl Encoder<Frame<Request>> for ClientCodec {
    type Error = io::Error;

    fn encode(&mut self, frame: Frame<Request>, out: &mut BytesMut) -> io::Result<()> {
        match &frame.message {
            Request::Lookup { view, key } => put(frame.tag, &["?", view, &key.to_string()], out),
            Request::Insert { table, key, value } => {
                put(frame.tag, &["+", table, &key.to_string(), value], out)
            }
        }
    }
}

impl Decoder for ClientCodec {
    type Item = Frame<Reply>;
    type Error = io::Error;

    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<Frame<Reply>>> {
        let Some((tag, mut fields)) = take(input)? else {
            return Ok(None);
        };
        let message = match fields.remove(0).as_str() {
            "=" => Reply::Rows(fields),
            "ok" => Reply::Written,
            "!" => Reply::Unknown(fields.concat()),
            _ => return Err(malformed("a reply of no known kind")),
        };
        Ok(Some(Frame {
            tag: Some(tag),
            message,
        }))
    }
}

impl Encoder<Frame<Reply>> for WorkerCodec {
    type Error = io::Error;

    fn encode(&mut self, frame: Frame<Reply>, out: &mut BytesMut) -> io::Result<()> {
        match &frame.message {
            Reply::Rows(rows) => {
                let fields: Vec<&str> = std::iter::once("=")
                    .chain(rows.iter().map(String::as_str))
                    .collect();
                put(frame.tag, &fields, out)
            }
            Reply::Written => put(frame.tag, &["ok"], out),
            Reply::Unknown(what) => put(frame.tag, &["!", what], out),
        }
    }
}

impl Decoder for WorkerCodec {
    type Item = Frame<Request>;
    type Error = io::Error;

    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<Frame<Request>>> {
        let Some((tag, fields)) = take(input)? else {
            return Ok(None);
        };
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let message = match fields[..] {
            ["?", view, key] => Request::Lookup {
                view: view.to_owned(),
                key: number(key)?,
            },
            ["+", table, key, value] => Request::Insert {
                table: table.to_owned(),
                key: number(key)?,
                value: value.to_owned(),
            },
            _ => return Err(malformed("a request of no known kind")),
        };
        Ok(Some(Frame {
            tag: Some(tag),
            message,
        }))
    }
}
