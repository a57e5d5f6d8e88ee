//! What everybody asks for and gets: 64 bytes, checked byte by byte.

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;

use crate::callers::CallError;

pub const BODY: [u8; 64] = [b'v'; 64];

/// Reads a reply to its end, without a copy, and checks that it is whole.
pub async fn read<B>(mut body: B) -> Result<(), CallError>
where
    B: Body<Data = Bytes, Error: Into<CallError>> + Unpin,
{
    let mut missing = &BODY[..];
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(Into::into)?.into_data() {
            let rest = missing.strip_prefix(&*data);
            missing = rest.ok_or("the reply is not what was asked for")?;
        }
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err("the reply is too short".into()),
    }
}
