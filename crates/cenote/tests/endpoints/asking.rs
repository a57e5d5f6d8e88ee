use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use cenote::endpoints::{Discover, Discovery, EndpointSet, channel};
use tokio::time::sleep;

use crate::scripted::{Say, Scripted, keys, ms};

/// pingora #1006: keys are compared, and dropped, where the source is asked.
#[tokio::test(start_paused = true)]
async fn a_key_that_panics_once_does_not_end_the_asking() {
    use std::sync::atomic::AtomicBool;

    static PANICS: AtomicBool = AtomicBool::new(false);
    #[derive(Clone, Debug, Eq, PartialOrd, Ord)]
    struct Name(&'static str);
    impl std::hash::Hash for Name {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    impl PartialEq for Name {
        fn eq(&self, other: &Self) -> bool {
            assert!(!PANICS.swap(false, SeqCst), "once");
            self.0 == other.0
        }
    }
    let names = |names: &[&'static str]| names.iter().map(|name| Name(name)).collect::<Vec<_>>();
    let (sender, source) = channel();
    let discovery = Discovery::start(source).unwrap();
    sender.send(EndpointSet::of(names(&["a"])));
    sleep(ms(1)).await;
    let (second, third) = (names(&["b"]), names(&["c"]));
    let (second, third) = (EndpointSet::of(second), EndpointSet::of(third));
    PANICS.store(true, SeqCst);
    sender.send(second);
    sleep(ms(1)).await;
    assert!(!PANICS.load(SeqCst));
    assert_eq!(
        discovery.status().failing.map(|failing| failing.failures),
        Some(1)
    );
    sender.send(third.clone());
    sleep(ms(1)).await;
    assert_eq!((discovery.set(), discovery.status().failing), (third, None));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_changes_nothing_and_is_asked_again() {
    let source = Scripted::of(&[Say::Set(&[1, 2]), Say::Fail, Say::Panic, Say::Fail]);
    let mut discovery = Discovery::start(source.clone()).unwrap();
    assert_eq!(discovery.changed().await, Some(keys([1, 2])));
    sleep(Duration::from_secs(10)).await;
    let status = discovery.status();
    let failing = status.failing.clone().unwrap();
    assert_eq!((failing.failures, &*failing.error), (3, "out of order"));
    assert_eq!((status.endpoints, status.version), (2, 1));
    assert_eq!(status.age, Some(Duration::from_secs(10)));
    let text = status.to_string();
    assert!(
        text.starts_with("2 endpoints of the script, version 1, as of 10.0s ago; failing since "),
        "{text}"
    );
    assert!(text.ends_with(" ago, 3 times: out of order"), "{text}");
    source.then(&[Say::Set(&[2, 3])]);
    discovery.refresh();
    assert_eq!(discovery.changed().await, Some(keys([2, 3])));
    assert_eq!(discovery.status().failing, None);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_failed_once_is_shown_without_a_count() {
    let source = Scripted::of(&[Say::Set(&[1]), Say::Fail]);
    let discovery = Discovery::start(source).unwrap();
    sleep(Duration::from_secs(10)).await;
    let text = discovery.status().to_string();
    assert!(
        text.starts_with("1 endpoint of the script, version 1, as of "),
        "{text}"
    );
    assert!(text.ends_with(" ago: out of order"), "{text}");
}

/// pingora #1006: a panic froze the membership for ever.
#[tokio::test(start_paused = true)]
async fn a_source_that_panics_is_asked_again() {
    let source = Scripted::of(&[Say::Panic, Say::Set(&[1])]);
    let mut discovery = Discovery::start(source).unwrap();
    assert_eq!(discovery.changed().await, Some(keys([1])));
}

/// A source whose answer takes a while, and which is asked to look again all the time meanwhile.
#[tokio::test(start_paused = true)]
async fn however_often_it_is_refreshed_a_source_comes_to_its_answer() {
    struct Slow(Arc<AtomicUsize>);
    impl Discover for Slow {
        type Key = u32;
        type Error = io::Error;

        async fn next(&mut self) -> Option<Result<EndpointSet<u32>, io::Error>> {
            let asked = self.0.fetch_add(1, SeqCst) as u32;
            sleep(ms(50)).await;
            Some(Ok(keys([asked])))
        }
    }
    let asked = Arc::<AtomicUsize>::default();
    let discovery = Discovery::start(Slow(asked.clone())).unwrap();
    for _ in 0..1_000 {
        discovery.refresh();
        sleep(ms(1)).await;
    }
    assert!(discovery.status().version >= 9, "{}", discovery.status());
    assert!(asked.load(SeqCst) <= 45, "{asked:?} times in a second");
}

/// What a newcomer writes first.
#[tokio::test(start_paused = true)]
async fn a_source_that_is_always_ready_leaves_others_their_turn() {
    struct Ready(Arc<AtomicUsize>);
    impl Discover for Ready {
        type Key = u32;
        type Error = io::Error;

        async fn next(&mut self) -> Option<Result<EndpointSet<u32>, io::Error>> {
            self.0.fetch_add(1, SeqCst);
            Some(Ok(keys([1])))
        }
    }
    let asked = Arc::<AtomicUsize>::default();
    let mut discovery = Discovery::start(Ready(asked.clone())).unwrap();
    assert_eq!(discovery.changed().await, Some(keys([1])));
    sleep(Duration::from_secs(60)).await;
    assert!((500..700).contains(&asked.load(SeqCst)), "{asked:?}");
}

/// Work that is done before the future is made.
#[tokio::test(start_paused = true)]
async fn a_source_that_panics_before_it_waits_is_asked_again() {
    struct Early(bool);
    impl Discover for Early {
        type Key = u32;
        type Error = io::Error;

        #[allow(
            clippy::manual_async_fn,
            reason = "what is before the block is the point"
        )]
        fn next(
            &mut self,
        ) -> impl Future<Output = Option<Result<EndpointSet<u32>, io::Error>>> + Send {
            assert!(std::mem::replace(&mut self.0, true), "told to");
            async { Some(Ok(keys([1]))) }
        }
    }
    let mut discovery = Discovery::start(Early(false)).unwrap();
    assert_eq!(discovery.changed().await, Some(keys([1])));
}

/// linkerd2-proxy #4449: a time to live of 0 in a negative answer made resolution spin.
#[tokio::test(start_paused = true)]
async fn a_source_that_fails_at_once_is_asked_at_the_pace_of_the_back_off() {
    let source = Scripted::of(&[Say::Fail; 1_000]);
    let _discovery = Discovery::start(source.clone()).unwrap();
    sleep(Duration::from_secs(60)).await;
    let asked = source.asked.load(SeqCst);
    assert!((30..200).contains(&asked), "{asked} times in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_reaches_a_source_that_is_busy_and_loses_nothing() {
    let source = Scripted::of(&[Say::Set(&[1])]);
    let mut discovery = Discovery::start(source.clone()).unwrap();
    discovery.changed().await.unwrap();
    source.then(&[Say::Set(&[2])]);
    sleep(ms(1)).await;
    assert_eq!(source.refreshed.load(SeqCst), 0);
    discovery.refresh();
    assert_eq!(discovery.changed().await, Some(keys([2])));
    assert_eq!(source.refreshed.load(SeqCst), 1);
}
