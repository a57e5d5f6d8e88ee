use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use cenote::endpoints::{
    Discover, Discovery, EmptySets, Endpoint, EndpointSet, Lookup, WatchedFile, channel, fixed,
};
use futures::poll;
use tokio::time::{Instant, sleep};

use crate::scripted::{Say, Scripted, keys, ms};

/// linkerd2 #2550: a balancer that looked only when it was called.
#[tokio::test(start_paused = true)]
async fn news_is_heard_while_nobody_calls() {
    let (sender, source) = channel();
    let discovery = Discovery::start(source).unwrap();
    sender.send(keys([1, 2]));
    sleep(ms(1)).await;
    assert_eq!(discovery.set(), keys([1, 2]));
    sender.send(keys([2]));
    sleep(ms(1)).await;
    assert_eq!(
        (discovery.set(), discovery.status().version),
        (keys([2]), 2)
    );
}

#[tokio::test(start_paused = true)]
async fn each_handle_hears_of_a_change_once() {
    let (sender, source) = channel();
    let mut one = Discovery::start(source).unwrap();
    sender.send(keys([1]));
    assert_eq!(one.changed().await, Some(keys([1])));
    let mut other = one.clone();
    assert_eq!(
        other.changed().await,
        Some(keys([1])),
        "a handle that has told of nothing"
    );
    let mut waits = pin!(one.changed());
    assert!(poll!(&mut waits).is_pending());
    // Two at once are one.
    sender.send(keys([2]));
    sender.send(keys([3]));
    assert_eq!(waits.await, Some(keys([3])));
}

/// scylla's python-driver #304, kong #5477: each answer rebuilt the set, and forgot what was known of it.
#[tokio::test(start_paused = true)]
async fn an_equal_set_is_no_change() {
    let (sender, source) = channel();
    let mut discovery = Discovery::start(source).unwrap();
    sender.send(keys([1, 2]));
    discovery.changed().await.unwrap();
    sender.send(keys([2, 1]));
    sleep(ms(5)).await;
    assert!(poll!(pin!(discovery.changed())).is_pending());
    assert_eq!(discovery.status().version, 1);
    assert_eq!(
        discovery.status().age,
        Some(ms(5)),
        "all the same it is newer"
    );
}

/// A catalogue that lost its data would take the service away (finagle's StabilizingAddr).
#[tokio::test(start_paused = true)]
async fn an_empty_set_is_a_failure_unless_it_is_to_be_obeyed() {
    let script = [Say::Set(&[1]), Say::Set(&[])];
    let kept = Discovery::start(Scripted::of(&script)).unwrap();
    let obeyed = Discovery::builder(Scripted::of(&script)).empty_sets(EmptySets::Obeyed);
    let obeyed = obeyed.start().unwrap();
    sleep(ms(1)).await;
    assert_eq!((kept.set(), obeyed.set()), (keys([1]), keys([])));
    let why = kept.status().failing.unwrap().error;
    assert_eq!(&*why, "it told a set without endpoints");
    assert_eq!(
        obeyed.status().to_string(),
        "0 endpoints of the script, version 2, as of 1.0ms ago"
    );
}

#[tokio::test(start_paused = true)]
async fn a_set_that_is_empty_from_the_start_is_news_where_it_is_obeyed() {
    let source = Scripted::of(&[Say::Set(&[])]);
    let mut discovery = Discovery::builder(source)
        .empty_sets(EmptySets::Obeyed)
        .start()
        .unwrap();
    assert_eq!(discovery.changed().await, Some(keys([])));
}

/// Which of several sources an endpoint is from is what somebody wants to know who sees one that should not be there.
#[tokio::test(start_paused = true)]
async fn each_source_says_what_it_is() {
    let name_of = |discovery: Discovery<String>| discovery.status().source.to_string();
    let (_sender, sent) = channel::<String>();
    assert_eq!(name_of(Discovery::start(sent).unwrap()), "a channel");
    let listed = fixed(EndpointSet::of(["a".to_owned()]));
    assert_eq!(name_of(Discovery::start(listed).unwrap()), "a fixed list");
    let file = WatchedFile::new("/etc/backends", |_| Ok(EndpointSet::of(["a".to_owned()])));
    assert_eq!(
        name_of(Discovery::start(file).unwrap()),
        "file /etc/backends"
    );
    let looked_up = Discovery::start(Lookup::new("localhost:80").unwrap()).unwrap();
    assert_eq!(&*looked_up.status().source, "name localhost:80");
}

