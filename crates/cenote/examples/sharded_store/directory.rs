//! Where each shard is: what a controller would tell. Told to the pools as it changes, not asked for again and again.

use std::net::SocketAddr;
use std::time::Duration;

use cenote::endpoints::{EndpointSet, SetSender, channel};
use cenote::error::SettingsError;

use super::client::Store;
use super::worker::Worker;

/// By shard.
pub struct Directory {
    views: Vec<SetSender<SocketAddr>>,
    table: Vec<SetSender<SocketAddr>>,
}

impl Directory {
    /// A shard at each of the workers, and a store that follows what is said here.
    pub fn of(workers: &[Worker], patience: Duration) -> Result<(Self, Store), SettingsError> {
        let (views, read): (Vec<_>, Vec<_>) = workers.iter().map(|_| channel()).unzip();
        let (table, written): (Vec<_>, Vec<_>) = workers.iter().map(|_| channel()).unzip();
        let directory = Self { views, table };
        for (shard, worker) in workers.iter().enumerate() {
            directory.moved(shard, worker);
        }
        Ok((directory, Store::new(read, written, patience)?))
    }

    /// The shard is at this worker from now on, to read and to write.
    pub fn moved(&self, shard: usize, to: &Worker) {
        self.table[shard].send(EndpointSet::of([to.table()]));
        self.read_at(shard, &[to]);
    }

    /// The views of the shard are read at all of these.
    pub fn read_at(&self, shard: usize, workers: &[&Worker]) {
        let addresses = workers.iter().map(|worker| worker.views());
        self.views[shard].send(EndpointSet::of(addresses));
    }
}
