//! Servers that take messages and never answer, on virtual time: which of them are up, which read, and what each has had.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote::endpoints::{Endpoint, EndpointSet, SetSender, channel};
use cenote::report::ConnectionInfo;
use cenote::shared::SharedPoolBuilder;
use cenote::{
    Connect, Dial, Multiplex, NotTaken, OneWay, OneWayPool, SharedPool, Signals, Verdict,
};

use crate::service::{pass, set_of};

/// Messages that a connection holds for a server that does not read.
pub const BUFFER: usize = 2;
/// A message that no connection can carry.
pub const UNSPEAKABLE: u32 = u32::MAX;
/// One at which the connector panics.
pub const DREADFUL: u32 = u32::MAX - 1;

#[derive(Default)]
struct Server {
    is_down: bool,
    /// It takes nothing in, and its connections hold what they can.
    is_deaf: bool,
    connect_time: Duration,
    goodbye_time: Duration,
    dialled: usize,
    open: usize,
    /// Connections that are dead, and do not know it yet.
    dead: Vec<u64>,
    /// Of each connection, how many messages it holds, and how it tells of room.
    lines: BTreeMap<u64, (Vec<u32>, Signals)>,
    heard: Vec<u32>,
    /// How often a connection was asked to take a message.
    asked: usize,
}

#[derive(Default)]
struct Servers {
    by_name: BTreeMap<String, Server>,
    next: u64,
}

/// All servers there are or ever were, by name.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Servers>>);

/// A connection to one of them.
pub struct Line {
    server: String,
    number: u64,
    lines: Lines,
}

/// The connector of one of them.
pub struct To {
    name: String,
    lines: Lines,
}

pub type Pool = OneWayPool<To>;

impl Lines {
    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Server) -> T) -> T {
        let mut servers = self.0.lock().unwrap();
        act(servers.by_name.entry(name.into()).or_default())
    }

    pub fn set_connect_time(&self, name: &str, time: Duration) {
        self.with(name, |server| server.connect_time = time);
    }

    /// How long its connections take to close.
    pub fn set_goodbye_time(&self, name: &str, time: Duration) {
        self.with(name, |server| server.goodbye_time = time);
    }

    /// Refuses connections.
    pub fn set_down(&self, name: &str, is_down: bool) {
        self.with(name, |server| server.is_down = is_down);
    }

    /// From now on it reads nothing.
    pub fn stop_reading(&self, name: &str) {
        self.with(name, |server| server.is_deaf = true);
    }

    /// It reads again, what its connections hold first.
    pub fn read(&self, name: &str) {
        let signals = self.with(name, |server| {
            server.is_deaf = false;
            let mut signals = Vec::new();
            for (held, signal) in server.lines.values_mut() {
                server.heard.append(held);
                signals.push(signal.clone());
            }
            signals
        });
        signals.iter().for_each(Signals::ask_again);
    }

    /// Its connections die, which they do not know: the next message finds out.
    pub fn cut(&self, name: &str) {
        self.with(name, |server| {
            server.dead = server.lines.keys().copied().collect();
        });
    }

    pub fn heard(&self, name: &str) -> Vec<u32> {
        self.with(name, |server| server.heard.clone())
    }

    pub fn asked(&self, name: &str) -> usize {
        self.with(name, |server| server.asked)
    }

    pub fn open(&self, name: &str) -> usize {
        self.with(name, |server| server.open)
    }

    pub fn dialled(&self, name: &str) -> usize {
        self.with(name, |server| server.dialled)
    }

    /// Connections to the server of this name, and no other.
    pub fn connections_to(&self, name: &str) -> SharedPoolBuilder<To> {
        SharedPool::builder(To {
            name: name.into(),
            lines: self.clone(),
        })
    }

    /// Connections to servers of these names, and what changes the set of them.
    pub fn connections(&self, names: &[&str]) -> (SetSender<String>, SharedPoolBuilder<To>) {
        self.connections_over(set_of(names))
    }

    /// Connections to the servers of this set, at their first address if they have any, and what changes it.
    pub fn connections_over(
        &self,
        set: EndpointSet<String>,
    ) -> (SetSender<String>, SharedPoolBuilder<To>) {
        let (sender, source) = channel();
        sender.send(set);
        let lines = self.clone();
        let connections = SharedPool::balanced(source, move |at: &Endpoint<String>| {
            let address = at.addresses.first().map(ToString::to_string);
            To {
                name: address.unwrap_or_else(|| at.key.clone()),
                lines: lines.clone(),
            }
        });
        (sender, connections.seed(7))
    }

    /// A pool over them.
    pub fn pool(&self, names: &[&str]) -> (SetSender<String>, Pool) {
        let (sender, connections) = self.connections(names);
        (sender, OneWayPool::new(connections.build().unwrap()))
    }
}

impl Connect for To {
    type Connection = Line;
    type Error = io::Error;

    async fn connect(&self, dial: &Dial) -> io::Result<Line> {
        let (is_down, time) = self.lines.with(&self.name, |server| {
            server.dialled += 1;
            (server.is_down, server.connect_time)
        });
        pass(time).await;
        if is_down {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let number = {
            let mut servers = self.lines.0.lock().unwrap();
            servers.next += 1;
            servers.next
        };
        self.lines.with(&self.name, |server| {
            server.open += 1;
            server.lines.insert(number, (Vec::new(), dial.signals()));
        });
        Ok(Line {
            server: self.name.clone(),
            number,
            lines: self.lines.clone(),
        })
    }

    fn is_open(&self, line: &Line) -> bool {
        let alive = |server: &mut Server| server.lines.contains_key(&line.number);
        self.lines.with(&self.name, alive)
    }

    fn verdict(&self, _: &mut Line) -> Verdict {
        Verdict::Reuse
    }

    async fn close(&self, line: Line, _: &ConnectionInfo) {
        pass(self.lines.with(&self.name, |server| server.goodbye_time)).await;
        drop(line);
    }

    fn endpoint(&self) -> Option<String> {
        Some(self.name.clone())
    }
}

impl Multiplex for To {
    fn capacity(&self, line: &Line) -> usize {
        self.lines.with(&self.name, |server| {
            let held = server
                .lines
                .get(&line.number)
                .map_or(0, |(held, _)| held.len());
            if held < BUFFER { 1_000 } else { 0 }
        })
    }
}

impl OneWay for To {
    type Message = u32;

    fn hand_over(&self, line: &Line, message: u32) -> Result<(), NotTaken<u32>> {
        assert_eq!(line.server, self.name, "by its own connector");
        assert_ne!(message, DREADFUL);
        self.lines.with(&self.name, |server| {
            server.asked += 1;
            if message == UNSPEAKABLE {
                return Err(NotTaken::Refused("unspeakable".into()));
            }
            if server.dead.contains(&line.number) {
                server.lines.remove(&line.number);
            }
            let Some((held, _)) = server.lines.get_mut(&line.number) else {
                return Err(NotTaken::Back(message));
            };
            match server.is_deaf {
                false => server.heard.push(message),
                true if held.len() < BUFFER => held.push(message),
                true => return Err(NotTaken::Back(message)),
            }
            Ok(())
        })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.lines.with(&self.server, |server| {
            server.open -= 1;
            server.lines.remove(&self.number);
        });
    }
}
