//! The server's process, from the outside, and what a client is told of it.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use http::{Uri, Version};
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::server::Whereabouts;
use crate::cli::HTTP_SERVER;
use crate::measure::{Failure, Outcome};

pub const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Which protocol is spoken, and how both ends come to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 without TLS.
    Http1,
    /// HTTP/2 without TLS, by prior knowledge.
    Http2,
    /// The better one that both ends offer in the TLS handshake.
    Negotiated,
    /// HTTP/2 over TLS, and the client knows.
    Http2ByTls,
}

/// What a client is told: whom to ask, how, and over how many connections where it can be bounded.
#[derive(Clone)]
pub struct Target {
    pub addr: SocketAddr,
    pub uri: Uri,
    pub protocol: Protocol,
    pub connections: usize,
    /// The server's, where there is TLS.
    pub certificate: Option<CertificateDer<'static>>,
}

/// A server of the run's own; it ends with this value.
pub struct Server {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    at: Whereabouts,
}

impl Protocol {
    /// The version that replies must be of.
    pub fn version(self) -> Option<Version> {
        match self {
            Self::Http1 => Some(Version::HTTP_11),
            Self::Http2 | Self::Http2ByTls => Some(Version::HTTP_2),
            Self::Negotiated => None,
        }
    }

    pub fn is_http2_only(self) -> bool {
        self.version() == Some(Version::HTTP_2)
    }

    pub fn is_tls(self) -> bool {
        match self {
            Self::Http1 | Self::Http2 => false,
            Self::Negotiated | Self::Http2ByTls => true,
        }
    }
}

impl Server {
    pub fn start() -> Outcome<Self> {
        let failed = |why: String| Failure::new(format!("no HTTP server: {why}"));
        let program = env::current_exe().map_err(|error| failed(error.to_string()))?;
        let mut child = Command::new(program)
            .arg(HTTP_SERVER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let ask = child.stdin.take().expect("it was piped");
        let mut answers = BufReader::new(child.stdout.take().expect("it was piped"));
        let mut line = String::new();
        let read = answers.read_line(&mut line);
        read.map_err(|error| failed(error.to_string()))?;
        let at = serde_json::from_str(&line).map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            child,
            ask,
            answers,
            at,
        })
    }

    pub fn target(&self, protocol: Protocol, connections: usize) -> Outcome<Target> {
        let is_tls = protocol.is_tls();
        let (scheme, addr) = match is_tls {
            true => ("https", self.at.tls),
            false => ("http", self.at.plain),
        };
        let uri = format!("{scheme}://{addr}/").parse();
        Ok(Target {
            addr,
            uri: uri.map_err(|error| Failure::new(format!("no URI: {error}")))?,
            protocol,
            connections,
            certificate: is_tls.then(|| self.at.certificate.clone().into()),
        })
    }

    /// How many connections it has accepted.
    pub fn accepted(&mut self) -> Outcome<u64> {
        let mut line = String::new();
        let asked = writeln!(self.ask).and_then(|()| self.answers.read_line(&mut line));
        let count = asked.ok().and_then(|_| line.trim().parse().ok());
        count.ok_or_else(|| Failure::new("the HTTP server does not say what it has accepted"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It holds nothing that is worth an orderly end. Waited for, its processor time counts as ours, not as others'.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
