//! The pool for synchronous drivers.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use cenote::blocking::{Connect, OwnedLease, Pool};
use cenote::report::{CloseReason, EventKind, GetOutcome};
use cenote::{ConnectionInfo, GetError, Verdict};

/// A driver that does as it is told.
#[derive(Clone, Default)]
struct Driver(Arc<State>);

#[derive(Default)]
struct State {
    connected: AtomicUsize,
    open: AtomicUsize,
    checks: AtomicUsize,
    resets: AtomicUsize,
    goodbyes: AtomicUsize,
    left: Mutex<Vec<(u64, CloseReason)>>,
    fails: AtomicBool,
    panics: AtomicBool,
    /// While true, `connect` blocks.
    hangs: Mutex<bool>,
    unblocked: Condvar,
}

struct Conn {
    id: usize,
    dirty: bool,
    driver: Driver,
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.driver.0.open.fetch_sub(1, SeqCst);
    }
}

impl Driver {
    fn hang(&self, hangs: bool) {
        *self.0.hangs.lock().unwrap() = hangs;
        self.0.unblocked.notify_all();
    }

    fn pool(&self, max_size: usize) -> Pool<Driver> {
        Pool::builder(self.clone())
            .max_size(max_size)
            .build()
            .unwrap()
    }
}

impl Connect for Driver {
    type Connection = Conn;
    type Error = io::Error;

    fn connect(&self) -> io::Result<Conn> {
        assert!(!self.0.panics.load(SeqCst), "told to");
        let hangs = self.0.hangs.lock().unwrap();
        drop(self.0.unblocked.wait_while(hangs, |hangs| *hangs).unwrap());
        if self.0.fails.load(SeqCst) {
            return Err(io::Error::other("the server refused"));
        }
        self.0.open.fetch_add(1, SeqCst);
        let id = self.0.connected.fetch_add(1, SeqCst);
        Ok(Conn {
            id,
            dirty: false,
            driver: self.clone(),
        })
    }

    fn verdict(&self, conn: &mut Conn) -> Verdict {
        if conn.dirty {
            Verdict::Reset
        } else {
            Verdict::Reuse
        }
    }

    fn check(&self, _: &mut Conn, _: &ConnectionInfo) -> io::Result<()> {
        self.0.checks.fetch_add(1, SeqCst);
        if self.0.fails.load(SeqCst) {
            return Err(io::Error::other("the server refused"));
        }
        Ok(())
    }

    fn reset(&self, conn: &mut Conn, _: &ConnectionInfo) -> io::Result<()> {
        self.0.resets.fetch_add(1, SeqCst);
        conn.dirty = false;
        Ok(())
    }

    fn close(&self, conn: Conn, _: &ConnectionInfo) {
        self.0.goodbyes.fetch_add(1, SeqCst);
        drop(conn);
    }

    fn leaving(&self, _: &mut Conn, info: &ConnectionInfo, reason: CloseReason) {
        self.0.left.lock().unwrap().push((info.id, reason));
    }
}

fn until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

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

#[test]
fn a_dirty_connection_is_reset_on_another_thread_before_it_is_leased_again() {
    let driver = Driver::default();
    let pool = driver.pool(1);
    pool.get().unwrap().dirty = true;
    let conn = pool.get().unwrap();
    assert_eq!(
        (conn.id, conn.dirty, driver.0.resets.load(SeqCst)),
        (0, false, 1)
    );
}

#[test]
fn connections_are_checked_before_each_lease_if_asked() {
    let driver = Driver::default();
    let pool = Pool::builder(driver.clone())
        .max_size(1)
        .check_after_idle(Duration::ZERO)
        .build()
        .unwrap();
    drop(pool.get().unwrap());
    drop(pool.get().unwrap());
    assert_eq!(driver.0.checks.load(SeqCst), 2);
}

#[test]
fn getters_learn_why_connecting_fails() {
    let driver = Driver::default();
    driver.0.fails.store(true, SeqCst);
    let error = driver.pool(1).get().unwrap_err();
    assert!(matches!(error, GetError::Connect { .. }), "{error}");
    assert!(
        error
            .connect_error()
            .unwrap()
            .downcast_ref::<io::Error>()
            .is_some()
    );
}

