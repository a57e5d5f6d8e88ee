//! A server that speaks just enough RESP to be told exactly how to misbehave.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// What the server does about a command.
pub enum Answer {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes one by one, letting everyone else run in between.
    Dribble(Vec<u8>),
    /// Sends these bytes once the gate gives a permit.
    Behind(Arc<Semaphore>, Vec<u8>),
    /// Sends these bytes and closes the connection.
    Close(Vec<u8>),
    /// Never reads from this connection again.
    Stall,
}

/// Every command the server received, as words.
pub type Log = Arc<Mutex<Vec<Vec<String>>>>;

pub struct FakeRedis {
    port: u16,
    pub log: Log,
}

impl FakeRedis {
    /// Answers each command by `script`, which returns `None` for the usual answer: no HELLO, `OK` for
    /// what sets up a session, `PONG`, and for `TAG x` the text `x`.
    pub async fn start<S>(script: S) -> Self
    where
        S: Fn(&[String]) -> Option<Answer> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let log = Log::default();
        let script = Arc::new(script);
        let commands = log.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (script, commands) = (script.clone(), commands.clone());
                tokio::spawn(async move {
                    let _ = serve(socket, &*script, &commands).await;
                });
            }
        });
        Self { port, log }
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How many commands with this name arrived.
    pub fn count(&self, name: &str) -> usize {
        let log = self.log.lock().unwrap();
        log.iter().filter(|words| words[0] == name).count()
    }
}

async fn serve(
    socket: TcpStream,
    script: &(impl Fn(&[String]) -> Option<Answer> + Sync),
    log: &Log,
) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let (reader, mut writer) = socket.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let words = read_command(&mut reader).await?;
        log.lock().unwrap().push(words.clone());
        match script(&words).unwrap_or_else(|| usual(&words)) {
            Answer::Send(bytes) => writer.write_all(&bytes).await?,
            Answer::Dribble(bytes) => dribble(&mut writer, &bytes).await?,
            Answer::Behind(gate, bytes) => {
                gate.acquire().await.unwrap().forget();
                writer.write_all(&bytes).await?;
            }
            Answer::Close(bytes) => return writer.write_all(&bytes).await,
            Answer::Stall => std::future::pending().await,
        }
    }
}

async fn dribble(writer: &mut OwnedWriteHalf, bytes: &[u8]) -> std::io::Result<()> {
    for byte in bytes {
        writer.write_all(&[*byte]).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn read_command(reader: &mut BufReader<OwnedReadHalf>) -> std::io::Result<Vec<String>> {
    let count = read_header(reader).await?;
    let mut words = Vec::new();
    for _ in 0..count {
        let mut word = vec![0; read_header(reader).await? + 2];
        reader.read_exact(&mut word).await?;
        word.truncate(word.len() - 2);
        words.push(String::from_utf8_lossy(&word).into_owned());
    }
    Ok(words)
}

async fn read_header(reader: &mut BufReader<OwnedReadHalf>) -> std::io::Result<usize> {
    let mut line = String::new();
    if reader.read_line(&mut line).await? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line[1..].trim_end().parse().unwrap())
}

fn usual(words: &[String]) -> Answer {
    Answer::Send(match words[0].as_str() {
        "HELLO" => b"-ERR unknown command `HELLO`\r\n".to_vec(),
        "PING" => b"+PONG\r\n".to_vec(),
        "TAG" => bulk(&words[1]),
        _ => b"+OK\r\n".to_vec(),
    })
}

pub fn bulk(text: &str) -> Vec<u8> {
    format!("${}\r\n{text}\r\n", text.len()).into_bytes()
}

/// Polls at most `polls` times and drops the future; its output if it was ready by then.
pub async fn poll_at_most<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Waits until the condition holds. The limit only turns a hang into a failure.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..30_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never came true: {what}");
}

/// Awaits something that must end. The limit only turns a hang into a failure.
pub async fn ends<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(Duration::from_secs(60), future).await {
        Ok(output) => output,
        Err(_) => panic!("never ended: {what}"),
    }
}

/// A proxy that holds back what the server says while its gate is shut.
pub struct HeldReplies {
    port: u16,
    shut: tokio::sync::watch::Sender<bool>,
}

impl HeldReplies {
    pub async fn before(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (shut, gate) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let gate = gate.clone();
                tokio::spawn(async move {
                    let server = TcpStream::connect(("127.0.0.1", server_port)).await?;
                    let (mut from_client, to_client) = client.into_split();
                    let (from_server, mut to_server) = server.into_split();
                    tokio::spawn(pass_when_open(from_server, to_client, gate));
                    tokio::io::copy(&mut from_client, &mut to_server).await
                });
            }
        });
        Self { port, shut }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn hold(&self) {
        self.shut.send_replace(true);
    }

    pub fn release(&self) {
        self.shut.send_replace(false);
    }
}

async fn pass_when_open(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut gate: tokio::sync::watch::Receiver<bool>,
) {
    let mut piece = [0; 512];
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        let open = gate.wait_for(|shut| !shut).await.is_ok();
        if !open || to.write_all(&piece[..count]).await.is_err() {
            return;
        }
    }
}
