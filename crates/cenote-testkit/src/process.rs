//! A server's processes: the one that was started and all it has forked since, found by parentage.
//!
//! PostgreSQL puts each of its processes into a process group of its own, so a signal to the group
//! of the server would miss every connection. Identity is process id and start time together: an id
//! used again by another process is never signalled.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(2);
const FREEZE_WITHIN: Duration = Duration::from_secs(5);

/// One process of this machine, as `/proc/<pid>/stat` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    pid: i32,
    parent: i32,
    state: char,
    started: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The program's name, in parentheses, may itself contain spaces and parentheses.
    fn parse(line: &str) -> Option<Self> {
        let pid = line.split_whitespace().next()?.parse().ok()?;
        let (_, rest) = line.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        // Fields 5 to 21 are of no interest here; 22 is the start time.
        let started = fields.nth(17)?.parse().ok()?;
        Some(Self {
            pid,
            parent,
            state,
            started,
        })
    }

    fn everywhere() -> Vec<Self> {
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| Self::read(entry.ok()?.file_name().to_str()?.parse().ok()?))
            .collect()
    }

    fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }

    /// The same process as it is now, if it still runs.
    fn now(&self) -> Option<Self> {
        Self::read(self.pid).filter(|now| now.started == self.started && now.is_alive())
    }

    fn signal(&self, signal: Signal) {
        if let (Some(_), Some(pid)) = (self.now(), Pid::from_raw(self.pid)) {
            // It may end between the look and the signal; then there is nothing to do.
            let _ = kill_process(pid, signal);
        }
    }
}

/// The process that was started as `root`, with its descendants.
#[derive(Debug)]
pub(crate) struct ProcessTree {
    root: Stat,
}

impl ProcessTree {
    /// `None` if no such process runs.
    pub(crate) fn of(root: u32) -> Option<Self> {
        let root = Stat::read(i32::try_from(root).ok()?).filter(Stat::is_alive)?;
        Some(Self { root })
    }

    /// Sends `signal` to the first process only.
    pub(crate) fn signal_root(&self, signal: Signal) {
        self.root.signal(signal);
    }

    /// Freezes all processes. The first one goes first and is waited for, so that it forks no more.
    pub(crate) fn freeze(&self) {
        self.freeze_and_list();
    }

    /// Lets all processes run on, the first one last, so that it never meets a frozen child.
    pub(crate) fn thaw(&self) {
        for process in self.list().iter().rev() {
            process.signal(Signal::CONT);
        }
    }

    /// Kills all processes, frozen or not, and returns who is still to be waited for.
    pub(crate) fn kill(&self) -> Dying {
        let processes = self.freeze_and_list();
        for process in processes.iter().rev() {
            process.signal(Signal::KILL);
        }
        Dying { processes }
    }

    fn freeze_and_list(&self) -> Vec<Stat> {
        let deadline = Instant::now() + FREEZE_WITHIN;
        let mut frozen = 0;
        loop {
            let processes = self.list();
            if processes.len() == frozen || Instant::now() > deadline {
                return processes;
            }
            frozen = processes.len();
            for process in &processes {
                process.signal(Signal::STOP);
            }
            while processes
                .iter()
                .any(|process| process.now().is_some_and(|now| now.state != 'T'))
                && Instant::now() < deadline
            {
                thread::sleep(POLL);
            }
        }
    }

    /// The living processes of the tree, parents before their children.
    fn list(&self) -> Vec<Stat> {
        let everywhere = Stat::everywhere();
        let mut tree: Vec<Stat> = self.root.now().into_iter().collect();
        let mut next = 0;
        while let Some(parent) = tree.get(next).copied() {
            let children = everywhere
                .iter()
                .filter(|p| p.parent == parent.pid && p.is_alive());
            tree.extend(children);
            next += 1;
        }
        tree
    }
}

/// Processes that were killed and take their time to go.
#[derive(Debug)]
pub(crate) struct Dying {
    processes: Vec<Stat>,
}

impl Dying {
    /// Waits until all are gone, at most until `deadline`. Returns how many are left.
    pub(crate) fn wait(&self, deadline: Instant) -> usize {
        loop {
            let left = self
                .processes
                .iter()
                .filter(|process| process.now().is_some())
                .count();
            if left == 0 || Instant::now() > deadline {
                return left;
            }
            thread::sleep(POLL);
        }
    }
}
