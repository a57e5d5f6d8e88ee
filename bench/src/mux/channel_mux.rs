//! The design usually written by hand: a channel of requests, a map of one-shot channels by tag, and two tasks.
//!
//! The writer lets the callers that can run do so, takes all requests that have gathered, notes who waits for which tag
//! and sends them with one write: without that yield it runs after the first of them, and writes are a few frames. The
//! reader decodes all replies that have come and passes them on. Each locks the map once a batch. When a task ends, the
//! channels it held close, which is how callers hear of it.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task;

use super::frame::{FRAME, Frame, Payload};
use super::subject::Subject;
use crate::callers::CallError;

/// Requests that may wait to be written, and that go into one write.
const QUEUE: usize = 1_024;

#[derive(Clone)]
pub struct ChannelMux {
    requests: mpsc::Sender<Request>,
}

struct Request {
    payload: Payload,
    reply: oneshot::Sender<Payload>,
}

/// Who waits for the reply with which tag.
type Pending = Mutex<HashMap<u32, oneshot::Sender<Payload>>>;

impl Subject for ChannelMux {
    const NAME: &'static str = "channel_mux";

    async fn open(server: SocketAddr) -> Result<Self, CallError> {
        let connection = TcpStream::connect(server).await?;
        connection.set_nodelay(true)?;
        let (read_half, write_half) = connection.into_split();
        let (requests, queue) = mpsc::channel(QUEUE);
        let pending = Arc::new(Pending::default());
        tokio::spawn(write(queue, Arc::clone(&pending), write_half));
        tokio::spawn(read(read_half, pending));
        Ok(Self { requests })
    }

    async fn call(&mut self, payload: Payload) -> Result<Payload, CallError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request { payload, reply }).await?;
        Ok(answer.await?)
    }
}

async fn write(
    mut queue: mpsc::Receiver<Request>,
    pending: Arc<Pending>,
    mut connection: OwnedWriteHalf,
) -> io::Result<()> {
    let mut batch = Vec::with_capacity(QUEUE);
    let mut frames = BytesMut::with_capacity(QUEUE * FRAME);
    let mut tag = 0_u32;
    while queue.recv_many(&mut batch, QUEUE).await > 0 {
        task::yield_now().await;
        while batch.len() < QUEUE
            && let Ok(request) = queue.try_recv()
        {
            batch.push(request);
        }
        frames.clear();
        {
            let mut pending = pending.lock().unwrap_or_else(PoisonError::into_inner);
            for Request { payload, reply } in batch.drain(..) {
                pending.insert(tag, reply);
                Frame { tag, payload }.put(&mut frames);
                tag = tag.wrapping_add(1);
            }
        }
        connection.write_all(&frames).await?;
    }
    Ok(())
}

async fn read(mut connection: OwnedReadHalf, pending: Arc<Pending>) -> io::Result<()> {
    let mut bytes = BytesMut::with_capacity(QUEUE * FRAME);
    let mut answered = Vec::with_capacity(QUEUE);
    loop {
        bytes.reserve(QUEUE * FRAME);
        if connection.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
        {
            let mut pending = pending.lock().unwrap_or_else(PoisonError::into_inner);
            while let Some(Frame { tag, payload }) = Frame::take(&mut bytes)? {
                // A tag nobody waits for is the reply to a call that was given up.
                answered.extend(pending.remove(&tag).map(|reply| (reply, payload)));
            }
        }
        for (reply, payload) in answered.drain(..) {
            // The caller may have given up.
            let _ = reply.send(payload);
        }
    }
}
