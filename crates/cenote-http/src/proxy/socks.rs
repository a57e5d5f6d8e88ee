//! A tunnel by SOCKS5, with tokio-socks, and what its errors mean.

use std::io::{self, ErrorKind};

use cenote::net::Watched;
use tokio_socks::Error;
use tokio_socks::tcp::Socks5Stream;

use super::Login;
use super::error::ProxyError;

/// Has the proxy at the other end of `socket` lead on to `host`, which may be an IPv6 address in brackets.
pub(super) async fn tunnel(
    socket: Watched,
    host: &str,
    port: u16,
    login: Option<&Login>,
) -> Result<Watched, ProxyError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let target = (bare, port);
    let led = match login {
        Some(Login { user, password }) => {
            Socks5Stream::connect_with_password_and_socket(socket, target, user, password).await
        }
        None => Socks5Stream::connect_with_socket(socket, target).await,
    };
    led.map(Socks5Stream::into_inner).map_err(understood)
}

fn understood(error: Error) -> ProxyError {
    let problem = || error.to_string().into();
    match error {
        Error::NoAcceptableAuthMethods
        | Error::AuthorizationRequired
        | Error::PasswordAuthFailure(_) => ProxyError::Credentials,
        Error::ConnectionNotAllowedByRuleset
        | Error::CommandNotSupported
        | Error::AddressTypeNotSupported
        | Error::InvalidTargetAddress(_) => ProxyError::Refused { problem: problem() },
        Error::GeneralSocksServerFailure
        | Error::NetworkUnreachable
        | Error::HostUnreachable
        | Error::ConnectionRefused
        | Error::TtlExpired => ProxyError::Unreachable { problem: problem() },
        // Of a method and of a refusal alike.
        Error::UnknownAuthMethod => ProxyError::exchange(io::Error::new(
            ErrorKind::InvalidData,
            "it answered with a code that SOCKS5 has not",
        )),
        // The connection ended, or what is there is no proxy.
        other => ProxyError::exchange(other),
    }
}
