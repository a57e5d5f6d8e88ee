//! The echo protocol over TCP, with or without TLS: a request comes back as it was sent.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use cenote::endpoints::{Discovery, EndpointSet, fixed};
use cenote::error::SettingsError;
use cenote::mux::Mux;
use cenote::net::{Dialer, Host, Socket};
use cenote::{Connect, Dial, Verdict};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::embedded::{EmbeddedServers, Fleet};
use super::pipelined_echo::{PipelinedEcho, pipelined};
use super::{Place, ServerSet, Service};
use crate::failure::{Failure, Stage};

/// Echo servers, one or several, and the request that they are to send back.
#[derive(Clone)]
pub struct EchoService {
    label: String,
    connector: EchoConnector,
    set: Option<ServerSet<EchoConnector, PipelinedEcho>>,
    payload: Bytes,
}

impl EchoService {
    /// Servers elsewhere, without TLS.
    ///
    /// # Errors
    /// There is no runtime to follow the set on.
    pub fn at(places: &[Place], request_size: usize) -> Result<Self, SettingsError> {
        let names: Vec<String> = places.iter().map(Place::to_string).collect();
        let label = format!("tcp://{}", listed(&names));
        let service = Self::new(label, &places[0], None, request_size);
        match places {
            [_] => Ok(service),
            several => {
                let discovery = Discovery::start(fixed(EndpointSet::of(several.to_vec())))?;
                Ok(service.over(discovery))
            }
        }
    }

    /// The servers in this process. Where they are several, `discovery` tells which of them there are.
    pub fn embedded(
        servers: &EmbeddedServers,
        fleet: &Fleet,
        discovery: Option<Discovery<Place>>,
    ) -> Self {
        let service = Self::new(
            fleet.to_string(),
            servers.place(0),
            servers.tls.clone(),
            fleet.echo.request_size,
        );
        match discovery {
            None => service,
            Some(discovery) => service.over(discovery),
        }
    }

    fn new(
        label: String,
        place: &Place,
        tls: Option<Arc<ClientConfig>>,
        request_size: usize,
    ) -> Self {
        let payload = (0..request_size).map(|index| (index % 251) as u8).collect();
        Self {
            label,
            connector: EchoConnector {
                place: place.clone(),
                tls,
            },
            set: None,
            payload,
        }
    }

    /// The same over all that `discovery` tells.
    fn over(self, discovery: Discovery<Place>) -> Self {
        let tls = self.connector.tls.clone();
        let connector_to = move |place: &Place| EchoConnector {
            place: place.clone(),
            tls: tls.clone(),
        };
        let (unshared, size) = (connector_to.clone(), self.payload.len());
        let shared_connector_to =
            move |place: &Place, users| pipelined(unshared(place), size, users);
        Self {
            set: Some(ServerSet {
                discovery,
                connector_to: Arc::new(connector_to),
                shared_connector_to: Arc::new(shared_connector_to),
            }),
            ..self
        }
    }
}

/// The first few by name: a headline is no list.
fn listed(names: &[String]) -> String {
    const NAMED: usize = 4;
    match names.len().saturating_sub(NAMED) {
        0 => names.join(","),
        others => format!("{} and {others} others", names[..NAMED].join(",")),
    }
}

impl Service for EchoService {
    type Connector = EchoConnector;
    type SharedConnector = PipelinedEcho;

    fn label(&self) -> String {
        self.label.clone()
    }

    fn doubt(&self) -> &'static str {
        "is this an echo server?"
    }

    fn connector(&self) -> EchoConnector {
        self.connector.clone()
    }

    fn set(&self) -> Option<&ServerSet<EchoConnector, PipelinedEcho>> {
        self.set.as_ref()
    }

    async fn request(&self, connection: &mut EchoConnection) -> Result<(), Failure> {
        let outcome = connection.echo(&self.payload).await;
        outcome.map_err(|error| Failure::of(Stage::Request, &error))
    }

    fn shared_connector(&self, users: usize) -> PipelinedEcho {
        pipelined(self.connector.clone(), self.payload.len(), users)
    }

    async fn shared_request(&self, connection: &Mux<Bytes, Bytes>) -> Result<(), Failure> {
        match connection.call(self.payload.clone()).await {
            Ok(answer) if answer == self.payload => Ok(()),
            Ok(_) => Err(Failure::of(Stage::Request, &wrong_answer())),
            Err(error) => Err(Failure::of(Stage::Request, &error)),
        }
    }
}

/// Opens connections to an echo server.
#[derive(Clone)]
pub struct EchoConnector {
    place: Place,
    tls: Option<Arc<ClientConfig>>,
}

impl EchoConnector {
    pub(super) async fn stream(&self, dial: &Dial) -> io::Result<Box<dyn Stream>> {
        let host = Host::new(self.place.host.as_str(), self.place.port);
        let socket = Dialer::new().connect(&host, dial).await?;
        if let Socket::Tcp(tcp) = &socket {
            // Closing leaves no port behind in TIME_WAIT: without a pool, a few seconds would use them all up.
            tcp.set_zero_linger()?;
        }
        let Some(config) = &self.tls else {
            return Ok(Box::new(socket));
        };
        let name = ServerName::try_from(self.place.host.clone()).map_err(io::Error::other)?;
        let tls = TlsConnector::from(config.clone()).connect(name, socket);
        Ok(Box::new(tls.await?))
    }
}

impl Connect for EchoConnector {
    type Connection = EchoConnection;
    type Error = io::Error;

    fn endpoint(&self) -> Option<String> {
        Some(self.place.to_string())
    }

    async fn connect(&self, dial: &Dial) -> io::Result<EchoConnection> {
        Ok(EchoConnection {
            stream: self.stream(dial).await?,
            answer: Vec::new(),
            owed: Owed::Nothing,
        })
    }

    fn verdict(&self, connection: &mut EchoConnection) -> Verdict {
        match connection.owed {
            Owed::Nothing => Verdict::Reuse,
            Owed::Answer => Verdict::Close,
        }
    }
}

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection to an echo server.
pub struct EchoConnection {
    stream: Box<dyn Stream>,
    answer: Vec<u8>,
    owed: Owed,
}

/// What the server still has to send.
enum Owed {
    Nothing,
    Answer,
}

/// Requests up to this size fit the sockets' buffers: they can be written before reading begins.
const WRITTEN_AT_ONCE: usize = 16 * 1024;

impl EchoConnection {
    async fn echo(&mut self, payload: &[u8]) -> io::Result<()> {
        self.owed = Owed::Answer;
        self.answer.resize(payload.len(), 0);
        if payload.len() <= WRITTEN_AT_ONCE {
            self.stream.write_all(payload).await?;
            self.stream.flush().await?;
            self.stream.read_exact(&mut self.answer).await?;
        } else {
            let (mut reader, mut writer) = tokio::io::split(&mut self.stream);
            let write = async {
                writer.write_all(payload).await?;
                writer.flush().await
            };
            tokio::try_join!(write, reader.read_exact(&mut self.answer))?;
        }
        if self.answer != payload {
            return Err(wrong_answer());
        }
        self.owed = Owed::Nothing;
        Ok(())
    }
}

fn wrong_answer() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the answer is not what was sent: is this an echo server?",
    )
}
