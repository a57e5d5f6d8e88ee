//! A source that does as it is told.

use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote::endpoints::{Discover, EndpointSet};

pub fn keys(keys: impl IntoIterator<Item = u32>) -> EndpointSet<u32> {
    EndpointSet::of(keys)
}

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What a scripted source does when it is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Say {
    Set(&'static [u32]),
    Fail,
    Panic,
    /// It says nothing until it is asked to look again.
    Nothing,
}

/// Says one thing after the other, and then nothing.
#[derive(Clone, Default)]
pub struct Scripted {
    script: Arc<Mutex<Vec<Say>>>,
    pub asked: Arc<AtomicUsize>,
    pub refreshed: Arc<AtomicUsize>,
    pub alive: Arc<()>,
}

impl Scripted {
    pub fn of(script: &[Say]) -> Self {
        let source = Self::default();
        source.then(script);
        source
    }

    pub fn then(&self, more: &[Say]) {
        self.script.lock().unwrap().extend(more);
    }
}

impl Discover for Scripted {
    type Key = u32;
    type Error = io::Error;

    async fn next(&mut self) -> Option<Result<EndpointSet<u32>, io::Error>> {
        let say = {
            let mut script = self.script.lock().unwrap();
            match script.is_empty() {
                true => Say::Nothing,
                false => script.remove(0),
            }
        };
        if say != Say::Nothing {
            self.asked.fetch_add(1, SeqCst);
        }
        match say {
            Say::Set(set) => Some(Ok(keys(set.iter().copied()))),
            Say::Fail => Some(Err(io::Error::other("out of order"))),
            Say::Panic => panic!("told to"),
            Say::Nothing => pending().await,
        }
    }

    fn name(&self) -> String {
        "the script".into()
    }

    fn refresh(&mut self) {
        self.refreshed.fetch_add(1, SeqCst);
    }
}
