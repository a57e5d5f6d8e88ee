//! Which version of HTTP a connection speaks, as far as a route says it.

use http::header::CONNECTION;
use http::{HeaderMap, Version};

use crate::keep_alive::has_token;

/// Which version of HTTP the connections of a route speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpVersion {
    /// Over TLS HTTP/2 where the server agrees to it by ALPN, else HTTP/1.1; without TLS HTTP/1.1.
    #[default]
    Any,
    /// HTTP/1.1: one exchange at a time on each connection.
    Http1,
    /// HTTP/2: many exchanges at a time on each connection. Without TLS the server is taken to speak it ("prior
    /// knowledge").
    Http2,
}

impl HttpVersion {
    /// What a request says of it: only HTTP/1.1 can be left for another protocol, and a request of version HTTP/2 is from
    /// somebody who depends on it, as gRPC does. Others are of version HTTP/1.1 because that is what requests are by default.
    pub(crate) fn of(version: Version, fields: &HeaderMap) -> Self {
        if has_token(fields, &CONNECTION, "upgrade") {
            Self::Http1
        } else if version == Version::HTTP_2 {
            Self::Http2
        } else {
            Self::Any
        }
    }
}
