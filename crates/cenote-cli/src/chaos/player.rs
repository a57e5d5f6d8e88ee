//! Has a schedule happen to embedded servers, once for each run, and keeps when each step did.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cenote::endpoints::{EndpointSet, SetSender};

use super::schedule::{Action, Schedule, Step};
use crate::target::{Behaviour, EmbeddedServers, Place};

/// The servers, who is told which of them there are, and what is to befall them.
pub struct Chaos {
    servers: Arc<EmbeddedServers>,
    /// Of those that are there from the start.
    initial: usize,
    sender: SetSender<Place>,
    schedule: Schedule,
    happened: Mutex<Vec<Happened>>,
}

/// A step that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// Since the run began.
    pub at: Duration,
    pub action: Action,
    /// What the server is called.
    pub server: String,
}

impl Chaos {
    /// Of `servers` the `initial` first are there from the start.
    pub fn new(
        servers: Arc<EmbeddedServers>,
        initial: usize,
        sender: SetSender<Place>,
        schedule: Schedule,
    ) -> Self {
        let chaos = Self {
            servers,
            initial,
            sender,
            schedule,
            happened: Mutex::default(),
        };
        chaos.tell(initial);
        chaos
    }

    /// Carries out the schedule, from now on; then it rests. Dropped, it leaves the servers as they are by then.
    pub async fn play(&self) -> Infallible {
        let begin = Instant::now();
        for step in &self.schedule.steps {
            tokio::time::sleep_until((begin + step.at).into()).await;
            self.carry_out(step);
            let happened = Happened {
                at: begin.elapsed(),
                action: step.action,
                server: self.servers.place(step.server).to_string(),
            };
            self.happened().push(happened);
        }
        std::future::pending().await
    }

    /// All servers serve, those are there that were from the start. What happened since the last time.
    pub fn restore(&self) -> Vec<Happened> {
        self.tell(self.initial);
        for number in 0..self.initial + self.schedule.additions() {
            self.servers.set(number, Behaviour::Serving);
        }
        std::mem::take(&mut *self.happened())
    }

    fn carry_out(&self, step: &Step) {
        match step.action {
            Action::Kill => self.servers.set(step.server, Behaviour::Killed),
            Action::Freeze => self.servers.set(step.server, Behaviour::Frozen),
            Action::Restore => self.servers.set(step.server, Behaviour::Serving),
            Action::Add => self.tell(step.server + 1),
        }
    }

    /// The service consists of the first so many servers.
    fn tell(&self, servers: usize) {
        let places = (0..servers).map(|number| self.servers.place(number).clone());
        self.sender.send(EndpointSet::of(places));
    }

    fn happened(&self) -> MutexGuard<'_, Vec<Happened>> {
        self.happened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
