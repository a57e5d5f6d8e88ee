//! A server of a test's own: it reads and writes frames (RFC 9113, 4.1), and counts its connections. What it reads of fields
//! it does not decode; of those it writes only a status (RFC 7541, appendix A).

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use cenote_http::{Client, ClientBuilder, HttpVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Longer than anything here takes on the slowest machine.
const LONG: Duration = Duration::from_secs(60);

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const MAX_CONCURRENT_STREAMS: u16 = 3;

pub const NO_ERROR: u32 = 0;
pub const ENHANCE_YOUR_CALM: u32 = 11;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;

/// `:status: 200`, by its number in the table.
const OK: &[u8] = &[0x88];

/// It lives as long as its runtime.
pub struct Server {
    pub addr: SocketAddr,
    accepted: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Server {
    /// A server that has each connection, with its number from 1, carried by `script` until that ends. The preface has been
    /// read, and nothing been said.
    pub async fn scripted<F>(script: impl Fn(usize, Peer) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (accepted, ended) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (counted, over) = (Arc::clone(&accepted), Arc::clone(&ended));
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut preface = [0; 24];
                socket.read_exact(&mut preface).await.unwrap();
                let number = counted.fetch_add(1, SeqCst) + 1;
                let carried = script(number, Peer { socket });
                let over = Arc::clone(&over);
                tokio::spawn(async move {
                    carried.await;
                    over.fetch_add(1, SeqCst);
                });
            }
        });
        Self {
            addr,
            accepted,
            ended,
        }
    }

    /// A server that answers each request at once, on connections that take `max_streams`.
    pub async fn answering(max_streams: u32) -> Self {
        Self::scripted(move |_, mut peer| async move {
            peer.settings(&[(MAX_CONCURRENT_STREAMS, max_streams)])
                .await;
            while let Some(stream) = peer.request().await {
                peer.answer(stream).await;
            }
        })
        .await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(SeqCst)
    }

    /// Those that are over.
    pub fn ended(&self) -> usize {
        self.ended.load(SeqCst)
    }
}

/// What the server has of a connection.
pub struct Peer {
    socket: TcpStream,
}

impl Peer {
    /// The next frame, `None` where the client has closed instead.
    pub async fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.socket.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.socket.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        })
    }

    /// The next frame of this kind, after others that are of no interest; the client's settings and pings are acknowledged.
    pub async fn next(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.frame().await?;
            let is_acknowledgement = matches!(kind, SETTINGS | PING) && frame.flags & ACK != 0;
            if frame.kind == kind && !is_acknowledgement {
                return Some(frame);
            }
            self.acknowledge(&frame).await;
        }
    }

    /// The client's settings and pings.
    pub async fn acknowledge(&mut self, frame: &Frame) {
        if matches!(frame.kind, SETTINGS | PING) && frame.flags & ACK == 0 {
            let payload = match frame.kind {
                PING => &frame.payload[..],
                _ => &[],
            };
            self.say(frame.kind, ACK, 0, payload).await;
        }
    }

    /// The stream of the next request whose head arrives.
    pub async fn request(&mut self) -> Option<u32> {
        Some(self.next(HEADERS).await?.stream)
    }

    /// Writes this. A client that is gone does not hear it.
    pub async fn say(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        let _ = self.socket.write_all(&frame).await;
    }

    pub async fn settings(&mut self, settings: &[(u16, u32)]) {
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        self.say(SETTINGS, 0, 0, &payload).await;
    }

    /// A whole reply, without a body.
    pub async fn answer(&mut self, stream: u32) {
        self.say(HEADERS, END_HEADERS | END_STREAM, stream, OK)
            .await;
    }

    /// The same of another status.
    pub async fn answer_with(&mut self, stream: u32, status: u16) {
        // A literal, whose name is that of the table's `:status`.
        let mut fields = vec![0x08, 3];
        fields.extend(status.to_string().bytes());
        self.say(HEADERS, END_HEADERS | END_STREAM, stream, &fields)
            .await;
    }

    /// The head of a reply whose body follows.
    pub async fn begin_answer(&mut self, stream: u32) {
        self.say(HEADERS, END_HEADERS, stream, OK).await;
    }

    pub async fn data(&mut self, stream: u32, bytes: &[u8], flags: u8) {
        self.say(DATA, flags, stream, bytes).await;
    }

    pub async fn reset(&mut self, stream: u32, reason: u32) {
        self.say(RST_STREAM, 0, stream, &reason.to_be_bytes()).await;
    }

    /// The connection is to end: of streams above `last` nothing has been done.
    pub async fn go_away(&mut self, last: u32) {
        self.go_away_for(last, NO_ERROR).await;
    }

    /// The same, for this reason.
    pub async fn go_away_for(&mut self, last: u32, reason: u32) {
        let mut payload = last.to_be_bytes().to_vec();
        payload.extend(reason.to_be_bytes());
        self.say(GOAWAY, 0, 0, &payload).await;
    }

    /// Says in one breath what it takes, and that it goes away.
    pub async fn greet_and_go_away(&mut self) {
        let settings = [0, 0, 0, SETTINGS, 0, 0, 0, 0, 0];
        let go_away = [0, 0, 8, GOAWAY, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let both = [&settings[..], &go_away].concat();
        let _ = self.socket.write_all(&both).await;
    }

    /// Waits until the client has read all that was said so far.
    pub async fn heard(&mut self) {
        self.heard_but(PING).await;
    }

    /// The same, and no frame of this kind comes meanwhile.
    pub async fn heard_but(&mut self, kind: u8) {
        self.say(PING, 0, 0, b"is heard").await;
        while let Some(frame) = self.frame().await {
            if frame.kind == PING && frame.flags & ACK != 0 {
                return;
            }
            assert!(frame.kind != kind || kind == PING, "{frame:?}");
            self.acknowledge(&frame).await;
        }
    }

    /// Ends the connection by a reset.
    pub fn abort(self) {
        let socket = socket2::SockRef::from(&self.socket);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Waits until the client closes the connection.
    pub async fn closed(&mut self) {
        while let Some(frame) = self.frame().await {
            self.acknowledge(&frame).await;
        }
    }
}

/// Settings of a client that speaks HTTP/2 wherever nothing else is asked for.
pub fn http2() -> ClientBuilder {
    Client::builder().version(HttpVersion::Http2)
}

pub async fn get(client: &Client, url: &str) -> Result<String, cenote_http::Error> {
    client.get(url).send().await?.text().await
}

/// Waits until this is so, by the machine's clock.
pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "never: {what}");
        tokio::task::yield_now().await;
        std::thread::sleep(Duration::from_micros(100));
    }
}
