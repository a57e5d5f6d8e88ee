//! A request in the form that HTTP/1.1 sends: the target as the first line has it, and the `Host` field.

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

/// Makes of a request's head what is sent. What its URI was is for the next attempt.
pub(super) fn make(head: &mut request::Parts, target: Target) -> Uri {
    let fields = &mut head.headers;
    // An attempt that was not sent has left its own.
    if fields.contains_key(TE) && !has_token(fields, &CONNECTION, "te") {
        fields.append(CONNECTION, HeaderValue::from_static("te"));
    }
    if !fields.contains_key(HOST) {
        let authority = head
            .uri
            .authority()
            .map_or("", |authority| authority.as_str());
        // An authority has no characters that a field could not.
        if let Ok(host) = HeaderValue::from_str(authority) {
            fields.insert(HOST, host);
        }
    }
    head.version = Version::HTTP_11;
    let path = head.uri.path_and_query().cloned();
    let named = match target {
        Target::Path => Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/"))),
        Target::Uri => head.uri.clone(),
    };
    std::mem::replace(&mut head.uri, named)
}
