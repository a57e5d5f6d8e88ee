//! The URI of a proxy, taken apart. Its errors show scheme, host and port at most: what stands elsewhere may be a password.

use std::sync::Arc;

use cenote::error::SettingsError;
use http::Uri;
use percent_encoding::percent_decode_str;

use crate::route::canonical;

/// What a proxy's URI says.
pub(super) struct ProxyUri {
    pub(super) host: Arc<str>,
    pub(super) port: u16,
    /// User name and password.
    pub(super) credentials: Option<(String, String)>,
}

impl ProxyUri {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(
        text: &str,
        schemes: &[&str],
        default_port: u16,
    ) -> Result<Self, SettingsError> {
        let scheme = schemes[0];
        let refused = |shown: &str, problem: &str| {
            let accepted =
                format!("{problem}; a proxy's URI is such as {scheme}://proxy.example:3128");
            SettingsError::new("proxy", shown, accepted)
        };
        let uri: Uri = text.parse().map_err(|_| {
            refused(
                "no well-formed URI",
                "it has characters that none has, or no end",
            )
        })?;
        let Some(found) = uri.scheme_str() else {
            return Err(refused(
                "a URI without a scheme",
                "the scheme says what it speaks",
            ));
        };
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let (userinfo, place) = match authority.rsplit_once('@') {
            Some((userinfo, place)) => (Some(userinfo), place),
            None => (None, authority),
        };
        let shown = format!("{found}://{place}");
        if !schemes.contains(&found) {
            return Err(refused(&shown, &format!("its scheme is not {scheme}")));
        }
        let host = uri.host().unwrap_or_default();
        if host.is_empty() {
            return Err(refused(&shown, "it names no host"));
        }
        let has_port = place.len() > host.len();
        if has_port && uri.port_u16().is_none() {
            return Err(refused(&shown, "its port is no number up to 65535"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(refused(&shown, "it has something behind the port"));
        }
        let credentials = userinfo.map(|userinfo| {
            let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
            Some((decoded(user)?, decoded(password)?))
        });
        let credentials = match credentials {
            Some(None) => return Err(refused(&shown, "its user name or password is not UTF-8")),
            Some(credentials) => credentials,
            None => None,
        };
        Ok(Self {
            host: canonical(host),
            port: uri.port_u16().unwrap_or(default_port),
            credentials,
        })
    }
}

/// `None`: it is not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    Some(decoded.into_owned())
}
