//! Many pools under one budget, as an event simulation on a time of its own: what each rule for moving permits makes of
//! the rate, of the longest wait, and of the pools that are served at all. Leases take 2 ms in the mean, exponentially;
//! a dial takes 20 ms and counts as a connection; each user asks again as soon as it was served.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use fastrand::Rng;

use super::*;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const LEASE: f64 = 2.0 * MS as f64;
const DIAL: u64 = 20 * MS;

/// When a permit moves from one pool to another.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    Never,
    /// Only with an idle connection.
    Idle,
    /// And with one that comes back, once its pool has had it for so long.
    Quantum(u64),
}

/// Strictly in the order of the waiters.
const FIFO: Rule = Rule::Quantum(0);

#[derive(Clone, Copy)]
struct Workload {
    pools: usize,
    budget: usize,
    users: usize,
    /// The exponent of the pools' popularity: 0 is uniform.
    zipf: f64,
    /// Whether each user keeps to one pool, or chooses anew each time.
    bound: bool,
}

/// Hardly more users than pools, and five times as many pools as connections.
const SPREAD: Workload = Workload {
    pools: 500,
    budget: 100,
    users: 1_000,
    zipf: 0.0,
    bound: false,
};
/// A few pools have most of the users.
const SKEWED: Workload = Workload {
    users: 5_000,
    zipf: 1.0,
    ..SPREAD
};
const SATURATED: Workload = Workload {
    pools: 100,
    budget: 20,
    users: 2_000,
    zipf: 0.0,
    bound: false,
};
/// No pool ever runs out of waiters.
const BOUND: Workload = Workload {
    pools: 30,
    budget: 20,
    users: 2_000,
    zipf: 0.5,
    bound: true,
};

#[derive(Debug)]
struct Outcome {
    /// Leases a second.
    rate: f64,
    /// Milliseconds, those who still wait at the end included.
    longest_wait: u64,
    never_served: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Asks {
        user: usize,
    },
    Dialled {
        pool: usize,
    },
    Returns {
        pool: usize,
        held_since: u64,
        user: usize,
    },
}

#[derive(Default)]
struct Pool {
    /// Users, and since when they wait.
    waiters: VecDeque<(u64, usize)>,
    opening: usize,
    open: usize,
    asked: bool,
    served: u64,
}

struct Simulation {
    workload: Workload,
    rule: Rule,
    rng: Rng,
    /// Of the pools' popularity, the sums.
    weights: Vec<f64>,
    now: u64,
    agenda: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    planned: u64,
    pools: Vec<Pool>,
    /// Of all pools, the longest idle first: since when, the pool, and since when that has it.
    idle: BTreeSet<(u64, usize, u64, u64)>,
    /// The user's own pool, where it is bound to one.
    own: Vec<usize>,
    /// Open and opening, over all pools.
    occupied: usize,
    line: Line<usize>,
    longest_wait: u64,
}

impl Simulation {
    fn new(workload: Workload, rule: Rule) -> Self {
        let mut sum = 0.0;
        let weights = (1..=workload.pools)
            .map(|rank| {
                sum += (rank as f64).powf(-workload.zipf);
                sum
            })
            .collect();
        let mut this = Self {
            workload,
            rule,
            rng: Rng::with_seed(1),
            weights,
            now: 0,
            agenda: BinaryHeap::new(),
            planned: 0,
            pools: (0..workload.pools).map(|_| Pool::default()).collect(),
            idle: BTreeSet::new(),
            own: Vec::new(),
            occupied: 0,
            line: Line::new(),
            longest_wait: 0,
        };
        this.own = (0..workload.users).map(|_| this.draw()).collect();
        for user in 0..workload.users {
            this.plan(0, Happening::Asks { user });
        }
        this
    }

    fn exponential(&mut self, mean: f64) -> u64 {
        (mean * -(1.0 - self.rng.f64()).ln()) as u64
    }

