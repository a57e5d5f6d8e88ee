//! Who waits for a place in a shared pool: in arrival order, in a bounded queue, for a bounded time; and
//! whoever leaves it, at whatever moment, loses nothing.

use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Poll;

use cenote::error::TryGetError;
use cenote::{GetError, SharedLease, SharedPool};
use futures::future::join_all;
use futures::poll;

use crate::server::{Act, Server, Told, ms, pass, secs, words};

/// One connection, and all it can carry.
async fn full(server: &Server) -> (SharedPool<Server>, Vec<SharedLease<Server>>) {
    let pool = server.shared().max_size(1).max_waiters(20).build().unwrap();
    let held = join_all((0..4).map(|_| pool.get())).await;
    (pool, held.into_iter().map(Result::unwrap).collect())
}

fn in_flight(pool: &SharedPool<Server>) -> usize {
    pool.status().sharing.unwrap().in_flight
}

/// With no lease and no waiter nothing is in flight, nothing drains, and all there is can be had.
async fn assert_all_there(pool: &SharedPool<Server>, server: &Server, when: &str) {
    let status = pool.status();
    let sharing = status.sharing.unwrap();
    assert_eq!(
        (sharing.in_flight, sharing.draining, status.waiters),
        (0, 0, 0),
        "{when}: {status}"
    );
    assert_eq!(server.open(), status.size, "{when}: {status}");
    let all = join_all((0..4 * status.max_size).map(|_| pool.get())).await;
    assert!(all.iter().all(Result::is_ok), "{when}: {all:?}");
    assert!(server.most() <= status.max_size, "{when}");
}

