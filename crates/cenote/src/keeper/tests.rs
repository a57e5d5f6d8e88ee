#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;

use super::*;

/// Notes when it is looked at, and what it is to say then.
#[derive(Default)]
struct Toy {
    looks: Mutex<Vec<Instant>>,
    every: Option<Duration>,
    panics: bool,
    is_abandoned: AtomicBool,
}

impl Toy {
    fn looks(&self) -> Vec<Instant> {
        self.looks.lock().unwrap().clone()
    }
}

impl Member for Toy {
    fn look(self: Arc<Self>, _: &Arc<Keeper>) -> Option<Instant> {
        let now = rt::now();
        self.looks.lock().unwrap().push(now);
        assert!(!self.panics, "told to");
        self.every.map(|every| now + every)
    }

    fn abandoned(self: Arc<Self>, _: &Arc<Keeper>) {
        self.is_abandoned.store(true, SeqCst);
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn schedule(member: &Arc<Toy>, at: Instant) -> Arc<Keeper> {
    Keeper::schedule_on(&Runtime::callers(), member, at).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_member_is_looked_at_when_it_is_due_and_not_before() {
    let (toy, now) = (Arc::new(Toy::default()), rt::now());
    schedule(&toy, now + secs(10));
    sleep(secs(9)).await;
    assert!(toy.looks().is_empty());
    sleep(secs(2)).await;
    assert_eq!(toy.looks(), [now + secs(10)]);
}

#[tokio::test(start_paused = true)]
async fn of_two_times_the_earlier_counts_and_then_what_the_look_says() {
    let every = Some(secs(60));
    let (toy, now) = (
        Arc::new(Toy {
            every,
            ..Toy::default()
        }),
        rt::now(),
    );
    let keeper = schedule(&toy, now + secs(10));
    sleep(secs(1)).await;
    keeper.schedule(&toy, now + secs(5)).unwrap();
    keeper.schedule(&toy, now + secs(20)).unwrap();
    sleep(secs(100)).await;
    assert_eq!(toy.looks(), [now + secs(5), now + secs(65)]);
}

#[tokio::test(start_paused = true)]
async fn all_members_of_a_runtime_have_one_task_which_ends_with_the_last() {
    let toys = [(); 100].map(|()| Arc::new(Toy::default()));
    let now = rt::now();
    for (i, toy) in toys.iter().enumerate() {
        schedule(toy, now + secs(i as u64));
    }
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 1);
    sleep(secs(101)).await;
    assert!(toys.iter().all(|toy| toy.looks().len() == 1));
    assert!(toys.iter().all(|toy| Arc::strong_count(toy) == 1));
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_dismissed_is_let_go_and_not_looked_at() {
    let toy = Arc::new(Toy::default());
    let keeper = schedule(&toy, rt::now() + secs(10));
    keeper.dismiss(&toy);
    assert_eq!(Arc::strong_count(&toy), 1);
    sleep(secs(20)).await;
    assert!(toy.looks().is_empty());
    assert_eq!(keeper.schedule(&toy, rt::now()), Err(End::Idle));
}

#[tokio::test(start_paused = true)]
async fn a_look_that_panics_ends_no_other_s_and_is_repeated_in_a_second() {
    let panics = Arc::new(Toy {
        panics: true,
        ..Toy::default()
    });
    let calm = Arc::new(Toy::default());
    let now = rt::now();
    schedule(&panics, now + secs(1));
    schedule(&calm, now + secs(2));
    sleep(Duration::from_millis(3_500)).await;
    assert_eq!((panics.looks().len(), calm.looks().len()), (3, 1));
}

#[test]
fn members_hear_of_the_end_of_their_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let toy = Arc::new(Toy::default());
    let keeper = runtime.block_on(async { schedule(&toy, rt::now() + secs(3_600)) });
    drop(runtime);
    assert!(toy.is_abandoned.load(SeqCst));
    assert_eq!(keeper.schedule(&toy, rt::now()), Err(End::Died));
}

/// Of pools that come and go, as those of keys do, with times that are far off: what is noted of them goes with them.
#[tokio::test(start_paused = true)]
async fn members_that_are_gone_leave_no_memory_behind() {
    let (stays, now) = (Arc::new(Toy::default()), rt::now());
    let keeper = schedule(&stays, now + secs(3_600));
    for round in 0..10_000 {
        let toy = Arc::new(Toy::default());
        schedule(&toy, now + secs(7_200));
        schedule(&toy, now + secs(600));
        keeper.dismiss(&toy);
        let list = lock(&keeper.list);
        let noted = (list.members.capacity(), list.due.capacity());
        assert!(noted.0 < 300 && noted.1 < 300, "{noted:?} in round {round}");
    }
    sleep(secs(3_601)).await;
    assert_eq!(stays.looks(), [now + secs(3_600)]);
}

/// Notes its number.
struct Numbered(usize, Arc<Mutex<Vec<usize>>>);

impl Member for Numbered {
    fn look(self: Arc<Self>, _: &Arc<Keeper>) -> Option<Instant> {
        self.1.lock().unwrap().push(self.0);
        None
    }

    fn abandoned(self: Arc<Self>, _: &Arc<Keeper>) {}
}

/// A seeded run of many pools can be repeated: where they lie in memory is no part of it.
#[tokio::test(start_paused = true)]
async fn members_that_are_due_at_one_time_are_looked_at_in_the_order_in_which_they_were_listed() {
    let order = Arc::default();
    let members: Vec<_> = (0..64)
        .map(|number| Arc::new(Numbered(number, Arc::clone(&order))))
        .collect();
    let at = rt::now() + secs(1);
    // Against the order in which they probably lie in memory.
    for member in members.iter().rev() {
        Keeper::schedule_on(&Runtime::callers(), member, at).unwrap();
    }
    sleep(secs(2)).await;
    let looked_at = order.lock().unwrap().clone();
    assert_eq!(looked_at, (0..64).rev().collect::<Vec<_>>());
}

/// A pool that is used now and then rests until the same time again and again, that of its oldest connection: what is
/// noted of it does not grow.
#[tokio::test(start_paused = true)]
async fn a_member_that_is_due_at_one_time_again_and_again_is_noted_once() {
    struct Rests(Instant);
    impl Member for Rests {
        fn look(self: Arc<Self>, _: &Arc<Keeper>) -> Option<Instant> {
            Some(self.0)
        }

        fn abandoned(self: Arc<Self>, _: &Arc<Keeper>) {}
    }
    let rests = Arc::new(Rests(rt::now() + secs(100_000)));
    for _ in 0..1_000 {
        let keeper = Keeper::schedule_on(&Runtime::callers(), &rests, rt::now()).unwrap();
        sleep(secs(1)).await;
        let noted = lock(&keeper.list).due.len();
        assert!(noted <= 2 + ROOM, "{noted}");
    }
}