/// Says nothing of itself, or panics when it is asked to.
struct Nameless {
    panics: bool,
}

impl Discover for Nameless {
    type Key = u32;
    type Error = io::Error;

    async fn next(&mut self) -> Option<Result<EndpointSet<u32>, io::Error>> {
        pending().await
    }

    fn name(&self) -> String {
        assert!(!self.panics, "told to");
        NamedByType.name()
    }
}

/// Has no name but that of its type.
struct NamedByType;

impl Discover for NamedByType {
    type Key = u32;
    type Error = io::Error;

    async fn next(&mut self) -> Option<Result<EndpointSet<u32>, io::Error>> {
        pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_without_a_name_or_whose_name_panics_is_called_by_its_type() {
    for (panics, expected) in [(false, "NamedByType"), (true, "Nameless")] {
        let discovery = Discovery::start(Nameless { panics }).unwrap();
        let status = discovery.status();
        assert!(status.source.ends_with(expected), "{status}");
        let text = status.to_string();
        assert!(
            text.starts_with("no endpoints of ") && text.ends_with(" yet"),
            "{text}"
        );
    }
}

/// nats.rb #87: each failed server was removed from a list that nobody filled again.
#[tokio::test(start_paused = true)]
async fn a_fixed_list_stays() {
    let set = EndpointSet::from([Endpoint::new("a").weight(3), Endpoint::new("b")]);
    let mut discovery = Discovery::start(fixed(set.clone())).unwrap();
    assert_eq!(discovery.changed().await, Some(set.clone()));
    assert_eq!(discovery.changed().await, None, "there will be no other");
    assert_eq!(discovery.set(), set);
    let status = discovery.status();
    assert!(status.has_ended && status.failing.is_none(), "{status}");
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_the_sender_went_counts() {
    let (sender, source) = channel();
    sender.send(keys([1]));
    drop(sender);
    let mut discovery = Discovery::start(source).unwrap();
    assert_eq!(discovery.changed().await, Some(keys([1])));
    assert_eq!(discovery.changed().await, None);
    assert_eq!(discovery.set(), keys([1]));
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_last_handle() {
    let source = Scripted::of(&[Say::Set(&[1])]);
    let discovery = Discovery::start(source.clone()).unwrap();
    let other = discovery.clone();
    sleep(ms(1)).await;
    drop(discovery);
    sleep(ms(1)).await;
    assert!(Arc::strong_count(&source.alive) > 1);
    drop(other);
    sleep(ms(1)).await;
    assert_eq!(Arc::strong_count(&source.alive), 1);
}

/// Cancelled at any point it is told by the next.
#[tokio::test(start_paused = true)]
async fn a_wait_for_news_that_is_dropped_loses_none() {
    let (sender, source) = channel();
    let mut discovery = Discovery::start(source).unwrap();
    {
        let mut waits = pin!(discovery.changed());
        assert!(poll!(&mut waits).is_pending());
        sender.send(keys([1]));
        sleep(ms(1)).await;
    }
    let began = Instant::now();
    assert_eq!(discovery.changed().await, Some(keys([1])));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[test]
fn outside_a_runtime_it_says_so() {
    let (_sender, source) = channel::<u32>();
    let error = Discovery::start(source).unwrap_err();
    assert_eq!(error.setting, "runtime");
}

/// The end of its runtime is the end of the news, and no panic.
#[test]
fn when_its_runtime_ends_the_set_stays() {
    let (sender, source) = channel();
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let mut discovery = runtime().block_on(async {
        let mut discovery = Discovery::start(source).unwrap();
        sender.send(keys([1]));
        discovery.changed().await.unwrap();
        discovery
    });
    assert_eq!(runtime().block_on(discovery.changed()), None);
    assert!(discovery.status().has_ended);
    assert_eq!(discovery.set(), keys([1]));
}
