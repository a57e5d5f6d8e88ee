//! A server of lines, in the process: it echoes, or keeps silent.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use tokio::io::{DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::watch;
use tokio_util::codec::{Decoder, Encoder, Framed};

pub type Line = Bytes;

#[derive(Clone)]
pub struct Lines;

impl Encoder<Line> for Lines {
    type Error = io::Error;

    fn encode(&mut self, line: Line, out: &mut BytesMut) -> io::Result<()> {
        out.put(line);
        out.put_u8(b'\n');
        Ok(())
    }
}

impl Decoder for Lines {
    type Item = Line;
    type Error = io::Error;

    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<Line>> {
        let Some(end) = input.iter().position(|&byte| byte == b'\n') else {
            return Ok(None);
        };
        let line = input.split_to(end).freeze();
        input.advance(1);
        Ok(Some(line))
    }
}

#[derive(Clone)]
pub struct Server(Arc<State>);

struct State {
    /// So many lines are read without an answer, and each is then answered late, before the next.
    silent: usize,
    connections: AtomicUsize,
    seen: AtomicUsize,
    lines: Mutex<Vec<String>>,
    gone: watch::Sender<usize>,
}

impl Server {
    pub fn echoing() -> Self {
        Self::silent_at_first(0)
    }

    pub fn silent() -> Self {
        Self::silent_at_first(usize::MAX)
    }

    pub fn silent_at_first(silent: usize) -> Self {
        Self(Arc::new(State {
            silent,
            connections: AtomicUsize::new(0),
            seen: AtomicUsize::new(0),
            lines: Mutex::default(),
            gone: watch::Sender::new(0),
        }))
    }

    pub fn connect(&self) -> (ReadHalf<DuplexStream>, WriteHalf<DuplexStream>) {
        let (near, far) = duplex(1024);
        self.0.connections.fetch_add(1, Relaxed);
        tokio::spawn(serve(self.0.clone(), far));
        split(near)
    }

    pub fn connections(&self) -> usize {
        self.0.connections.load(Relaxed)
    }

    /// How many lines it has read.
    pub fn seen(&self) -> usize {
        self.0.seen.load(Relaxed)
    }

    /// All lines, once a client has gone.
    pub async fn lines(&self) -> Vec<String> {
        let mut gone = self.0.gone.subscribe();
        gone.wait_for(|&gone| gone > 0)
            .await
            .expect("the server lives");
        self.0.lines.lock().expect("no panic here").clone()
    }
}

async fn serve(state: Arc<State>, stream: DuplexStream) {
    let mut lines = Framed::new(stream, Lines);
    let mut owed = Vec::new();
    while let Some(Ok(line)) = lines.next().await {
        state
            .lines
            .lock()
            .expect("no panic here")
            .push(String::from_utf8_lossy(&line).into_owned());
        owed.push(line);
        if state.seen.fetch_add(1, Relaxed) < state.silent {
            continue;
        }
        for line in owed.drain(..) {
            if lines.send(line).await.is_err() {
                break;
            }
        }
    }
    state.gone.send_modify(|gone| *gone += 1);
}
