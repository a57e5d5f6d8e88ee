//! What becomes of connections in the pool for synchronous drivers: each dial, check, reset and close is a call that
//! may block, fail, hang or panic.

use std::io;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use cenote::GetError;
use cenote::blocking::{OwnedLease, Pool};
use cenote::report::CloseReason;

use super::{Driver, until};

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
