//! A service of servers on virtual time: how long each takes for a call, what it answers, and when it is down.
//!
//! Servers are known by number, which is the key of their endpoints. A call occupies a connection, as it does in a driver;
//! where calls queue *in the server*, the pool has connections enough for all of them.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cenote::endpoints::{Endpoint, EndpointSet, IntoDiscovery, Outcome, fixed};
use cenote::pool::PoolBuilder;
use cenote::{Connect, Dial, Pool, Verdict};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

/// How long a call takes: `fixed`, and `per_unit` times what is drawn for the call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    pub fixed: Duration,
    pub per_unit: Duration,
}

impl Pace {
    pub fn always(fixed: Duration) -> Self {
        Self {
            fixed,
            per_unit: Duration::ZERO,
        }
    }

    fn of(self, draw: f64) -> Duration {
        let seconds = self.fixed.as_secs_f64() + self.per_unit.as_secs_f64() * draw;
        Duration::from_secs_f64(seconds.max(0.0))
    }
}

/// How a server works on several calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discipline {
    #[default]
    AllAtOnce,
    /// In the order they came.
    OneByOne,
}

#[derive(Default)]
struct Server {
    pace: Pace,
    discipline: Discipline,
    /// How large a part of the calls fails.
    failing: f64,
    is_down: bool,
    /// Connections with this number or less were open when it went down.
    last_dead: u64,
    /// Where it works one by one: when it will have done what there is.
    busy_until: Option<Instant>,
    in_flight: usize,
    calls: u32,
}

#[derive(Default)]
struct Place {
    server: Mutex<Server>,
    went_down: Notify,
}

/// All servers.
#[derive(Clone)]
pub struct Service {
    places: Arc<[Place]>,
    next: Arc<Mutex<u64>>,
}

impl Service {
    /// So many servers, all of this pace.
    pub fn new(servers: usize, pace: Pace) -> Self {
        let service = Self {
            places: (0..servers).map(|_| Place::default()).collect(),
            next: Arc::default(),
        };
        for server in 0..servers {
            service.set_pace(server, pace);
        }
        service
    }

    pub fn working(self, discipline: Discipline) -> Self {
        for place in &*self.places {
            place.server().discipline = discipline;
        }
        self
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Of the calls that begin from now on.
    pub fn set_pace(&self, server: usize, pace: Pace) {
        self.places[server].server().pace = pace;
    }

    /// So large a part of its calls fails, evenly among them.
    pub fn set_failing(&self, server: usize, part: f64) {
        self.places[server].server().failing = part;
    }

    /// Ends its connections and the calls on them, and refuses others; how many calls were under way.
    pub fn stop(&self, server: usize) -> usize {
        let last_dead = *lock(&self.next);
        let place = &self.places[server];
        let in_flight = {
            let mut server = place.server();
            server.is_down = true;
            server.last_dead = last_dead;
            server.in_flight
        };
        place.went_down.notify_waiters();
        in_flight
    }

    pub fn start(&self, server: usize) {
        self.places[server].server().is_down = false;
    }

    /// Calls it has that have not ended.
    pub fn in_flight(&self, server: usize) -> usize {
        self.places[server].server().in_flight
    }

    /// A pool over all of them with settings that leave its connections alone.
    pub fn pool(&self) -> PoolBuilder<To> {
        self.pool_of(fixed(EndpointSet::of(0..self.len())))
            .acquire_timeout(None)
            .max_waiters(None)
            .idle_timeout(None)
            .max_lifetime(None)
            .check_after_idle(None)
            .keepalive(None)
    }

    /// A pool over those that the source tells, with the default settings.
    pub fn pool_of<S: IntoDiscovery<Key = usize>>(&self, source: S) -> PoolBuilder<To> {
        let service = self.clone();
        Pool::balanced(source, move |at: &Endpoint<usize>| To {
            server: at.key,
            service: service.clone(),
        })
    }
}

impl Place {
    fn server(&self) -> MutexGuard<'_, Server> {
        lock(&self.server)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics under it")
}

/// How long it takes to connect.
const CONNECT_TIME: Duration = Duration::from_millis(1);

/// The connector of one of them.
pub struct To {
    server: usize,
    service: Service,
}

/// A connection to one of them.
pub struct Conn {
    pub server: usize,
    number: u64,
    service: Service,
}

impl Conn {
    /// A call for which this was drawn. Where its server goes down, it fails at once.
    pub async fn call(&self, draw: f64) -> Outcome {
        let place = &self.service.places[self.server];
        let (ends_at, outcome) = {
            let mut server = place.server();
            if self.number <= server.last_dead {
                return Outcome::Failed;
            }
            server.in_flight += 1;
            server.calls += 1;
            let failed_by = |calls: u32| (f64::from(calls) * server.failing) as u32;
            let outcome = if failed_by(server.calls) > failed_by(server.calls - 1) {
                Outcome::Failed
            } else {
                Outcome::Ok
            };
            let now = Instant::now();
            let begins_at = match (server.discipline, server.busy_until) {
                (Discipline::OneByOne, Some(busy_until)) => busy_until.max(now),
                _ => now,
            };
            let ends_at = begins_at + server.pace.of(draw);
            server.busy_until = Some(ends_at);
            (ends_at, outcome)
        };
        let outcome = tokio::select! {
            biased;
            () = place.went_down.notified() => Outcome::Failed,
            () = sleep_until(ends_at) => outcome,
        };
        place.server().in_flight -= 1;
        outcome
    }
}

impl Connect for To {
    type Connection = Conn;
    type Error = io::Error;

    async fn connect(&self, _: &Dial) -> io::Result<Conn> {
        sleep(CONNECT_TIME).await;
        if self.service.places[self.server].server().is_down {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let mut next = lock(&self.service.next);
        *next += 1;
        Ok(Conn {
            server: self.server,
            number: *next,
            service: self.service.clone(),
        })
    }

    fn is_open(&self, conn: &Conn) -> bool {
        conn.number > self.service.places[self.server].server().last_dead
    }

    fn verdict(&self, _: &mut Conn) -> Verdict {
        Verdict::Reuse
    }

    fn endpoint(&self) -> Option<String> {
        Some(self.server.to_string())
    }
}
