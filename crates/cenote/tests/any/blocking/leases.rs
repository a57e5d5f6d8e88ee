//! How threads and tasks come by a lease from the pool for synchronous drivers, how long they wait, and what the pool
//! tells of them.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use cenote::blocking::{OwnedLease, Pool};
use cenote::report::{CloseReason, EventKind, GetOutcome};

use super::{Driver, until};

#[test]
fn threads_share_a_few_connections_and_nothing_is_lost() {
    let driver = Driver::default();
    let pool = driver.pool(3);
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                for _ in 0..300 {
                    let _conn = pool.get().unwrap();
                    thread::yield_now();
                }
            });
        }
    });
    assert_eq!(pool.counters().gets, 3600);
    assert!(driver.0.open.load(SeqCst) <= 3);
    assert_eq!(pool.status().leased, 0);
}

#[test]
fn a_getter_waits_no_longer_than_it_said() {
    let pool = Driver::default().pool(1);
    let _held = pool.get().unwrap();
    let error = pool.get_timeout(Duration::from_millis(10)).unwrap_err();
    assert!(
        error.is_timeout() && error.to_string().contains("1 leased"),
        "{error}"
    );
    assert_eq!(pool.status().waiters, 0);
}

#[test]
fn an_owned_lease_goes_to_another_thread_and_outlives_the_pool() {
    let driver = Driver::default();
    let pool = driver.pool(1);
    let lease = pool.get_owned().unwrap();
    drop(pool);
    thread::spawn(move || drop(lease)).join().unwrap();
    until(|| driver.0.open.load(SeqCst) == 0);
}

/// It may be called from within somebody else's runtime, and uses its own.
#[tokio::test]
async fn it_works_on_a_thread_of_a_tokio_runtime() {
    let pool = Driver::default().pool(1);
    let held = pool.get().unwrap();
    assert!(
        pool.get_timeout(Duration::from_millis(5))
            .unwrap_err()
            .is_timeout()
    );
    drop(held);
    drop(pool.get().unwrap());
}

/// A thread can wait for a check, so what must be checked first is no reason to come away empty-handed.
#[test]
fn try_get_checks_what_has_been_idle_and_leases_it() {
    let driver = Driver::default();
    let pool = Pool::builder(driver.clone())
        .max_size(1)
        .check_after_idle(Duration::ZERO)
        .build()
        .unwrap();
    assert!(pool.try_get().is_err(), "nothing is open");
    drop(pool.get().unwrap());
    let checks = driver.0.checks.load(SeqCst);
    assert_eq!(pool.try_get().unwrap().id, 0);
    assert_eq!(driver.0.checks.load(SeqCst), checks + 1);
    driver.0.fails.store(true, SeqCst);
    assert!(pool.try_get().is_err(), "it failed its check");
    assert_eq!(pool.counters().closed_by(CloseReason::CheckFailed), 1);
}

#[test]
fn an_owned_lease_is_waited_for_no_longer_than_asked() {
    let pool = Pool::new(Driver::default()).unwrap();
    let held: Vec<_> = (0..10).map(|_| pool.get_owned().unwrap()).collect();
    let refused = pool
        .get_owned_timeout(Duration::from_millis(5))
        .unwrap_err();
    assert!(refused.is_timeout(), "{refused}");
    drop(held);
    assert!(pool.get_owned_timeout(Duration::from_secs(60)).is_ok());
    assert!(!pool.is_closed());
    assert!(!pool.connector().unwrap().0.panics.load(SeqCst));
}

/// The thread watches its time itself; the pool knows that it was not simply left.
#[test]
fn a_thread_whose_time_is_up_is_told_of_as_timed_out_and_slow() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = told.clone();
    let pool = Pool::builder(Driver::default())
        .max_size(1)
        .slow_get(Duration::from_millis(5))
        .on_event(move |event| match event.kind {
            EventKind::TimedOut { .. } => log.lock().unwrap().push("timed out"),
            EventKind::SlowGet {
                outcome: GetOutcome::Failed,
                ..
            } => log.lock().unwrap().push("slow"),
            _ => {}
        })
        .build()
        .unwrap();
    let _held = pool.get().unwrap();
    let refused = pool.get_timeout(Duration::from_millis(10)).unwrap_err();
    assert!(refused.is_timeout(), "{refused}");
    assert_eq!(*told.lock().unwrap(), ["timed out", "slow"]);
    let counters = pool.counters();
    assert_eq!((counters.timed_out, counters.abandoned), (1, 0));
}

#[test]
fn a_blocking_pool_can_be_looked_at_from_all_sides() {
    let pool = Driver::default().pool(2);
    let held = pool.get().unwrap();
    cenote::blocking::Lease::set_label(&held, "checkout");
    let snapshot = pool.inspect();
    let holder = &snapshot.holders()[0];
    assert_eq!((holder.leases, holder.label), (1, Some("checkout")));
    assert_eq!(holder.call_site.file(), file!());
    assert_eq!(snapshot.settings.max_size, 2);
    assert_eq!(pool.timings().connects.count(), 1);
}

/// On any executor: the pool has threads of its own.
#[test]
fn a_task_awaits_a_lease_and_has_its_work_done_on_another_thread() {
    let pool = Driver::default().pool(1);
    let here = thread::current().id();
    let (id, worker) = futures::executor::block_on(async {
        let lease = pool.get_async().await.unwrap();
        let (lease, worker) = OwnedLease::interact(lease, |conn| {
            conn.dirty = true;
            thread::current().id()
        })
        .await
        .unwrap();
        (lease.id, worker)
    });
    assert_ne!(worker, here);
    let next = pool.get().unwrap();
    assert_eq!((next.id, next.dirty), (id, false), "reset after its lease");
}

#[test]
fn a_task_that_awaits_a_lease_in_vain_is_told_as_a_thread_is() {
    let pool = Pool::builder(Driver::default())
        .max_size(1)
        .acquire_timeout(Duration::from_millis(10))
        .build()
        .unwrap();
    let _held = pool.get_timeout(Duration::from_secs(60)).unwrap();
    let refused = futures::executor::block_on(pool.get_async()).unwrap_err();
    assert!(refused.is_timeout(), "{refused}");
}

#[test]
fn a_closure_that_panics_on_a_blocking_connection_closes_it() {
    let driver = Driver::default();
    let pool = driver.pool(1);
    let lease = pool.get_owned().unwrap();
    let failed = OwnedLease::interact(lease, |_| -> () { panic!("told to") });
    let error = futures::executor::block_on(failed).unwrap_err();
    assert_eq!(error.to_string(), "the closure panicked: told to");
    assert_eq!(driver.0.open.load(SeqCst), 0);
    assert_eq!(pool.get().unwrap().id, 1);
}
