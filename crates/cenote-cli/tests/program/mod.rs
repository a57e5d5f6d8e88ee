//! Runs the built `cenote` and looks at what it says; plays servers for it to load.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// `cenote` with these arguments, not yet started. Its streams are pipes, not terminals, and nothing of the
/// environment that it looks at is set.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cenote"));
    command
        .args(arguments)
        .env_remove("PGPASSWORD")
        .env_remove("REDISCLI_AUTH")
        .env_remove("COLUMNS")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub fn run(arguments: &[&str]) -> Finished {
    Finished::from(program(arguments).output().expect("cenote starts"))
}

/// A short run with few users. What is under way at its end has another second.
pub fn stress(arguments: &[&str]) -> Finished {
    run(&[
        &["stress", "--users", "20", "--duration", "400ms"],
        arguments,
    ]
    .concat())
}

#[derive(Debug)]
pub struct Finished {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        Self {
            status: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Finished {
    /// Asserts that it did what it was asked to.
    pub fn succeeded(self) -> Self {
        assert_eq!(self.status, Some(0), "{self:?}");
        self
    }

    /// Asserts that it refused, with `status`, and that stderr has all of `parts`.
    pub fn refused(self, status: i32, parts: &[&str]) -> Self {
        assert_eq!(
            (self.status, self.stdout.as_str()),
            (Some(status), ""),
            "{self:?}"
        );
        for part in parts {
            assert!(
                self.stderr.contains(part),
                "{part:?} is not in: {}",
                self.stderr
            );
        }
        self
    }
}

/// Sends Ctrl-C's signal.
pub fn interrupt(child: &Child) {
    signal(child, "-INT");
}

/// Sends the signal that asks a program to end.
pub fn terminate(child: &Child) {
    signal(child, "-TERM");
}

fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .stderr(Stdio::null())
        .status();
    sent.expect("kill starts");
}

/// A path of its own for each test; nothing is there.
pub fn fresh_path(name: &str) -> PathBuf {
    let path =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

/// A port on which nothing listens.
pub fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

/// A server on a thread; it ends with the test's process.
pub struct Server {
    pub address: SocketAddr,
    answered: Arc<AtomicUsize>,
}

impl Server {
    /// Sends everything back.
    pub fn echo() -> Self {
        Self::start(|bytes, _| Some(bytes.to_vec()))
    }

    /// Sends back so many requests, then says nothing any more.
    pub fn echo_then_hang(requests: usize) -> Self {
        Self::start(move |bytes, answered| (answered < requests).then(|| bytes.to_vec()))
    }

    /// Answers what nobody sent.
    pub fn garble() -> Self {
        Self::start(|bytes, _| Some(vec![b'?'; bytes.len()]))
    }

    /// Reads, and never answers.
    pub fn hang() -> Self {
        Self::start(|_, _| None)
    }

    /// Answers as `answer` says to the bytes that came, after so many answers.
    pub fn start(answer: impl Fn(&[u8], usize) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (answer, answered) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        let counter = answered.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, counter) = (answer.clone(), counter.clone());
                thread::spawn(move || serve(stream, &*answer, &counter));
            }
        });
        Self { address, answered }
    }

    pub fn url(&self) -> String {
        format!("tcp://{}", self.address)
    }

    /// Waits until it has answered so many requests.
    pub fn wait_for(&self, requests: usize) {
        while self.answered.load(Ordering::SeqCst) < requests {
            thread::yield_now();
        }
    }
}

/// What to answer to some bytes, after so many answers.
trait Answer: Fn(&[u8], usize) -> Option<Vec<u8>> + Send + Sync + 'static {}
impl<F: Fn(&[u8], usize) -> Option<Vec<u8>> + Send + Sync + 'static> Answer for F {}

fn serve(mut stream: TcpStream, answer: &impl Answer, answered: &AtomicUsize) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        let Some(bytes) = answer(&buffer[..length], answered.load(Ordering::SeqCst)) else {
            continue;
        };
        if stream.write_all(&bytes).is_err() {
            return;
        }
        answered.fetch_add(1, Ordering::SeqCst);
    }
}
