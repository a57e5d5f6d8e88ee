//! A user's codec as the mux uses it: requests with their tags become bytes, bytes become replies.
//!
//! Where replies come in order, tags are the mux's alone: the codec sees none.

use bytes::BytesMut;
use tokio_util::codec::{Decoder, Encoder};

use super::frame::{Frame, Tag};
use crate::error::BoxError;

/// Encodes a request with its tag, or a message without a reply.
pub(super) type Encode<Req> =
    Box<dyn FnMut(Option<u32>, Req, &mut BytesMut) -> Result<(), BoxError> + Send>;

/// A reply as the codec gave it; in order, without a tag.
pub(super) struct Reply<Resp> {
    pub(super) tag: Option<u64>,
    pub(super) message: Resp,
}

/// Cuts replies out of what was read, as tokio-util's `Decoder` does.
pub(super) trait Decode<Resp>: Send + 'static {
    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Reply<Resp>>, BoxError>;
    fn decode_eof(&mut self, input: &mut BytesMut) -> Result<Option<Reply<Resp>>, BoxError>;
}

/// Encodes with tags.
pub(super) fn encode_tagged<Req, T, Codec>(mut codec: Codec) -> Encode<Req>
where
    T: Tag,
    Codec: Encoder<Frame<Req, T>, Error: Into<BoxError>> + Send + 'static,
{
    Box::new(move |tag, message, buffer| {
        let tag = tag.map(T::from_raw);
        let encoded = codec.encode(Frame { tag, message }, buffer);
        encoded.map_err(Into::into)
    })
}

/// Encodes without.
pub(super) fn encode_in_order<Req, Codec>(mut codec: Codec) -> Encode<Req>
where
    Codec: Encoder<Req, Error: Into<BoxError>> + Send + 'static,
{
    Box::new(move |_, message, buffer| codec.encode(message, buffer).map_err(Into::into))
}

/// Decodes replies with tags.
pub(super) fn decode_tagged<Resp, T, Codec>(codec: Codec) -> impl Decode<Resp>
where
    Resp: 'static,
    T: Tag,
    Codec: Decoder<Item = Frame<Resp, T>, Error: Into<BoxError>> + Send + 'static,
{
    Decoding(codec, |Frame { tag, message }| Reply {
        tag: tag.map(T::raw),
        message,
    })
}

/// Decodes replies without.
pub(super) fn decode_in_order<Resp, Codec>(codec: Codec) -> impl Decode<Resp>
where
    Resp: 'static,
    Codec: Decoder<Item = Resp, Error: Into<BoxError>> + Send + 'static,
{
    Decoding(codec, |message| Reply { tag: None, message })
}

/// A codec's decoder, and how its items become replies.
struct Decoding<Codec, F>(Codec, F);

impl<Codec, F, Resp> Decode<Resp> for Decoding<Codec, F>
where
    Codec: Decoder<Error: Into<BoxError>> + Send + 'static,
    F: Fn(Codec::Item) -> Reply<Resp> + Send + 'static,
{
    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Reply<Resp>>, BoxError> {
        let item = self.0.decode(input).map_err(Into::into)?;
        Ok(item.map(&self.1))
    }

    fn decode_eof(&mut self, input: &mut BytesMut) -> Result<Option<Reply<Resp>>, BoxError> {
        let item = self.0.decode_eof(input).map_err(Into::into)?;
        Ok(item.map(&self.1))
    }
}