    fn draw(&mut self) -> usize {
        let sum = self.weights.last().copied().unwrap_or_default();
        let drawn = self.rng.f64() * sum;
        self.weights.partition_point(|weight| *weight <= drawn)
    }

    fn plan(&mut self, after: u64, what: Happening) {
        self.planned += 1;
        self.agenda
            .push(Reverse((self.now + after, self.planned, what)));
    }

    fn run(mut self, length: u64) -> Outcome {
        while let Some(Reverse((at, _, what))) = self.agenda.pop() {
            if at >= length {
                break;
            }
            self.now = at;
            match what {
                Happening::Asks { user } => self.ask(user),
                Happening::Dialled { pool } => {
                    self.pools[pool].opening -= 1;
                    self.pools[pool].open += 1;
                    if self.pools[pool].waiters.is_empty() {
                        self.give_back(pool, self.now);
                    } else {
                        self.lease(pool, self.now);
                    }
                    self.grow(pool);
                }
                Happening::Returns {
                    pool,
                    held_since,
                    user,
                } => {
                    self.plan(0, Happening::Asks { user });
                    self.give_back(pool, held_since);
                }
            }
            assert!(self.occupied <= self.workload.budget);
        }
        let waiting = self.pools.iter().filter_map(|pool| pool.waiters.front());
        let still = waiting.map(|(since, _)| length - since).max();
        let never_served = |pool: &&Pool| pool.asked && pool.served == 0;
        let served: u64 = self.pools.iter().map(|pool| pool.served).sum();
        Outcome {
            rate: served as f64 / (length / SECOND) as f64,
            longest_wait: self.longest_wait.max(still.unwrap_or(0)) / MS,
            never_served: self.pools.iter().filter(never_served).count(),
        }
    }

    fn ask(&mut self, user: usize) {
        let pool = match self.workload.bound {
            true => self.own[user],
            false => self.draw(),
        };
        self.pools[pool].asked = true;
        self.pools[pool].waiters.push_back((self.now, user));
        let own = self.idle.iter().find(|(_, whose, ..)| *whose == pool);
        if let Some(&(since, whose, number, held_since)) = own {
            self.idle.remove(&(since, whose, number, held_since));
            self.lease(pool, held_since);
        } else {
            self.grow(pool);
        }
    }

    fn lease(&mut self, pool: usize, held_since: u64) {
        let waiter = self.pools[pool].waiters.pop_front();
        let (since, user) = waiter.expect("called for a waiter");
        self.longest_wait = self.longest_wait.max(self.now - since);
        self.pools[pool].served += 1;
        let lasts = self.exponential(LEASE);
        self.plan(
            lasts,
            Happening::Returns {
                pool,
                held_since,
                user,
            },
        );
    }

    /// Since when the oldest waiter of a pool that is to open one more waits. Two at once only where that costs no
    /// other pool a connection, and the first two at that.
    fn wants(&self, pool: usize) -> Option<u64> {
        let Pool {
            waiters,
            opening,
            open,
            ..
        } = &self.pools[pool];
        let is_free = self.occupied < self.workload.budget;
        let at_once = if is_free && *open == 0 { 2 } else { 1 };
        waiters
            .front()
            .filter(|_| *opening < at_once.min(waiters.len()))
            .map(|(since, _)| *since)
    }

    /// Dials as many as are missing, as far as there are permits or idle connections of others.
    fn grow(&mut self, pool: usize) {
        while let Some(since) = self.wants(pool) {
            if self.occupied == self.workload.budget {
                let idle = self.idle.iter().map(|&one| (one.0, one));
                let taken = match self.rule {
                    Rule::Never => None,
                    _ => least_recently_used(idle),
                };
                let Some(taken) = taken else {
                    return self.line.enter(pool, since);
                };
                self.idle.remove(&taken);
                self.pools[taken.1].open -= 1;
                self.occupied -= 1;
            }
            self.dial(pool);
        }
        self.line.leave(pool);
    }

    fn dial(&mut self, pool: usize) {
        self.occupied += 1;
        self.pools[pool].opening += 1;
        self.plan(DIAL, Happening::Dialled { pool });
    }

