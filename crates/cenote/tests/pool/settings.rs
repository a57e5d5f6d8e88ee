//! Settings that can't work are errors that name the setting and what would.

use std::time::Duration;

use cenote::pool::PoolBuilder;
use cenote::settings::{Backoff, ConnectFailures};

use crate::server::{Server, ms, secs};

#[track_caller]
fn refused(
    setting: &str,
    accepted: &str,
    set: impl FnOnce(PoolBuilder<Server>) -> PoolBuilder<Server>,
) {
    let builder = set(Server::default().builder());
    let checked = builder.check().unwrap_err();
    let error = builder.build().unwrap_err();
    assert_eq!(error, checked, "it is told without making a pool");
    assert_eq!(error.setting, setting, "{error}");
    assert!(error.accepted.contains(accepted), "{error}");
    assert!(error.to_string().starts_with(setting), "{error}");
}

#[test]
fn sizes_that_cannot_work_are_named() {
    refused("max_size", "at least 1", |b| b.max_size(0));
    refused("max_size", "at most", |b| b.max_size(usize::MAX));
    refused("min_idle", "at most max_size (3)", |b| {
        b.max_size(3).min_idle(4)
    });
    refused("max_idle", "at least min_idle (2)", |b| {
        b.min_idle(2).max_idle(1)
    });
    refused("max_waiters", "at least 1", |b| b.max_waiters(0));
    refused("max_connecting", "at least 1", |b| b.max_connecting(0));
}

#[test]
fn durations_of_zero_are_named_with_how_to_switch_the_setting_off() {
    refused("acquire_timeout", "None waits without end", |b| {
        b.acquire_timeout(Duration::ZERO)
    });
    refused("idle_timeout", "None never closes", |b| {
        b.idle_timeout(Duration::ZERO)
    });
    refused("max_lifetime", "None never closes", |b| {
        b.max_lifetime(Duration::ZERO)
    });
    refused("keepalive", "None switches it off", |b| {
        b.keepalive(Duration::ZERO)
    });
    refused("leak_threshold", "None switches it off", |b| {
        b.leak_threshold(Duration::ZERO)
    });
    refused("connect_timeout", "at least", |b| {
        b.connect_timeout(Duration::ZERO)
    });
    refused("check_timeout", "at least", |b| {
        b.check_timeout(Duration::ZERO)
    });
    refused("reset_timeout", "at least", |b| {
        b.reset_timeout(Duration::ZERO)
    });
    refused("close_timeout", "at least", |b| {
        b.close_timeout(Duration::ZERO)
    });
}

#[test]
fn absurd_durations_are_named() {
    refused("acquire_timeout", "at most 100 years", |b| {
        b.acquire_timeout(Duration::MAX)
    });
    refused("check_after_idle", "at most 100 years", |b| {
        b.check_after_idle(Duration::MAX)
    });
    refused("connect_timeout", "at most 100 years", |b| {
        b.connect_timeout(Duration::MAX)
    });
}

#[test]
fn shares_back_offs_and_policies_that_cannot_work_are_named() {
    refused("lifetime_jitter", "0.0 to 0.9", |b| b.lifetime_jitter(1.5));
    refused("lifetime_jitter", "0.0 to 0.9", |b| {
        b.lifetime_jitter(f64::NAN)
    });
    refused("backoff.base", "at least", |b| {
        b.backoff(Backoff::new(Duration::ZERO, secs(1)))
    });
    refused("backoff.max", "at least backoff.base", |b| {
        b.backoff(Backoff::new(secs(2), ms(1)))
    });
    refused("connect_failures", "FailAfter(1)", |b| {
        b.connect_failures(ConnectFailures::FailAfter(0))
    });
}

#[test]
fn the_defaults_and_the_extremes_that_mean_something_are_accepted() {
    Server::default().builder().build().unwrap();
    Server::default()
        .builder()
        .max_idle(0)
        .check_after_idle(Duration::ZERO)
        .acquire_timeout(None)
        .idle_timeout(None)
        .max_lifetime(None)
        .keepalive(None)
        .max_waiters(None)
        .lifetime_jitter(0.0)
        .build()
        .unwrap();
}
