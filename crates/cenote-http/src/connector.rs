//! Opens the connections of one route: the socket, the tunnel through a proxy and TLS where the route has them, HTTP on top.

use cenote::net::Dialer;
use cenote::report::ConnectionInfo;
use cenote::{Connect, Dial, FailureKind, Verdict};

use crate::error::{Error, Stage};
use crate::route::{Route, Security};
use crate::tls;
use crate::wire::{Connection, Transport};

pub(crate) struct Connector {
    route: Route,
    dialer: Dialer,
}

impl Connector {
    pub(crate) fn new(route: Route, dialer: Dialer) -> Self {
        let dialer = match route.local_address {
            Some(address) => dialer.bind(address),
            None => dialer,
        };
        Self { route, dialer }
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
        let (transport, is_tls): (Box<dyn Transport>, bool) = match &route.security {
            Security::Plain => (Box::new(socket), false),
            Security::Tls {
                profile,
                server_name,
            } => {
                let name = server_name.as_deref().unwrap_or(route.host());
                let encrypted = tls::handshake(socket, name, profile).await;
                let encrypted = encrypted.map_err(|source| Error::Tls {
                    server_name: name.into(),
                    source,
                })?;
                (encrypted, true)
            }
        };
        Connection::open(transport, is_tls, watch, dial.signals())
            .await
            .map_err(|error| Error::exchange(route, Stage::Head, error))
    }

    fn is_open(&self, connection: &Connection) -> bool {
        connection.is_open()
    }

    fn verdict(&self, connection: &mut Connection) -> Verdict {
        connection.verdict()
    }

    fn classify(&self, error: &Error) -> FailureKind {
        error.classify()
    }

    fn endpoint(&self) -> Option<String> {
        Some(self.route.dialled().to_string())
    }

    async fn reset(&self, connection: &mut Connection, _: &ConnectionInfo) -> Result<(), Error> {
        connection.finish().await
    }
}