    /// The pool with the oldest waiter of those that do wait for a permit.
    fn first_in_line(&mut self) -> Option<(u64, usize)> {
        loop {
            let (since, pool) = self.line.next(None)?;
            match self.wants(pool) {
                Some(is) if is == since => return Some((since, pool)),
                Some(younger) => self.line.enter(pool, younger),
                None => self.line.leave(pool),
            }
        }
    }

    /// A connection comes back to its pool, or has been opened for it.
    fn give_back(&mut self, pool: usize, held_since: u64) {
        let own_waiter = self.pools[pool].waiters.front().map(|(since, _)| *since);
        let next = self.first_in_line().filter(|(_, other)| *other != pool);
        let moves_to = next.filter(|(other_waiter, _)| {
            let returning = Returning {
                now: self.now,
                held_since,
                quantum: match self.rule {
                    Rule::Quantum(quantum) => quantum,
                    _ => u64::MAX,
                },
                own_waiter,
                other_waiter: *other_waiter,
            };
            self.rule != Rule::Never && changes_hands(&returning)
        });
        if let Some((_, other)) = moves_to {
            self.occupied -= 1;
            self.pools[pool].open -= 1;
            self.grow(other);
            self.grow(pool);
        } else if own_waiter.is_some() {
            self.lease(pool, held_since);
        } else {
            self.planned += 1;
            self.idle.insert((self.now, pool, self.planned, held_since));
        }
    }
}

fn simulate(workload: Workload, rule: Rule, seconds: u64) -> Outcome {
    Simulation::new(workload, rule).run(seconds * SECOND)
}

#[test]
fn where_permits_never_move_most_pools_are_never_served_and_the_users_of_all_end_up_there() {
    let never = simulate(SPREAD, Rule::Never, 2);
    let idle = simulate(SPREAD, Rule::Idle, 2);
    assert!(never.never_served > 300, "{never:?}");
    assert!(never.rate < idle.rate / 20.0, "{never:?} of {idle:?}");
    assert_eq!(idle.never_served, 0, "{idle:?}");
}

#[test]
fn where_only_idle_connections_move_half_of_the_saturated_pools_are_never_served() {
    let idle = simulate(BOUND, Rule::Idle, 4);
    assert!((12..=18).contains(&idle.never_served), "{idle:?}");
}

#[test]
fn in_the_strict_order_of_waiters_a_third_of_the_rate_and_more_goes_into_dials() {
    for workload in [SPREAD, SKEWED, SATURATED, BOUND] {
        let idle = simulate(workload, Rule::Idle, 1);
        let fifo = simulate(workload, FIFO, 1);
        assert!(fifo.rate < idle.rate * 0.65, "{fifo:?} of {idle:?}");
    }
}

/// Over 5 s: 84 % of the rate at five dial times and 91 % at ten where every pool is saturated, elsewhere 88 to 100 %.
#[test]
fn with_a_quantum_of_some_dial_times_most_of_the_rate_is_kept() {
    for workload in [SPREAD, SKEWED, SATURATED, BOUND] {
        let idle = simulate(workload, Rule::Idle, 2);
        for (quantum, kept) in [(5 * DIAL, 0.78), (quantum(DIAL), 0.83), (10 * DIAL, 0.85)] {
            let outcome = simulate(workload, Rule::Quantum(quantum), 2);
            assert!(outcome.rate > idle.rate * kept, "{outcome:?} of {idle:?}");
        }
    }
}

#[test]
fn with_a_quantum_every_pool_is_served_and_nobody_waits_for_long() {
    let longest = [
        (SPREAD, 250),
        (SKEWED, 600),
        (SATURATED, 900),
        (BOUND, 1_500),
    ];
    for (workload, longest) in longest {
        let outcome = simulate(workload, Rule::Quantum(quantum(DIAL)), 4);
        assert_eq!(outcome.never_served, 0, "{outcome:?}");
        assert!(outcome.longest_wait < longest, "{outcome:?}");
    }
}
