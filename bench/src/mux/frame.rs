//! What is on the wire: length, tag, payload. The length counts all that follows it; numbers are big-endian.

use std::io;

use bytes::{Buf, BufMut, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

const PAYLOAD: usize = 64;
const LENGTH: usize = size_of::<u32>();
const BODY: usize = size_of::<u32>() + PAYLOAD;

/// Bytes of a frame.
pub const FRAME: usize = LENGTH + BODY;

/// Inside the request, not behind a pointer: a call allocates nothing for it.
pub type Payload = [u8; PAYLOAD];

pub struct Frame {
    pub tag: u32,
    pub payload: Payload,
}

impl Frame {
    pub fn put(&self, out: &mut impl BufMut) {
        out.put_u32(BODY as u32);
        out.put_u32(self.tag);
        out.put_slice(&self.payload);
    }

    /// Takes a frame from the front of `bytes`, if there is a whole one.
    pub fn take(bytes: &mut BytesMut) -> io::Result<Option<Self>> {
        if bytes.len() < FRAME {
            return Ok(None);
        }
        let body = bytes.get_u32();
        if body as usize != BODY {
            let reason = format!("a frame of {body} bytes, not {BODY}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let tag = bytes.get_u32();
        let mut payload = [0; PAYLOAD];
        bytes.copy_to_slice(&mut payload);
        Ok(Some(Self { tag, payload }))
    }
}

/// How many of the bytes are whole frames, whatever their lengths.
pub fn whole(bytes: &[u8]) -> usize {
    let mut end = 0;
    while let Some((length, rest)) = bytes[end..].split_first_chunk::<LENGTH>() {
        let body = u32::from_be_bytes(*length) as usize;
        if rest.len() < body {
            break;
        }
        end += LENGTH + body;
    }
    end
}

/// Frames for tokio-util's `Framed`.
pub struct Codec;

impl Encoder<Frame> for Codec {
    type Error = io::Error;

    fn encode(&mut self, frame: Frame, out: &mut BytesMut) -> io::Result<()> {
        out.reserve(FRAME);
        frame.put(out);
        Ok(())
    }
}

impl Decoder for Codec {
    type Item = Frame;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Frame>> {
        Frame::take(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(tag: u32) -> BytesMut {
        let mut bytes = BytesMut::new();
        let payload = [7; PAYLOAD];
        Frame { tag, payload }.put(&mut bytes);
        bytes
    }

    #[test]
    fn a_frame_comes_out_as_it_went_in() {
        let frame = Frame::take(&mut encoded(9)).unwrap().unwrap();
        assert_eq!((frame.tag, frame.payload), (9, [7; PAYLOAD]));
    }

    #[test]
    fn a_part_of_a_frame_is_left_where_it_is() {
        let mut bytes = encoded(9);
        bytes.truncate(FRAME - 1);
        assert!(Frame::take(&mut bytes).unwrap().is_none());
        assert_eq!(bytes.len(), FRAME - 1);
    }

    #[test]
    fn whole_frames_end_where_the_next_is_cut() {
        let mut bytes = encoded(1);
        bytes.extend_from_slice(&encoded(2));
        bytes.extend_from_slice(&encoded(3)[..FRAME - 1]);
        assert_eq!(whole(&bytes), 2 * FRAME);
    }
}
