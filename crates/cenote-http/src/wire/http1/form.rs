//! A request in the form that HTTP/1.1 sends: the target as the first line has it, and the `Host` field.

use std::sync::OnceLock;

use http::header::{CONNECTION, HOST, HeaderValue, TE};
use http::uri::PathAndQuery;
use http::{Uri, Version, request};

use crate::keep_alive::has_token;

/// What the first line names: to a server the path, to a proxy that passes the request on the whole URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Path,
    Uri,
}

/// Makes of a request's head what is sent; `host` is known after the first. What its URI was is for the next attempt.
pub(super) fn make(head: &mut request::Parts, target: Target, host: &OnceLock<HeaderValue>) -> Uri {
    let fields = &mut head.headers;
    // An attempt that was not sent has left its own.
    if fields.contains_key(TE) && !has_token(fields, &CONNECTION, "te") {
        fields.append(CONNECTION, HeaderValue::from_static("te"));
    }
    if !fields.contains_key(HOST) {
        let host = host.get_or_init(|| {
            let authority = head.uri.authority();
            let authority = authority.map_or("", |authority| authority.as_str());
            // An authority has no characters that a field could not.
            HeaderValue::from_str(authority).unwrap_or(HeaderValue::from_static(""))
        });
        fields.insert(HOST, host.clone());
    }
    head.version = Version::HTTP_11;
    let path = head.uri.path_and_query().cloned();
    let named = match target {
        Target::Path => Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/"))),
        Target::Uri => head.uri.clone(),
    };
    std::mem::replace(&mut head.uri, named)
}
