//! Look-ups of names: of each name one at a time, whose answer all have who want it meanwhile.
//!
//! The system's resolver takes a thread for each look-up and cannot be told to give up, so a burst of dials to one host,
//! or a resolver that hangs, is not to take a thread for each dial. A look-up is a task of its own: it belongs to none of
//! those who wait for it, and goes on without any.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::rt;

/// The look-ups that are under way for a dialer and its clones.
#[derive(Clone, Default)]
pub(super) struct Lookups(Arc<Mutex<UnderWay>>);

/// By name. An entry is there for as long as its task.
type UnderWay = BTreeMap<Arc<str>, watch::Receiver<Option<Answer>>>;

/// Without ports.
type Answer = Result<Arc<[SocketAddr]>, Arc<io::Error>>;

impl Lookups {
    /// The addresses of `name`, with this port: those that a look-up which is under way finds, or else one that `ask`
    /// begins.
    pub(super) async fn addresses<F>(
        &self,
        name: &Arc<str>,
        port: u16,
        ask: impl FnOnce(Arc<str>) -> F + Clone,
    ) -> io::Result<Vec<SocketAddr>>
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        let mut answer = self.begun(name, ask.clone());
        let answer = match answer.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone(),
            Err(_) => None,
        };
        let found = match answer {
            Some(Ok(found)) => found.to_vec(),
            Some(Err(error)) => return Err(io::Error::new(error.kind(), error)),
            // The runtime that it was under way on has ended.
            None => ask(Arc::clone(name)).await?,
        };
        Ok(found
            .into_iter()
            .map(|found| with_port(found, port))
            .collect())
    }

    fn begun<F>(
        &self,
        name: &Arc<str>,
        ask: impl FnOnce(Arc<str>) -> F,
    ) -> watch::Receiver<Option<Answer>>
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
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
        let asked = ask(Arc::clone(name));
        // Outside any runtime it is dropped, as by a runtime that ends.
        rt::spawn_here(async move {
            let answer = asked.await.map(Arc::from).map_err(Arc::new);
            // Who comes from now on has the name looked up anew.
            drop(entry);
            sender.send_replace(Some(answer));
        });
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

