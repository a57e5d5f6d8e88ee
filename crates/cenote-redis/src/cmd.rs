//! A command and its arguments, ready to be written any number of times.

use std::fmt;

use bytes::{BufMut, BytesMut};

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
    /// Name and arguments, one after the other.
    data: Vec<u8>,
    /// Where each of them ends in `data`; never empty.
    ends: Vec<usize>,
}

impl Cmd {
    /// A command without arguments, such as `Cmd::new("PING")`.
    pub fn new(name: &str) -> Self {
        // Room for what most commands need, so that adding arguments allocates nothing more.
        let mut data = Vec::with_capacity(name.len().max(64));
        data.extend_from_slice(name.as_bytes());
        let mut ends = Vec::with_capacity(4);
        ends.push(name.len());
        Self { data, ends }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Argument) -> Self {
        argument.append_to(&mut self.data);
        self.ends.push(self.data.len());
        self
    }

    /// Adds each item as an argument of its own.
    #[must_use]
    pub fn args(self, arguments: impl IntoIterator<Item = impl Argument>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// The name and the arguments, in order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let part = &self.data[start..end];
            start = end;
            part
        })
    }

    /// The name as text, for messages.
    pub(crate) fn name(&self) -> String {
        String::from_utf8_lossy(&self.data[..self.ends[0]]).into_owned()
    }

    /// Appends the command as RESP: an array of bulk strings.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        // Per part: '$', up to 20 digits of length, and two line ends.
        out.reserve(self.data.len() + 25 * (self.ends.len() + 1));
        put_header(out, b'*', self.ends.len());
        for part in self.parts() {
            put_header(out, b'$', part.len());
            out.put_slice(part);
            out.put_slice(b"\r\n");
        }
    }
}

fn put_header(out: &mut BytesMut, kind: u8, length: usize) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = length;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.put_u8(kind);
    out.put_slice(&digits[start..]);
    out.put_slice(b"\r\n");
}

impl fmt::Debug for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cmd({} + {} args)", self.name(), self.ends.len() - 1)
    }
}

/// What can be an argument of a [`Cmd`]: strings, bytes, and numbers in decimal.
pub trait Argument {
    /// Appends the argument's bytes to `out`.
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
                out.extend_from_slice(self.to_string().as_bytes());
            }
        }
    )*};
}

bytes_argument!(str, String, [u8], Vec<u8>, bytes::Bytes);
number_argument!(i32, i64, isize, u8, u16, u32, u64, usize, f64);

impl<const N: usize> Argument for [u8; N] {
    fn append_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(cmd: &Cmd) -> String {
        let mut out = BytesMut::new();
        cmd.encode(&mut out);
        String::from_utf8(out.to_vec()).expect("test commands are text")
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
