//! A request in the form that HTTP/2 sends: the host as its authority, no field that is of one connection, and the length of
//! a body that is known.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::uri::Authority;
use http::{Method, Request, Uri};
use http_body::Body;

use crate::wire::outgoing::Outgoing;

/// Makes of a request's head what is sent.
pub(super) fn make(request: &mut Request<()>, body: &Outgoing) {
    let host = request.headers_mut().remove(HOST);
    if let Some(host) = host.and_then(|host| Authority::try_from(host.as_bytes()).ok()) {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.authority = Some(host);
        // As it was but for its authority: all its parts are there.
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }
    for name in [CONNECTION, UPGRADE, TRANSFER_ENCODING] {
        request.headers_mut().remove(name);
    }
    let has_body = !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::DELETE
    );
    let length = body.size_hint().exact();
    let length = length.filter(|length| *length > 0 || has_body);
    if let Some(length) = length {
        let fields = request.headers_mut();
        if !fields.contains_key(CONTENT_LENGTH) {
            fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
    }
}
