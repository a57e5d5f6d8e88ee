//! Opens the connections of one route: the socket, the tunnel through a proxy and TLS where the route has them, HTTP on top.

use cenote::net::Dialer;
use cenote::report::ConnectionInfo;
use cenote::{Connect, Dial, FailureKind, Multiplex, Verdict};

use crate::error::{Error, Stage};
use crate::route::{Route, Security};
use crate::tls;
use crate::version::HttpVersion;
use crate::wire::{Connection, SlowStart, Target, Transport, is_foreign};

pub(crate) struct Connector {
    route: Route,
    dialer: Dialer,
    slow_start: SlowStart,
}

impl Connector {
    pub(crate) fn new(route: Route, dialer: Dialer) -> Self {
        let dialer = match route.local_address {
            Some(address) => dialer.bind(address),
            None => dialer,
        };
        Self {
            route,
            dialer,
            slow_start: SlowStart::new(),
        }
    }

    pub(crate) fn route(&self) -> &Route {
        &self.route
    }
}

impl Connect for Connector {
    type Connection = Connection;
    type Error = Error;

    async fn connect(&self, dial: &Dial) -> Result<Connection, Error> {
        let route = &self.route;
        let dialled = self.dialer.connect(&route.dialled(), dial).await;
        let socket = dialled.map_err(|source| Error::Dial { source })?;
        let (socket, watch) = socket.watched();
        let socket = match route.tunneller() {
            Some(proxy) => {
                let led = proxy.tunnel(socket, route).await;
                led.map_err(|source| Error::Proxy { source })?
            }
            None => socket,
        };
        let (transport, is_tls, is_http2): (Box<dyn Transport>, _, _) = match &route.security {
            Security::Plain => {
                let is_http2 = route.version == HttpVersion::Http2;
                (Box::new(socket), false, is_http2)
            }
            Security::Tls {
                profile,
                server_name,
            } => {
                let name = server_name.as_deref().unwrap_or(route.host());
                let encrypted = tls::handshake(socket, name, profile, route.version).await;
                let encrypted = encrypted.map_err(|source| match route.version {
                    HttpVersion::Http2 if tls::is_without_protocol(&source) => {
                        Error::version(Some(source.into()))
                    }
                    _ => Error::Tls {
                        server_name: name.into(),
                        source,
                    },
                })?;
                (encrypted.transport, true, encrypted.is_http2)
            }
        };
        if route.version == HttpVersion::Http2 && !is_http2 {
            return Err(Error::version(None));
        }
        let opened = match is_http2 {
            true => Connection::http2(transport, dial.signals(), &self.slow_start).await,
            false => {
                let target = match route.forwarder() {
                    Some(_) => Target::Uri,
                    None => Target::Path,
                };
                Connection::http1(transport, is_tls, watch, target, dial.signals()).await
            }
        };
        opened.map_err(|error| match is_foreign(&error) {
            true => Error::version(Some(error)),
            false => Error::exchange(route, Stage::Head, error),
        })
    }

    fn is_open(&self, connection: &Connection) -> bool {
        connection.is_open()
    }

    fn verdict(&self, connection: &mut Connection) -> Verdict {
        connection.verdict()
    }

    async fn check(&self, connection: &mut Connection, _: &ConnectionInfo) -> Result<(), Error> {
        let checked = connection.check().await;
        checked.map_err(|error| Error::exchange(&self.route, Stage::Head, error))
    }

    fn classify(&self, error: &Error) -> FailureKind {
        error.classify()
    }

    fn endpoint(&self) -> Option<String> {
        Some(self.route.dialled().to_string())
    }

    async fn reset(&self, connection: &mut Connection, _: &ConnectionInfo) -> Result<(), Error> {
        connection.finished().await
    }
}

impl Multiplex for Connector {
    fn capacity(&self, connection: &Connection) -> usize {
        connection.capacity()
    }
}