/// Takes a look-up off the list when its task ends, however that is.
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
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use tokio::sync::Semaphore;
    use tokio::task::JoinSet;

    use super::*;

    /// Answers each look-up when it is let.
    #[derive(Clone)]
    struct Resolver(Arc<State>);

    struct State {
        asked: AtomicUsize,
        let_go: Semaphore,
    }

    impl Resolver {
        fn new() -> Self {
            Self(Arc::new(State {
                asked: AtomicUsize::new(0),
                let_go: Semaphore::new(0),
            }))
        }

        fn asked(&self) -> usize {
            self.0.asked.load(SeqCst)
        }

        /// Lets one look-up have its answer.
        fn let_one_go(&self) {
            self.0.let_go.add_permits(1);
        }

        async fn answer(&self, name: Arc<str>) -> io::Result<Vec<SocketAddr>> {
            let number = self.0.asked.fetch_add(1, SeqCst) + 1;
            let permit = self.0.let_go.acquire().await.expect("it is not closed");
            permit.forget();
            match &*name {
                "nobody.invalid" => Err(io::Error::other("Name or service not known")),
                // The last byte tells which look-up it was.
                _ => Ok(vec![SocketAddr::from(([10, 0, 0, number as u8], 0))]),
            }
        }

        async fn look_up(
            &self,
            lookups: &Lookups,
            name: &str,
            port: u16,
        ) -> io::Result<SocketAddr> {
            let resolver = self.clone();
            let ask = move |name| async move { resolver.answer(name).await };
            let found = lookups.addresses(&name.into(), port, ask).await?;
            Ok(found[0])
        }
    }

    /// Lets all tasks come as far as they can.
    async fn settle() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    fn begin(
        callers: &mut JoinSet<io::Result<SocketAddr>>,
        resolver: &Resolver,
        lookups: &Lookups,
        name: &'static str,
        port: u16,
    ) {
        let (resolver, lookups) = (resolver.clone(), lookups.clone());
        callers.spawn(async move { resolver.look_up(&lookups, name, port).await });
    }

    /// hyper#3838: each dial looked the name up in a thread of its own, up to 512 at once.
    #[tokio::test]
    async fn a_thousand_dials_to_one_name_make_one_look_up() {
        let (resolver, lookups) = (Resolver::new(), Lookups::default());
        let mut callers = JoinSet::new();
        for port in 0..1_000 {
            begin(&mut callers, &resolver, &lookups, "db.example", port);
        }
        settle().await;
        assert_eq!(resolver.asked(), 1);
        resolver.let_one_go();
        let mut ports = BTreeSet::new();
        for found in callers.join_all().await {
            let found = found.expect("it has an address");
            assert_eq!(found.ip().to_string(), "10.0.0.1");
            assert!(ports.insert(found.port()));
        }
        assert_eq!(ports.len(), 1_000);
        assert_eq!(resolver.asked(), 1);
    }

    /// A name that moves is followed.
    #[tokio::test]
    async fn a_dial_after_the_answer_looks_the_name_up_anew() {
        let (resolver, lookups) = (Resolver::new(), Lookups::default());
        for number in 1..=3 {
            resolver.let_one_go();
            let found = resolver.look_up(&lookups, "db.example", 80).await;
            assert_eq!(found.ok(), Some(([10, 0, 0, number], 80).into()));
        }
    }

    #[tokio::test]
    async fn different_names_do_not_wait_for_each_other() {
        let (resolver, lookups) = (Resolver::new(), Lookups::default());
        let mut callers = JoinSet::new();
        begin(&mut callers, &resolver, &lookups, "a.example", 80);
        begin(&mut callers, &resolver, &lookups, "b.example", 80);
        settle().await;
        assert_eq!(resolver.asked(), 2);
    }

    #[tokio::test]
    async fn a_dial_that_is_given_up_takes_the_look_up_from_nobody() {
        let (resolver, lookups) = (Resolver::new(), Lookups::default());
        let mut first = JoinSet::new();
        begin(&mut first, &resolver, &lookups, "db.example", 80);
        settle().await;
        let mut second = JoinSet::new();
        begin(&mut second, &resolver, &lookups, "db.example", 81);
        settle().await;
        first.shutdown().await;
        resolver.let_one_go();
        let found = second.join_all().await;
        let expected = SocketAddr::from(([10, 0, 0, 1], 81));
        assert_eq!(found[0].as_ref().ok(), Some(&expected));
        assert_eq!(resolver.asked(), 1);
    }

    #[tokio::test]
    async fn a_look_up_that_hangs_is_not_begun_again_by_dials_that_gave_up() {
        let (resolver, lookups) = (Resolver::new(), Lookups::default());
        for _ in 0..10 {
            let mut callers = JoinSet::new();
            begin(&mut callers, &resolver, &lookups, "db.example", 80);
            settle().await;
            callers.shutdown().await;
        }
        assert_eq!(resolver.asked(), 1);
    }

    #[tokio::test]
    async fn all_have_the_error() {
        let (resolver, lookups) = (Resolver::new(), Lookups::default());
        let mut callers = JoinSet::new();
        for port in [80, 81] {
            begin(&mut callers, &resolver, &lookups, "nobody.invalid", port);
        }
        settle().await;
        resolver.let_one_go();
        for found in callers.join_all().await {
            let error = found.expect_err("there is nobody");
            assert_eq!(error.to_string(), "Name or service not known");
        }
        assert_eq!(resolver.asked(), 1);
    }

    #[test]
    fn a_look_up_whose_runtime_has_ended_holds_nobody_up() {
        let runtime = || {
            tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime")
        };
        let (resolver, lookups) = (Resolver::new(), Lookups::default());
        let first = runtime();
        let mut callers = first.block_on(async {
            let mut callers = JoinSet::new();
            begin(&mut callers, &resolver, &lookups, "db.example", 80);
            settle().await;
            callers
        });
        let second = runtime();
        let waiting = second.spawn({
            let (resolver, lookups) = (resolver.clone(), lookups.clone());
            async move { resolver.look_up(&lookups, "db.example", 81).await }
        });
        second.block_on(settle());
        assert_eq!(resolver.asked(), 1);
        callers.abort_all();
        drop(first);
        resolver.let_one_go();
        let found = second.block_on(waiting).expect("it does not panic");
        assert_eq!(found.ok(), Some(([10, 0, 0, 2], 81).into()));
    }
}
