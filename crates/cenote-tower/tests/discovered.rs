//! A discovery of tower's as a source of endpoint sets.

use std::io;
use std::time::Duration;

use cenote::endpoints::{Discovery, EndpointSet};
use cenote_tower::Discovered;
use futures::channel::mpsc::unbounded;
use futures::stream;
use tower::discover::Change;

type Told = Result<Change<u32, ()>, io::Error>;

fn keys(keys: impl IntoIterator<Item = u32>) -> EndpointSet<u32> {
    EndpointSet::of(keys)
}

async fn pass() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn changes_that_come_together_are_one_set() {
    let (sender, changes) = unbounded::<Told>();
    let discovery = Discovery::start(Discovered::new(changes)).unwrap();
    for key in [1, 2, 3] {
        sender.unbounded_send(Ok(Change::Insert(key, ()))).unwrap();
    }
    sender.unbounded_send(Ok(Change::Remove(2))).unwrap();
    pass().await;
    assert_eq!(discovery.set(), keys([1, 3]));
    assert_eq!(discovery.status().version, 1);
}

/// kong #2131: an address that was removed twice broke the balancer.
#[tokio::test(start_paused = true)]
async fn what_is_told_again_is_no_change() {
    let (sender, changes) = unbounded::<Told>();
    let discovery = Discovery::start(Discovered::new(changes)).unwrap();
    let insert = || Ok(Change::Insert(1, ()));
    for change in [
        insert(),
        insert(),
        Ok(Change::Remove(2)),
        Ok(Change::Remove(2)),
    ] {
        sender.unbounded_send(change).unwrap();
        pass().await;
    }
    assert_eq!(
        (discovery.set(), discovery.status().version),
        (keys([1]), 1)
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_is_told_and_what_came_before_it_counts() {
    let (sender, changes) = unbounded::<Told>();
    let discovery = Discovery::start(Discovered::new(changes)).unwrap();
    sender.unbounded_send(Ok(Change::Insert(1, ()))).unwrap();
    sender
        .unbounded_send(Err(io::Error::other("no quorum")))
        .unwrap();
    pass().await;
    assert_eq!(discovery.set(), keys([1]));
    sender
        .unbounded_send(Err(io::Error::other("no quorum")))
        .unwrap();
    pass().await;
    let failing = discovery.status().failing.unwrap();
    assert_eq!(&*failing.error, "no quorum");
    assert_eq!(discovery.set(), keys([1]));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_stream_is_the_end_of_the_news() {
    let changes = stream::iter([Ok::<_, io::Error>(Change::Insert(1, ()))]);
    let mut discovery = Discovery::start(Discovered::new(changes)).unwrap();
    assert_eq!(discovery.changed().await, Some(keys([1])));
    assert_eq!(discovery.changed().await, None);
    assert_eq!(discovery.set(), keys([1]));
}

/// A stream that is always ready and changes nothing leaves others their turn.
#[tokio::test(start_paused = true)]
async fn a_stream_without_end_or_news_stops_nobody() {
    let changes = stream::repeat_with(|| Ok::<_, io::Error>(Change::Insert(1, ())));
    let mut discovery = Discovery::start(Discovered::new(changes)).unwrap();
    assert_eq!(discovery.changed().await, Some(keys([1])));
    tokio::task::yield_now().await;
    assert_eq!(discovery.status().version, 1);
}

#[tokio::test(start_paused = true)]
async fn it_is_called_by_what_it_is_a_source_of() {
    let (_sender, changes) = unbounded::<Told>();
    let discovery = Discovery::start(Discovered::new(changes)).unwrap();
    assert_eq!(&*discovery.status().source, "tower's Discover");
}
