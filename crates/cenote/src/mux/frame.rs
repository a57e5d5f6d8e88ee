//! What travels on a tagged connection: messages and the tags that tie replies to requests.

/// A message with its tag, as the codec of a tagged protocol encodes and decodes it.
///
/// Tags are the mux's to choose; where they stand in a frame, and in which byte order, is the codec's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<M, T = u32> {
    /// Outgoing, `None` on a message that wants no reply ([`Mux::send`](super::Mux::send)). Incoming, `None`
    /// would be a message that answers nothing, which ends the connection.
    pub tag: Option<T>,
    /// The message itself.
    pub message: M,
}

/// The width of a tag: `u8`, `u16`, `u32` or `u64`.
///
/// The mux uses as many tags as requests may be pending, and fills the bits that are left with the number of
/// times it has used them, up to 32 bits in all: a reply to a request long gone is told from one to its successor.
pub trait Tag: Copy + Send + 'static + sealed::Sealed {
    /// Bits the mux may use.
    const BITS: u32;
    /// The tag with this value, which has no more than [`BITS`](Self::BITS) bits.
    fn from_raw(raw: u32) -> Self;
    /// Its value.
    fn raw(self) -> u64;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! tag {
    ($($width:ty: $bits:expr),*) => {$(
        impl sealed::Sealed for $width {}
        impl Tag for $width {
            const BITS: u32 = $bits;

            fn from_raw(raw: u32) -> Self {
                // The mux masks its tags to `BITS`.
                raw as Self
            }

            fn raw(self) -> u64 {
                self.into()
            }
        }
    )*};
}

tag!(u8: 8, u16: 16, u32: 32, u64: 32);
