//! Look-ups of names: of each name one at a time, whose answer all have who want it meanwhile.
//!
//! The system's resolver takes a thread for each look-up and cannot be told to give up, so a burst of dials to one host,
//! or a resolver that hangs, is not to take a thread for each dial. A look-up belongs to none of those who wait for it: it
//! goes on without any, and needs no runtime that is polled.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::rt::Runtime;

/// The look-ups that are under way for a dialer and its clones.
#[derive(Clone, Default)]
pub(super) struct Lookups(Arc<Mutex<UnderWay>>);

/// By name. An entry is there for as long as its look-up.
type UnderWay = BTreeMap<Arc<str>, watch::Receiver<Option<Answer>>>;

/// Addresses without ports, or an error for all.
type Answer = Result<Arc<[SocketAddr]>, Arc<io::Error>>;

impl Lookups {
    /// The addresses of `name`, with this port: those that a look-up which is under way finds, or else one that is begun
    /// with `ask`, in a thread where it may block.
    pub(super) async fn addresses<A>(
        &self,
        name: &Arc<str>,
        port: u16,
        ask: A,
    ) -> io::Result<Vec<SocketAddr>>
    where
        A: FnOnce(&str) -> io::Result<Vec<SocketAddr>> + Clone + Send + 'static,
    {
        // Twice: one that was joined may have waited for a thread of a runtime that has ended.
        for _ in 0..2 {
            let mut answer = self.begun(name, ask.clone());
            let answer = answer.wait_for(Option::is_some).await;
            match answer.ok().and_then(|answer| answer.clone()) {
                Some(Ok(found)) => {
                    return Ok(found.iter().map(|found| with_port(*found, port)).collect());
                }
                Some(Err(error)) => return Err(io::Error::new(error.kind(), error)),
                None => {}
            }
        }
        Err(io::Error::other("the look-up ended without an answer"))
    }

    fn begun<A>(&self, name: &Arc<str>, ask: A) -> watch::Receiver<Option<Answer>>
    where
        A: FnOnce(&str) -> io::Result<Vec<SocketAddr>> + Send + 'static,
    {
        let mut under_way = self.lock();
        if let Some(answer) = under_way.get(name) {
            return answer.clone();
        }
        let (sender, answer) = watch::channel(None);
        under_way.insert(Arc::clone(name), answer.clone());
        drop(under_way);
        let entry = Entry {
            lookups: self.clone(),
            name: Arc::clone(name),
        };
        let look_up = move || {
            let answer = ask(&entry.name).map(Arc::from).map_err(Arc::new);
            // A dial that comes from now on has the name looked up anew.
            drop(entry);
            sender.send_replace(Some(answer));
        };
        // Where it is not run it is dropped, of which those who wait learn.
        if let Some(runtime) = Runtime::here() {
            runtime.spawn_blocking(look_up);
        }
        answer
    }

    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

impl fmt::Debug for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.lock().keys()).finish()
    }
}

/// Takes a look-up off the list when it ends, however that is.
struct Entry {
    lookups: Lookups,
    name: Arc<str>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.lookups.lock().remove(&self.name);
    }
}

#[cfg(test)]
mod tests;
