//! What of a request goes over the connection, in whichever version of HTTP: its target, and the caller's fields but those that
//! are between it and us. Connections are the pool's, so no field of a request may end or change one.

use http::header::{
    CONNECTION, HeaderName, HeaderValue, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, request};

use crate::error::Error;
use crate::keep_alive::{has_token, tokens};
use crate::proxy::Proxy;
use crate::route::Route;

/// Those that are of one connection whatever `Connection` names (RFC 9110, 7.6.1), with those that are so by custom. What
/// a proxy is told of who asks is the route's to say: a caller's would reach servers.
const OF_ONE_CONNECTION: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Reply,
    /// That the server goes on in another protocol.
    Upgrade,
}

/// Makes of a request's head what is sent.
///
/// # Errors
/// [`Error::Upgrade`]: it is a CONNECT. [`Error::Target`]: its host cannot be a field.
pub(crate) fn prepare(head: &mut request::Parts, route: &Route) -> Result<Wish, Error> {
    let fields = &mut head.headers;
    if head.method == Method::CONNECT {
        return Err(Error::upgrade(route, "CONNECT is not supported"));
    }
    let asks = has_token(fields, &CONNECTION, "upgrade");
    let protocols = match asks {
        true => fields.get_all(UPGRADE).iter().cloned().collect(),
        false => Vec::new(),
    };
    if fields.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = tokens(fields, &CONNECTION)
            .filter_map(|name| name.parse().ok())
            .filter(|name| *name != TE)
            .collect();
        for name in named {
            fields.remove(name);
        }
    }
    for name in &OF_ONE_CONNECTION {
        fields.remove(name);
    }
    // Of what it may say, only this is for the server itself.
    match has_token(fields, &TE, "trailers") {
        true => {
            fields.insert(TE, HeaderValue::from_static("trailers"));
        }
        false => {
            fields.remove(TE);
        }
    }
    let wish = match protocols.is_empty() {
        true => Wish::Reply,
        false => Wish::Upgrade,
    };
    if wish == Wish::Upgrade {
        fields.append(CONNECTION, HeaderValue::from_static("upgrade"));
        for protocol in protocols {
            fields.append(UPGRADE, protocol);
        }
    }
    if let Some(authorization) = route.forwarder().and_then(Proxy::authorization) {
        fields.insert(PROXY_AUTHORIZATION, authorization.clone());
    }
    route.canonicalize(&mut head.uri)?;
    Ok(wish)
}
