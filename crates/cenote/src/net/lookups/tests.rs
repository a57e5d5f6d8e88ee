//! What dials to one name share, with a resolver that answers when it is let.

use std::collections::BTreeSet;
use std::sync::Condvar;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::*;

/// Longer than anything here takes on the slowest machine.
const LONG: Duration = Duration::from_secs(60);

/// A resolver that answers each look-up when it is let. Dropped, it lets all go.
struct Resolver(Arc<State>);

#[derive(Default)]
struct State {
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Default)]
struct Counts {
    asked: u8,
    let_go: u8,
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last byte of an address tells which look-up found it.
    fn answer(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let mut counts = self.lock();
        counts.asked += 1;
        let number = counts.asked;
        let waited = self
            .changed
            .wait_while(counts, |counts| counts.let_go < number);
        drop(waited);
        match name {
            "nobody.invalid" => Err(io::Error::other("Name or service not known")),
            _ => Ok(vec![SocketAddr::from(([10, 0, 0, number], 0))]),
        }
    }
}

impl Resolver {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn asked(&self) -> u8 {
        self.0.lock().asked
    }

    fn let_go(&self, lookups: u8) {
        self.0.lock().let_go = lookups;
        self.0.changed.notify_all();
    }

    /// Waits until it has been asked so often, by the machine's clock.
    async fn is_asked(&self, times: u8) {
        let began = Instant::now();
        while self.asked() != times {
            assert!(
                began.elapsed() < LONG,
                "asked {} times, not {times}",
                self.asked()
            );
            tokio::task::yield_now().await;
            thread::sleep(Duration::from_micros(100));
        }
    }

    fn dial(
        &self,
        lookups: &Lookups,
        name: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<SocketAddr>> + Send + 'static {
        let (state, lookups, name) = (Arc::clone(&self.0), lookups.clone(), Arc::from(name));
        async move {
            let ask = move |name: &str| state.answer(name);
            let found = lookups.addresses(&name, port, ask).await?;
            Ok(found[0])
        }
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.let_go(u8::MAX);
    }
}

/// The address that a look-up found, with a port.
fn found_by(lookup: u8, port: u16) -> Option<SocketAddr> {
    Some(SocketAddr::from(([10, 0, 0, lookup], port)))
}

/// Lets all tasks come as far as they can.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// hyper#3838: each dial looked the name up in a thread of its own, up to 512 at once.
#[tokio::test]
async fn a_thousand_dials_to_one_name_make_one_look_up() {
    let (resolver, lookups) = (Resolver::new(), Lookups::default());
    let mut dials = JoinSet::new();
    for port in 0..1_000 {
        dials.spawn(resolver.dial(&lookups, "db.example", port));
    }
    settle().await;
    resolver.is_asked(1).await;
    resolver.let_go(1);
    let mut found = BTreeSet::new();
    while let Some(dial) = dials.join_next().await {
        found.extend(dial.expect("it does not panic").ok());
    }
    let expected = (0..1_000).filter_map(|port| found_by(1, port));
    assert_eq!(found, expected.collect());
    assert_eq!(resolver.asked(), 1);
}

/// A name that moves is followed.
#[tokio::test]
async fn a_dial_after_the_answer_looks_the_name_up_anew() {
    let (resolver, lookups) = (Resolver::new(), Lookups::default());
    resolver.let_go(u8::MAX);
    for number in 1..=3 {
        let found = resolver.dial(&lookups, "db.example", 80).await;
        assert_eq!(found.ok(), found_by(number, 80));
    }
}

#[tokio::test]
async fn different_names_do_not_wait_for_each_other() {
    let (resolver, lookups) = (Resolver::new(), Lookups::default());
    let mut dials = JoinSet::new();
    dials.spawn(resolver.dial(&lookups, "a.example", 80));
    dials.spawn(resolver.dial(&lookups, "b.example", 80));
    resolver.is_asked(2).await;
}

#[tokio::test]
async fn a_dial_that_is_given_up_takes_the_look_up_from_nobody() {
    let (resolver, lookups) = (Resolver::new(), Lookups::default());
    let mut first = JoinSet::new();
    first.spawn(resolver.dial(&lookups, "db.example", 80));
    resolver.is_asked(1).await;
    let second = tokio::spawn(resolver.dial(&lookups, "db.example", 81));
    settle().await;
    first.shutdown().await;
    resolver.let_go(1);
    let found = second.await.expect("it does not panic");
    assert_eq!(found.ok(), found_by(1, 81));
    assert_eq!(resolver.asked(), 1);
}

#[tokio::test]
async fn a_look_up_that_hangs_is_not_begun_again_by_dials_that_gave_up() {
    let (resolver, lookups) = (Resolver::new(), Lookups::default());
    for _ in 0..10 {
        let mut dials = JoinSet::new();
        dials.spawn(resolver.dial(&lookups, "db.example", 80));
        settle().await;
        dials.shutdown().await;
    }
    resolver.is_asked(1).await;
}

#[tokio::test]
async fn all_have_the_error() {
    let (resolver, lookups) = (Resolver::new(), Lookups::default());
    let mut dials = JoinSet::new();
    for port in [80, 81] {
        dials.spawn(resolver.dial(&lookups, "nobody.invalid", port));
    }
    settle().await;
    resolver.is_asked(1).await;
    resolver.let_go(1);
    while let Some(dial) = dials.join_next().await {
        let error = dial
            .expect("it does not panic")
            .expect_err("there is nobody");
        assert_eq!(error.to_string(), "Name or service not known");
    }
    assert_eq!(resolver.asked(), 1);
}

/// The one that began it may be one of many runtimes, and polled only now and then.
#[test]
fn a_look_up_goes_on_while_its_runtime_is_not_polled() {
    let runtime = || Builder::new_current_thread().build().expect("a runtime");
    let (resolver, lookups) = (Resolver::new(), Lookups::default());
    let (first, second) = (runtime(), runtime());
    let given_up = first.spawn(resolver.dial(&lookups, "db.example", 80));
    first.block_on(resolver.is_asked(1));
    given_up.abort();
    let dial = second.spawn(resolver.dial(&lookups, "db.example", 81));
    second.block_on(settle());
    resolver.let_go(1);
    let found = second.block_on(dial).expect("it does not panic");
    assert_eq!(found.ok(), found_by(1, 81));
}

#[test]
fn a_look_up_whose_runtime_ended_before_it_began_is_begun_again() {
    let one_thread = || {
        let mut builder = Builder::new_current_thread();
        builder.max_blocking_threads(1).build().expect("a runtime")
    };
    let (resolver, lookups) = (Resolver::new(), Lookups::default());
    let (first, second) = (one_thread(), one_thread());
    // The only thread is taken: the second look-up waits for it.
    let dials = ["hangs.example", "db.example"];
    let dials = dials.map(|name| first.spawn(resolver.dial(&lookups, name, 80)));
    first.block_on(resolver.is_asked(1));
    first.block_on(settle());
    let dial = second.spawn(resolver.dial(&lookups, "db.example", 81));
    second.block_on(settle());
    first.shutdown_background();
    drop(dials);
    resolver.let_go(u8::MAX);
    let found = second.block_on(dial).expect("it does not panic");
    assert_eq!(found.ok(), found_by(2, 81));
}

#[tokio::test]
async fn a_resolver_that_panics_holds_nobody_up() {
    let lookups = Lookups::default();
    let ask = |_: &str| panic!("as some do");
    assert!(
        lookups
            .addresses(&"db.example".into(), 80, ask)
            .await
            .is_err()
    );
}