#[test]
fn a_warm_pool_has_its_connections_or_says_why_not() {
    let driver = Driver::default();
    let builder = Pool::builder(driver.clone()).max_size(5);
    let pool = builder.min_idle(2).min_size(3).build().unwrap();
    pool.warm().unwrap();
    assert_eq!(pool.status().idle, 3);
    let driver = Driver::default();
    driver.0.panics.store(true, SeqCst);
    let pool = Pool::builder(driver).min_idle(1).build().unwrap();
    let error = pool.warm().unwrap_err();
    assert!(matches!(error, GetError::Connect { .. }), "{error}");
}

#[test]
fn a_driver_that_panics_is_a_failed_connect() {
    let driver = Driver::default();
    driver.0.panics.store(true, SeqCst);
    let pool = driver.pool(1);
    let error = pool.get().unwrap_err();
    assert!(error.to_string().contains("told to"), "{error}");
    driver.0.panics.store(false, SeqCst);
    drop(pool.get().unwrap());
}

/// bb8: a hung connect holds its slot for ever. The thread stays in the driver; the place does not.
#[test]
fn a_connect_that_hangs_frees_its_place_and_its_late_outcome_is_dropped() {
    let driver = Driver::default();
    driver.hang(true);
    let pool = Pool::builder(driver.clone())
        .max_size(1)
        .connect_timeout(Duration::from_millis(5))
        .build()
        .unwrap();
    assert!(matches!(pool.get().unwrap_err(), GetError::Connect { .. }));
    driver.hang(false);
    let conn = pool.get().unwrap();
    until(|| driver.0.open.load(SeqCst) == 1);
    drop(conn);
}

#[test]
fn hooks_run_and_a_refusal_closes_the_connection() {
    let driver = Driver::default();
    let pool = Pool::builder(driver.clone())
        .max_size(1)
        .after_return(|conn, info| {
            if conn.id == 0 && info.uses == 2 {
                Err("worn out".into())
            } else {
                Ok(())
            }
        })
        .build()
        .unwrap();
    for _ in 0..2 {
        assert_eq!(pool.get().unwrap().id, 0);
    }
    assert_eq!(pool.get().unwrap().id, 1);
    assert_eq!(pool.counters().closed_by(CloseReason::Hook), 1);
}

#[test]
fn closing_says_goodbye_and_waits_for_leases() {
    let driver = Driver::default();
    let pool = driver.pool(2);
    let held = pool.get_owned().unwrap();
    drop(pool.get().unwrap());
    assert_eq!(
        pool.close()
            .timeout(Duration::from_millis(20))
            .wait()
            .abandoned,
        1
    );
    OwnedLease::discard(held);
    assert_eq!(
        pool.close()
            .timeout(Duration::from_secs(60))
            .wait()
            .abandoned,
        0
    );
    assert_eq!(
        (driver.0.open.load(SeqCst), driver.0.goodbyes.load(SeqCst)),
        (0, 1)
    );
    assert!(matches!(pool.get(), Err(GetError::Closed { .. })));
}

#[test]
fn dropping_the_last_handle_says_goodbye_to_idle_connections() {
    let driver = Driver::default();
    let pool = driver.pool(1);
    drop(pool.get().unwrap());
    drop(pool);
    until(|| driver.0.goodbyes.load(SeqCst) == 1);
}

#[test]
fn a_connector_is_told_why_its_connections_leave() {
    let driver = Driver::default();
    let pool = driver.pool(1);
    OwnedLease::discard(pool.get_owned().unwrap());
    drop(OwnedLease::detach(pool.get_owned().unwrap()));
    let left = driver.0.left.lock().unwrap();
    assert_eq!(
        *left,
        [(1, CloseReason::Discarded), (2, CloseReason::Detached)]
    );
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

/// A thread that waits rides a restart out, as those of r2d2 and HikariCP do; a server that never was there is told of.
#[test]
fn threads_ride_a_restart_out_and_learn_of_a_server_that_never_was_there() {
    let driver = Driver::default();
    driver.0.fails.store(true, SeqCst);
    let pool = Pool::builder(driver.clone())
        .acquire_timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    let error = pool.get().unwrap_err();
    assert!(matches!(error, GetError::Connect { .. }), "{error}");
    driver.0.fails.store(false, SeqCst);
    OwnedLease::discard(pool.get_owned().unwrap());
    driver.0.fails.store(true, SeqCst);
    let failed = pool.counters().connect_failed;
    let waiter = {
        let pool = pool.clone();
        thread::spawn(move || pool.get_owned().map(drop))
    };
    while pool.counters().connect_failed < failed + 4 {
        thread::sleep(Duration::from_millis(1));
    }
    driver.0.fails.store(false, SeqCst);
    waiter.join().unwrap().unwrap();
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
