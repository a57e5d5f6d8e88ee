//! What a store's options say of each of its requests. Those that can only be said to the client are refused where they
//! matter, so that none is ignored that somebody relies on.

use std::time::Duration;

use cenote_http::{HttpVersion, Proxy, RouteOptions};
use http::header::{HeaderMap, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderValue, request};
use object_store::{ClientConfigKey, ClientOptions};

use crate::error::{Refused, not_supported};

const AGENT: &str = concat!("cenote-object-store/", env!("CARGO_PKG_VERSION"));

#[derive(Debug)]
pub(crate) struct RequestOptions {
    /// Sent with each request that does not have them itself.
    fields: HeaderMap,
    route: RouteOptions,
    allows_http: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) read_timeout: Option<Duration>,
}

impl RequestOptions {
    pub(crate) fn of(options: &ClientOptions) -> object_store::Result<Self> {
        use ClientConfigKey as Key;

        for key in [Key::AllowInvalidCertificates, Key::NoSystemCertificates] {
            if flag(options, key)? {
                return Err(not_supported(key, "it is for ClientBuilder::tls to say"));
            }
        }
        for key in [Key::ProxyCaCertificate, Key::ProxyExcludes] {
            if options.get_config_value(&key).is_some() {
                return Err(not_supported(key, "this client has no such setting"));
            }
        }
        if options.dns_resolver().is_some() {
            let problem = "ClientBuilder::dialer says how names are looked up";
            return Err(not_supported("dns_resolver", problem));
        }
        let mut fields = options.get_default_headers().cloned().unwrap_or_default();
        match options.get_config_value(&Key::UserAgent) {
            Some(agent) => {
                let agent = HeaderValue::try_from(agent);
                let agent = agent.map_err(|error| not_supported(Key::UserAgent, error))?;
                fields.insert(USER_AGENT, agent);
            }
            None => {
                let agent = HeaderValue::from_static(AGENT);
                fields.entry(USER_AGENT).or_insert(agent);
            }
        }
        let mut route = RouteOptions::new();
        if flag(options, Key::Http2Only)? {
            route = route.version(HttpVersion::Http2);
        } else if flag(options, Key::Http1Only)? {
            route = route.version(HttpVersion::Http1);
        }
        if let Some(uri) = options.get_config_value(&Key::ProxyUrl) {
            let is_socks = uri.starts_with("socks5");
            let proxy = match is_socks {
                true => Proxy::socks5(uri),
                false => Proxy::http(uri),
            };
            route = route.proxy(proxy.map_err(|error| not_supported(Key::ProxyUrl, error))?);
        }
        Ok(Self {
            fields,
            route,
            allows_http: flag(options, Key::AllowHttp)?,
            timeout: time(options, Key::Timeout)?,
            read_timeout: time(options, Key::ReadTimeout)?,
        })
    }

    /// Makes a request say what these options say.
    ///
    /// # Errors
    /// It would go over a connection that is not encrypted, which the options do not allow.
    pub(crate) fn apply(&self, head: &mut request::Parts) -> Result<(), Refused> {
        if !self.allows_http && head.uri.scheme() != Some(&Scheme::HTTPS) {
            return Err(Refused::NotEncrypted);
        }
        for (name, value) in &self.fields {
            head.headers.entry(name).or_insert_with(|| value.clone());
        }
        head.extensions.insert(self.route.clone());
        Ok(())
    }
}

fn flag(options: &ClientOptions, key: ClientConfigKey) -> object_store::Result<bool> {
    let Some(text) = options.get_config_value(&key) else {
        return Ok(false);
    };
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "on" | "yes" | "y" => Ok(true),
        "0" | "false" | "off" | "no" | "n" => Ok(false),
        _ => Err(not_supported(key, "it is neither true nor false")),
    }
}

fn time(options: &ClientOptions, key: ClientConfigKey) -> object_store::Result<Option<Duration>> {
    let Some(text) = options.get_config_value(&key) else {
        return Ok(None);
    };
    let time = humantime::parse_duration(&text);
    Ok(Some(time.map_err(|error| not_supported(key, error))?))
}
