//! A mail server for the example and its tests: it keeps what it is sent, and says no more than it is let.
#![allow(dead_code, reason = "the tests hold it back, the example does not")]

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone)]
pub struct Server {
    pub addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// How many bytes may be said from now on; `None`: any number.
    may_say: watch::Sender<Option<usize>>,
    /// Counts the times that all connections were closed.
    closings: watch::Sender<u64>,
    log: Mutex<Log>,
}

#[derive(Clone, Default)]
pub struct Log {
    pub sessions: usize,
    pub commands: Vec<String>,
    pub mails: Vec<Received>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    pub from: String,
    pub to: String,
    pub text: String,
}

impl Server {
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let server = Self {
            addr: listener.local_addr()?,
            shared: Arc::new(Shared {
                may_say: watch::channel(None).0,
                closings: watch::channel(0).0,
                log: Mutex::default(),
            }),
        };
        let shared = server.shared.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(shared.clone().attend(client));
            }
        });
        Ok(server)
    }

    pub fn log(&self) -> Log {
        self.shared.log().clone()
    }

    /// Lets this many more bytes be said.
    pub fn say_at_most(&self, bytes: usize) {
        self.shared.may_say.send_replace(Some(bytes));
    }

    /// Lets all be said.
    pub fn say_all(&self) {
        self.shared.may_say.send_replace(None);
    }

    /// Ends once all is said that may be.
    pub async fn has_said_all_it_may(&self) {
        let mut may_say = self.shared.may_say.subscribe();
        // The sender lives as long as this.
        let _ = may_say.wait_for(|left| *left == Some(0)).await;
    }

    /// Closes all connections with the word that servers have for it.
    pub fn hang_up(&self) {
        self.shared.closings.send_modify(|closings| *closings += 1);
    }
}

impl Shared {
    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().expect("nobody panics with the log in hand")
    }

    async fn attend(self: Arc<Self>, client: TcpStream) {
        let mut closings = self.closings.subscribe();
        let mut client = BufReader::new(client);
        self.log().sessions += 1;
        let hung_up = tokio::select! {
            _ = closings.changed() => true,
            _ = self.serve(&mut client) => false,
        };
        if hung_up {
            // The client may be gone.
            let _ = client.write_all(b"421 mail.example closing\r\n").await;
        }
    }

    async fn serve(&self, client: &mut BufReader<TcpStream>) -> io::Result<()> {
        let mut mail = Received::default();
        self.say(client, "220 mail.example ready").await?;
        loop {
            let line = read_line(client).await?;
            self.log().commands.push(line.clone());
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let address = rest.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
            let reply = match verb {
                "EHLO" => "250-mail.example\r\n250 SIZE".to_owned(),
                "MAIL" if mail.from.is_empty() => {
                    mail.from.clone_from(&address);
                    format!("250 from {address}")
                }
                "RCPT" if mail.from.is_empty() => "503 from whom?".to_owned(),
                "RCPT" if address.starts_with("nobody") => format!("550 no {address}"),
                "RCPT" => {
                    mail.to.clone_from(&address);
                    format!("250-to {address}\r\n250 go on")
                }
                "DATA" if !mail.to.is_empty() => {
                    self.say(client, "354 to the dot").await?;
                    mail.text = read_text(client).await?;
                    let text = format!("250 kept {}", mail.text.len());
                    self.log().mails.push(std::mem::take(&mut mail));
                    text
                }
                "RSET" => {
                    mail = Received::default();
                    "250 forgotten".to_owned()
                }
                "NOOP" => "250 fine".to_owned(),
                "QUIT" => return self.say(client, "221 bye").await,
                _ => format!("503 no {verb} now"),
            };
            self.say(client, &reply).await?;
        }
    }

    async fn say(&self, client: &mut BufReader<TcpStream>, reply: &str) -> io::Result<()> {
        let mut left = format!("{reply}\r\n").into_bytes();
        while !left.is_empty() {
            let mut may_say = self.may_say.subscribe();
            // The sender lives as long as this.
            let _ = may_say.wait_for(|may| *may != Some(0)).await;
            let mut now = left.len();
            self.may_say.send_modify(|may| {
                if let Some(may) = may {
                    now = now.min(*may);
                    *may -= now;
                }
            });
            client.write_all(&left[..now]).await?;
            left.drain(..now);
        }
        Ok(())
    }
}

async fn read_line(client: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    match client.read_line(&mut line).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line.trim_end().to_owned()),
    }
}

/// A mail's text, to the dot.
async fn read_text(client: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut text = String::new();
    loop {
        match read_line(client).await?.as_str() {
            "." => return Ok(text),
            line => {
                text.push_str(line.strip_prefix('.').unwrap_or(line));
                text.push('\n');
            }
        }
    }
}
