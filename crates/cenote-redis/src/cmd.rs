//! A command and its arguments, kept as they are sent, to be written any number of times.

use std::fmt;
use std::io::Write;
use std::iter;

use bytes::BufMut;

/// A header is a letter, the digits of a length and a line end; no length has more than 20 digits.
const LONGEST_HEADER: usize = 1 + 20 + 2;
/// Most commands need no more: adding arguments then allocates nothing.
const INITIAL_CAPACITY: usize = 128;

/// A Redis command: a name and arguments, each a string of bytes.
///
/// ```
/// use cenote_redis::Cmd;
///
/// let cmd = Cmd::new("SET").arg("greeting").arg("hello").arg("EX").arg(60);
/// # let _ = cmd;
/// ```
///
/// Arguments are sent with their lengths: nothing in them needs quoting, and nothing in them can
/// become another command. `Debug` prints the name and the number of arguments only, since
/// arguments may be secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Cmd {
    /// Room for the header of the array, zeros until `into_encoded`; then the name and the arguments, each a
    /// bulk string.
    bytes: Vec<u8>,
    /// How many parts that is; at least the name.
    count: usize,
}

impl Cmd {
    /// A command without arguments, such as `Cmd::new("PING")`.
    pub fn new(name: &str) -> Self {
        let mut bytes = Vec::with_capacity(INITIAL_CAPACITY);
        bytes.extend_from_slice(&[0; LONGEST_HEADER]);
        let mut room = [0; LONGEST_HEADER];
        let start = write_header(&mut room, b'$', name.len());
        bytes.extend_from_slice(&room[start..]);
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b"\r\n");
        Self { bytes, count: 1 }
    }

    /// A command of `count` parts that `pack` appends as it is sent; `None` when that is not such a command.
    #[cfg(feature = "redis-rs")]
    pub(crate) fn of_packed(count: usize, pack: impl FnOnce(&mut Vec<u8>)) -> Option<Self> {
        let mut header = [0; LONGEST_HEADER];
        let start = write_header(&mut header, b'*', count);
        // Its own header ends where the room ends.
        let mut bytes = vec![0; start];
        pack(&mut bytes);
        let packed = bytes[start..].starts_with(&header[start..]);
        packed.then_some(Self { bytes, count })
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Argument) -> Self {
        // Its length is known once it is written, and then the room that its header leaves is closed.
        let room = self.bytes.len();
        self.bytes.extend_from_slice(&[0; LONGEST_HEADER]);
        let start = self.bytes.len();
        argument.append_to(&mut self.bytes);
        let length = self.bytes[start..].len();
        let unused = write_header(&mut self.bytes[room..start], b'$', length);
        self.bytes.drain(room..room + unused);
        self.bytes.extend_from_slice(b"\r\n");
        self.count += 1;
        self
    }

    /// Adds each item as an argument of its own.
    #[must_use]
    pub fn args(self, arguments: impl IntoIterator<Item = impl Argument>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// The name and the arguments, in order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.bytes[LONGEST_HEADER..];
        iter::from_fn(move || {
            let line_end = rest.iter().position(|&byte| byte == b'\r')?;
            let digits = rest[1..line_end].iter();
            let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
            let (part, after) = rest[line_end + 2..].split_at(length);
            rest = &after[2..];
            Some(part)
        })
    }

    /// The name as text, for messages.
    pub(crate) fn name(&self) -> String {
        let name = self.parts().next().unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    }

    /// Appends the command as RESP: an array of bulk strings.
    pub(crate) fn encode(&self, out: &mut impl BufMut) {
        let mut room = [0; LONGEST_HEADER];
        let start = write_header(&mut room, b'*', self.count);
        out.put_slice(&room[start..]);
        out.put_slice(&self.bytes[LONGEST_HEADER..]);
    }

    /// The same in place: what the bytes hold from the index on.
    pub(crate) fn into_encoded(mut self) -> (Vec<u8>, usize) {
        let start = write_header(&mut self.bytes[..LONGEST_HEADER], b'*', self.count);
        (self.bytes, start)
    }

    /// No less than the bytes that it takes on the wire.
    pub(crate) fn max_encoded_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Writes a header to the end of `room` and returns where it begins.
fn write_header(room: &mut [u8], kind: u8, length: usize) -> usize {
    let mut start = room.len() - 2;
    room[start..].copy_from_slice(b"\r\n");
    let mut rest = length;
    loop {
        start -= 1;
        room[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    start -= 1;
    room[start] = kind;
    start
}

impl fmt::Debug for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cmd({} + {} args)", self.name(), self.count - 1)
    }
}

/// What can be an argument of a [`Cmd`]: strings, bytes, and numbers in decimal.
pub trait Argument {
    /// Appends the argument's bytes to `out`, and leaves alone what is there.
    fn append_to(&self, out: &mut Vec<u8>);
}

impl<T: Argument + ?Sized> Argument for &T {
    fn append_to(&self, out: &mut Vec<u8>) {
        (**self).append_to(out);
    }
}

macro_rules! bytes_argument {
    ($($type:ty),*) => {$(
        impl Argument for $type {
            fn append_to(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.as_ref());
            }
        }
    )*};
}

macro_rules! number_argument {
    ($($type:ty),*) => {$(
        impl Argument for $type {
            fn append_to(&self, out: &mut Vec<u8>) {
                write!(out, "{self}").expect("a Vec takes all that is written to it");
            }
        }
    )*};
}

bytes_argument!(str, String, [u8], Vec<u8>, bytes::Bytes);
number_argument!(
    i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize, f32, f64
);

impl<const N: usize> Argument for [u8; N] {
    fn append_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(cmd: &Cmd) -> String {
        let mut out = Vec::new();
        cmd.encode(&mut out);
        let (bytes, start) = cmd.clone().into_encoded();
        assert_eq!(out, bytes[start..]);
        String::from_utf8(out).expect("test commands are text")
    }

    #[test]
    fn a_command_is_an_array_of_bulk_strings() {
        let cmd = Cmd::new("SET").arg("key").arg(-10).arg(b"");
        assert_eq!(
            encoded(&cmd),
            "*4\r\n$3\r\nSET\r\n$3\r\nkey\r\n$3\r\n-10\r\n$0\r\n\r\n"
        );
    }

    #[test]
    fn line_ends_in_an_argument_stay_data() {
        let cmd = Cmd::new("ECHO").arg("a\r\nFLUSHALL\r\n");
        assert_eq!(
            encoded(&cmd),
            "*2\r\n$4\r\nECHO\r\n$13\r\na\r\nFLUSHALL\r\n\r\n"
        );
    }

    #[test]
    fn the_parts_are_the_arguments_whatever_their_length() {
        for length in [0, 9, 10, 99, 100, 1_000, 100_000] {
            let (long, short) = ("x".repeat(length), "\r\n$1\r\n");
            let cmd = Cmd::new("MSET").arg(&long).arg(short).arg(&long);
            let parts: Vec<&[u8]> = cmd.parts().collect();
            let expected = ["MSET", &long, short, &long].map(str::as_bytes);
            assert!(parts == expected, "{length}");
        }
    }

    #[test]
    fn args_adds_each_item() {
        let cmd = Cmd::new("DEL").args(["a", "b"]);
        assert_eq!(cmd, Cmd::new("DEL").arg("a").arg("b"));
    }

    #[test]
    fn debug_shows_no_argument() {
        let cmd = Cmd::new("AUTH").arg("s3cret");
        assert_eq!(format!("{cmd:?}"), "Cmd(AUTH + 1 args)");
    }
}