#[tokio::test(start_paused = true)]
async fn waiters_are_served_in_the_order_they_came() {
    let server = Server::default();
    let (pool, mut held) = full(&server).await;
    let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(pool.get())).collect();
    for get in &mut waiting {
        assert!(poll!(get).is_pending());
    }
    for served in 0..4 {
        held.pop();
        for (i, get) in waiting.iter_mut().enumerate().skip(served) {
            match poll!(get) {
                Poll::Ready(lease) if i == served => held.insert(0, lease.unwrap()),
                Poll::Ready(_) => panic!("{i} before {served}"),
                Poll::Pending => assert_ne!(i, served),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_does_not_pass_those_who_wait() {
    let server = Server::default();
    let (pool, mut held) = full(&server).await;
    let mut first = pin!(pool.get());
    assert!(poll!(&mut first).is_pending());
    let mut second = pin!(pool.get());
    assert!(poll!(&mut second).is_pending());
    held.pop();
    assert_eq!(pool.try_get().unwrap_err(), TryGetError::NoneIdle);
    let mut newcomer = pin!(pool.get());
    assert!(poll!(&mut newcomer).is_pending());
    assert!(poll!(&mut second).is_pending());
    assert!(poll!(&mut first).is_ready());
}

/// Between the grant and the look at it the connection dies: the next place is still the first waiter's.
#[tokio::test(start_paused = true)]
async fn a_waiter_whose_connection_died_before_it_looked_keeps_its_place() {
    let server = Server::default();
    let (pool, mut held) = full(&server).await;
    let mut first = pin!(pool.get());
    let mut second = pin!(pool.get());
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    held.pop();
    held[0].alive.store(false, SeqCst);
    assert!(poll!(&mut first).is_pending(), "granted, and dead");
    server.plan(|plan| plan.capacity = Some(1));
    held.clear();
    pass(ms(100)).await;
    assert!(poll!(&mut second).is_pending());
    assert!(poll!(&mut first).is_ready());
}

#[tokio::test(start_paused = true)]
async fn the_queue_has_a_bound() {
    let server = Server::default();
    let (pool, _held) = full(&server).await;
    let mut waiting: Vec<_> = (0..20).map(|_| Box::pin(pool.get())).collect();
    for get in &mut waiting {
        assert!(poll!(get).is_pending());
    }
    let error = pool.get().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "pool unnamed: max_waiters (20) callers are waiting already"
    );
    waiting.pop();
    assert!(poll!(pin!(pool.get())).is_pending());
    assert_eq!(pool.counters().rejected, 1);
}

#[tokio::test(start_paused = true)]
async fn a_time_out_tells_what_the_pool_looked_like() {
    let server = Server::default();
    let (pool, _held) = full(&server).await;
    let error = pool.get().timeout(secs(2)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "pool unnamed: no connection within 2s (open, 1 of 1 connection: 0 idle, 1 leased, 0 in upkeep; \
         0 opening, 0 waiting; 4 leases out, room for 4 on 1 in service, 0 draining)"
    );
    assert!(matches!(error, GetError::TimedOut(_)));
    assert_eq!(pool.counters().timed_out, 1);
}

/// Upkeep, which looks at the pool every second, watches the time of all.
#[tokio::test(start_paused = true)]
async fn a_time_out_shorter_than_a_turn_of_upkeep_is_kept_to_the_millisecond() {
    let server = Server::default();
    let pool = server.shared().max_size(1).acquire_timeout(ms(7));
    let pool = pool.build().unwrap();
    let held = join_all((0..4).map(|_| pool.get())).await;
    for apart in [0, 3, 950] {
        pass(ms(apart)).await;
        let began = tokio::time::Instant::now();
        let (one, other) = tokio::join!(pool.get(), pool.get());
        assert!(one.unwrap_err().is_timeout() && other.unwrap_err().is_timeout());
        assert_eq!(began.elapsed(), ms(7));
    }
    drop(held);
}

/// Its permit was on a connection that had died: what is left of its time is less than a turn of upkeep.
#[tokio::test(start_paused = true)]
async fn a_caller_that_queues_again_waits_no_longer_than_it_said() {
    let server = Server::default();
    let pool = server.shared().max_size(1).acquire_timeout(secs(3));
    let pool = pool.build().unwrap();
    let held = join_all((0..4).map(|_| pool.get())).await;
    let began = tokio::time::Instant::now();
    let mut waits = pin!(pool.get());
    assert!(poll!(&mut waits).is_pending());
    pass(ms(2_950)).await;
    server.plan(|plan| plan.connect = Act::Never);
    drop(held);
    server.restart();
    assert!(waits.await.unwrap_err().is_timeout());
    assert_eq!(began.elapsed(), secs(3));
}

/// The runtime that upkeep is on is not driven while another is: who waits there is told all the same.
#[test]
fn a_caller_on_another_runtime_than_upkeep_s_watches_the_time_itself() {
    let server = Server::default();
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    let (first, second) = (runtime(), runtime());
    let (pool, held) = first.block_on(full(&server));
    // Moved there while it waits.
    let mut moved = Box::pin(pool.get());
    first.block_on(async { assert!(poll!(&mut moved).is_pending()) });
    second.block_on(async {
        assert!(pool.get().await.unwrap_err().is_timeout());
        assert!(moved.await.unwrap_err().is_timeout());
    });
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn by_itself_a_getter_waits_for_the_acquire_timeout() {
    let server = Server::default();
    let (pool, _held) = full(&server).await;
    let began = tokio::time::Instant::now();
    assert!(pool.get().await.unwrap_err().is_timeout());
    assert_eq!(began.elapsed(), secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_place_granted_as_the_time_is_up_is_taken_all_the_same() {
    let server = Server::default();
    let (pool, mut held) = full(&server).await;
    let mut late = pin!(pool.get().timeout(secs(1)));
    assert!(poll!(&mut late).is_pending());
    pass(secs(2)).await;
    held.pop();
    assert!(matches!(poll!(&mut late), Poll::Ready(Ok(_))));
    assert_eq!(in_flight(&pool), 3);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_was_granted_and_leaves_passes_its_turn_on() {
    let server = Server::default();
    let (pool, mut held) = full(&server).await;
    let mut second = Box::pin(pool.get());
    {
        let mut first = pin!(pool.get());
        assert!(poll!(&mut first).is_pending());
        assert!(poll!(&mut second).is_pending());
        held.pop();
    }
    assert!(poll!(&mut second).is_ready());
    assert_eq!(pool.counters().gets, 5);
}

#[tokio::test(start_paused = true)]
async fn a_dial_outlives_the_getter_that_asked_for_it() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let pool = server.shared().build().unwrap();
    assert!(poll!(pin!(pool.get())).is_pending());
    pass(ms(200)).await;
    assert!(pool.try_get().is_ok());
    assert_eq!(server.dials(), 1);
}

/// What happens around a get that is dropped after every number of polls.
#[derive(Clone, Copy, Debug)]
enum Around {
    Nothing,
    ALeaseEnds,
    TheConnectionDies,
    TheCapacityFalls,
    TheCapacityRises,
}

/// bb8 #59, sqlx #1869: beside each quitter others wait, who must be served.
#[tokio::test(start_paused = true)]
async fn a_get_dropped_at_any_poll_loses_nothing() {
    use Around::*;
    for connect in [Act::Ok, Act::Slow, Act::Fail, Act::Never, Act::Panic] {
        for around in [
            Nothing,
            ALeaseEnds,
            TheConnectionDies,
            TheCapacityFalls,
            TheCapacityRises,
        ] {
            for (polls, beat) in [(0, 0), (1, 0), (2, 0), (4, 0), (1, 90), (3, 90), (6, 90)] {
                let when = format!("{connect:?}, {around:?}, dropped after {polls} polls");
                quit(connect, around, polls, beat, &when).await;
            }
        }
    }
}

async fn quit(connect: Act, around: Around, polls: usize, beat: u64, when: &str) {
    let server = Server::default();
    let pool = server
        .shared()
        .max_size(2)
        .connect_timeout(ms(500))
        .acquire_timeout(secs(8))
        .build()
        .unwrap();
    let mut held = vec![pool.get().await.unwrap(), pool.get().await.unwrap()];
    server.plan(|plan| plan.connect = connect);
    held.push(pool.get().await.unwrap());
    held.push(pool.get().await.unwrap());
    let capacity = held[0].capacity.clone();
    let quitter = async {
        let mut get = pin!(pool.get());
        for _ in 0..polls {
            if poll!(&mut get).is_ready() {
                break;
            }
            pass(ms(beat)).await;
        }
    };
    let others = async {
        let mut all = join_all((0..3).map(|_| pool.get()));
        let mut all = pin!(&mut all);
        assert!(poll!(&mut all).is_pending() || connect == Act::Ok, "{when}");
        match around {
            Around::Nothing => {}
            Around::ALeaseEnds => drop(held.pop()),
            Around::TheConnectionDies => server.restart(),
            Around::TheCapacityFalls => capacity.store(2, SeqCst),
            Around::TheCapacityRises => capacity.store(9, SeqCst),
        }
        pass(ms(150)).await;
        held.clear();
        all.await
    };
    let ((), others) = tokio::join!(quitter, others);
    let takes_room = matches!(around, Around::TheConnectionDies | Around::TheCapacityFalls);
    let can_be_served = !takes_room || matches!(connect, Act::Ok | Act::Slow);
    assert!(
        !can_be_served || others.iter().all(Result::is_ok),
        "{when}: {others:?}"
    );
    drop(others);
    server.plan(|plan| plan.connect = Act::Ok);
    pass(secs(3)).await;
    capacity.store(4, SeqCst);
    assert_all_there(&pool, &server, when).await;
}

/// The pool beneath waits for its dials; that is no user's waiting.
#[tokio::test(start_paused = true)]
async fn users_that_wait_that_give_up_and_that_are_sent_away_are_told_each_once() {
    let server = Server::default();
    let told = Told::default();
    let log = told.clone();
    let builder = server.shared().max_size(1).max_waiters(1);
    let observed = builder.on_event(move |event| log.note(&words(event)));
    let pool = observed.build().unwrap();
    let mut held = vec![pool.get().await.unwrap()];
    assert_eq!(told.take(), ["opened 1", "waited 0ns"]);
    held.extend((0..3).map(|_| pool.try_get().unwrap()));
    let (waited, rejected) = tokio::join!(pool.get().timeout(secs(1)), async {
        pass(ms(10)).await;
        pool.get().await
    });
    assert!(waited.unwrap_err().is_timeout());
    assert!(matches!(rejected, Err(GetError::QueueFull { .. })));
    assert_eq!(
        told.take(),
        ["rejected", "timed out after 1s", "slow get of 1s: Failed"]
    );
    let (lease, ()) = tokio::join!(pool.get(), async {
        pass(ms(20)).await;
        held.pop();
    });
    assert!(lease.is_ok());
    assert_eq!(told.take(), ["waited 20ms"]);
}

/// For structs that keep a get under way, as a service does until it is ready.
#[tokio::test(start_paused = true)]
async fn an_owned_get_waits_its_turn_without_a_tie_to_the_handle_and_ends_with_the_pool() {
    let server = Server::default();
    server.plan(|plan| plan.capacity = Some(1));
    let pool = server.shared().max_size(1).build().unwrap();
    let held = pool.get_owned().await.unwrap();
    let waiter = tokio::spawn(pool.get_owned());
    let late = tokio::spawn(pool.get_owned().timeout(ms(50)));
    pass(ms(100)).await;
    assert!(matches!(
        late.await.unwrap(),
        Err(GetError::TimedOut { .. })
    ));
    drop(held);
    let lease = waiter.await.unwrap().unwrap();
    let last = tokio::spawn(pool.get_owned());
    pass(ms(1)).await;
    drop(pool);
    assert!(matches!(last.await.unwrap(), Err(GetError::Closed { .. })));
    drop(lease);
}
