//! One SMTP session (RFC 5321): commands, their replies, and a mark of how far its last user came.
//!
//! Any call may be dropped at any await. What was read of a line stays in the session; what cannot be mended, half a
//! command or half a mail, is marked before the await in which it may happen.

use std::io;

use cenote::net::{DialError, HostsError, Socket, is_quiet};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// The bytes that one reply may have; RFC 5321 asks for 512 a line.
const LONGEST_REPLY: usize = 64 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("no mail server of the list can be used")]
    Hosts(#[source] HostsError<SmtpError>),
    #[error("the connection to the mail server failed")]
    Io(#[from] io::Error),
    #[error("the mail server closed the connection")]
    Closed,
    #[error("the mail server's reply to {command} is no SMTP")]
    Malformed { command: &'static str },
    #[error("the mail server refused {command}: {} {}", reply.code, reply.text)]
    Refused { command: &'static str, reply: Reply },
    #[error("an address with a line break or a bracket in it")]
    Address,
    #[error("a call on this session was given up half-way; take another lease")]
    CutShort,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub text: String,
}

pub struct Mail {
    pub from: String,
    pub to: String,
    pub text: String,
}

/// What the server makes of the next command, once it has answered the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The first of a mail.
    Fresh,
    /// One of a mail that was begun, unless it is `RSET`.
    InMail,
    /// The rest of a command or of a mail that was cut short, or nothing at all. There is no way back.
    Over,
}

pub struct Session {
    stream: BufReader<Socket>,
    /// What has been read of a line.
    line: Vec<u8>,
    state: State,
    /// A command was written whole, and its reply has not been read whole.
    reply_owed: bool,
}

impl Session {
    /// The session on a socket whose server is about to greet.
    pub fn new(socket: Socket) -> Self {
        Self {
            stream: BufReader::new(socket),
            line: Vec::new(),
            state: State::Fresh,
            reply_owed: true,
        }
    }

    /// Reads the greeting and says who we are.
    pub async fn begin(&mut self, name: &str) -> Result<(), SmtpError> {
        accepted("the connection", self.reply("the connection").await?)?;
        self.ask("EHLO", name, State::Fresh).await
    }

    /// Hands a mail over: once this is `Ok`, the server is responsible for it.
    pub async fn deliver(&mut self, mail: &Mail) -> Result<(), SmtpError> {
        let (from, to) = (address(&mail.from)?, address(&mail.to)?);
        if self.state == State::InMail {
            self.reset().await?;
        }
        self.ask("MAIL", &format!("FROM:<{from}>"), State::InMail)
            .await?;
        self.ask("RCPT", &format!("TO:<{to}>"), State::InMail)
            .await?;
        // From here to the last dot the server may take whatever comes for a part of the mail, `RSET` included.
        self.write("DATA\r\n", State::Over).await?;
        let reply = self.reply("DATA").await?;
        if reply.code != 354 {
            return Err(SmtpError::Refused {
                command: "DATA",
                reply,
            });
        }
        self.write(&as_data(&mail.text), State::Fresh).await?;
        accepted("the mail", self.reply("the mail").await?)
    }

    /// A question that changes nothing.
    pub async fn noop(&mut self) -> Result<(), SmtpError> {
        self.ask("NOOP", "", self.state).await
    }

    /// Reads the reply that is owed, if one is, and has the server forget the mail that was begun.
    pub async fn reset(&mut self) -> Result<(), SmtpError> {
        if self.reply_owed {
            self.reply("a command given up").await?;
        }
        self.ask("RSET", "", State::Fresh).await
    }

    /// Says goodbye.
    pub async fn quit(&mut self) -> Result<(), SmtpError> {
        self.ask("QUIT", "", State::Over).await
    }

    /// Whether the server is still there, and has said nothing that nobody asked for. What it says while it owes a
    /// reply, [`reset`](Self::reset) reads.
    pub fn is_open(&self) -> bool {
        let nothing_read = self.line.is_empty() && self.stream.buffer().is_empty();
        self.reply_owed || nothing_read && is_quiet(self.stream.get_ref())
    }

    /// As after the greeting.
    pub fn is_fresh(&self) -> bool {
        self.state == State::Fresh && !self.reply_owed
    }

    /// Nothing brings this session back.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    async fn ask(
        &mut self,
        command: &'static str,
        argument: &str,
        then: State,
    ) -> Result<(), SmtpError> {
        // The next reply to be read would be the one to the command before.
        if self.reply_owed || self.state == State::Over {
            return Err(SmtpError::CutShort);
        }
        let line = format!("{command} {argument}");
        self.write(&format!("{}\r\n", line.trim_end()), then)
            .await?;
        accepted(command, self.reply(command).await?)
    }

    /// Writes a command or a mail, after which the server is in the state `then`.
    async fn write(&mut self, text: &str, then: State) -> Result<(), SmtpError> {
        self.state = State::Over;
        self.stream.write_all(text.as_bytes()).await?;
        self.state = then;
        self.reply_owed = true;
        Ok(())
    }

    /// Reads a reply, which may have several lines, to its end.
    async fn reply(&mut self, command: &'static str) -> Result<Reply, SmtpError> {
        let mut text = String::new();
        loop {
            let line = self.read_line(command).await?;
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let (Some(code), true) = (code, text.len() < LONGEST_REPLY) else {
                return Err(self.malformed(command));
            };
            text.push_str(line.get(4..).unwrap_or_default());
            if line.as_bytes().get(3) == Some(&b'-') {
                text.push('\n');
                continue;
            }
            self.reply_owed = false;
            // The server is about to close the connection, whatever it was asked.
            if code == 421 {
                self.state = State::Over;
            }
            return Ok(Reply { code, text });
        }
    }

    async fn read_line(&mut self, command: &'static str) -> Result<String, SmtpError> {
        loop {
            let input = self.stream.fill_buf().await?;
            if input.is_empty() {
                return Err(SmtpError::Closed);
            }
            let end = input.iter().position(|&byte| byte == b'\n');
            let taken = end.map_or(input.len(), |end| end + 1);
            // Kept in the session, for the caller may leave at the next await.
            self.line.extend_from_slice(&input[..taken]);
            self.stream.consume(taken);
            if end.is_some() {
                let line = std::mem::take(&mut self.line);
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.line.len() > LONGEST_REPLY {
                return Err(self.malformed(command));
            }
        }
    }

    fn malformed(&mut self, command: &'static str) -> SmtpError {
        self.state = State::Over;
        SmtpError::Malformed { command }
    }
}

fn accepted(command: &'static str, reply: Reply) -> Result<(), SmtpError> {
    match reply.code {
        200..=299 => Ok(()),
        _ => Err(SmtpError::Refused { command, reply }),
    }
}

/// An address that cannot end its command and begin another.
fn address(text: &str) -> Result<&str, SmtpError> {
    match text.contains(|c: char| c.is_control() || "<>".contains(c)) {
        true => Err(SmtpError::Address),
        false => Ok(text),
    }
}

/// A text as the content of a mail: lines end as they should, and none of them is the dot that ends the mail.
fn as_data(text: &str) -> String {
    let mut data = String::new();
    for line in text.lines() {
        if line.starts_with('.') {
            data.push('.');
        }
        data.push_str(&line.replace('\r', ""));
        data.push_str("\r\n");
    }
    data + ".\r\n"
}
