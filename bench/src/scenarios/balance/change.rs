//! `change`: how fast a pool follows its set, of 10 and of 10,000 endpoints of which each has one connection.
//!
//! `add_us`: a caller waits, for all connections are leased; from the telling of one endpoint more until the caller has
//! a connection to it. `remove_us`: from the telling of one endpoint less, whose connection is idle, until that is
//! closed. `diff_us`: the part of it that finding the change in the two sets takes. The other connections must not be
//! touched.

use std::future::poll_fn;
use std::hint::black_box;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use cenote::Pool;
use cenote::endpoints::{EndpointSet, channel};
use tokio::time::sleep;

use crate::connector::Connector;
use crate::measure::{Failure, Outcome, Sample, median};
use crate::scenarios::on_one_thread;
use crate::subjects::{Dialler, refused};

/// Each change, so many times.
const TIMES: usize = 21;

/// Between two changes: a source whose sets come without a pause is asked for the next after a while only.
const PAUSE: Duration = Duration::from_millis(3);

pub fn run() -> Outcome<Sample> {
    let few = on_one_thread(changes(10))?;
    let many = on_one_thread(changes(10_000))?;
    Ok(vec![
        ("add_us_10", few.add),
        ("add_us_10000", many.add),
        ("remove_us_10", few.remove),
        ("remove_us_10000", many.remove),
        ("diff_us_10", few.diff),
        ("diff_us_10000", many.diff),
    ])
}

/// In us.
struct Changes {
    add: f64,
    remove: f64,
    diff: f64,
}

async fn changes(endpoints: usize) -> Outcome<Changes> {
    // In the middle of the others.
    let newcomer = endpoints as u32 / 2;
    let with = EndpointSet::of(0..=endpoints as u32);
    let without = EndpointSet::of((0..=endpoints as u32).filter(|key| *key != newcomer));

    let (others, new) = (Connector::default(), Connector::default());
    let (sender, source) = channel();
    let pool = {
        let (others, new) = (others.clone(), new.clone());
        let connector = move |key| if key == newcomer { &new } else { &others }.clone();
        Pool::balanced(source, move |at| Dialler(connector(at.key)))
            .max_per_endpoint(1)
            .build()
            .expect("the settings are possible")
    };
    sender.send(without.clone());
    let mut leases = Vec::with_capacity(endpoints);
    for _ in 0..endpoints {
        leases.push(pool.get().await.map_err(refused)?);
    }

    let (mut add, mut remove, mut diff) = (Vec::new(), Vec::new(), Vec::new());
    for time in 1..=TIMES {
        let mut get = pin!(pool.get());
        let is_waiting = poll_fn(|cx| Poll::Ready(get.as_mut().poll(cx).is_pending())).await;
        sleep(PAUSE).await;
        let begun = Instant::now();
        sender.send(with.clone());
        let lease = get.await.map_err(refused)?;
        add.push(us_since(begun));
        let is_to_it = new.tally.dialled() == time && new.tally.open() == 1;
        drop(lease);

        sleep(PAUSE).await;
        let begun = Instant::now();
        sender.send(without.clone());
        while new.tally.open() > 0 {
            tokio::task::yield_now().await;
        }
        remove.push(us_since(begun));

        let begun = Instant::now();
        black_box(black_box(&without).changes(black_box(&with)));
        diff.push(us_since(begun));

        let untouched = others.tally.dialled() == endpoints && others.tally.open() == endpoints;
        if !(is_waiting && is_to_it && untouched) {
            return Err(Failure::new(
                "the change was another than that of one endpoint",
            ));
        }
    }
    Ok(Changes {
        add: median(&add),
        remove: median(&remove),
        diff: median(&diff),
    })
}

fn us_since(begun: Instant) -> f64 {
    begun.elapsed().as_nanos() as f64 / 1_000.0
}
