use cenote::endpoints::{Balance, Ejection, fixed};
use cenote::settings::{Backoff, IdleOrder};
use cenote::{Connect, Pool};

use crate::service::{Service, ms, secs, set_of, use_once};

fn refused<C: Connect>(built: Result<Pool<C>, cenote::error::SettingsError>) -> String {
    built.map(drop).unwrap_err().to_string()
}

#[tokio::test]
async fn what_is_for_a_set_is_refused_for_one_endpoint() {
    let service = Service::default();
    let one = || Pool::builder(service.connector("a"));
    let text = refused(one().max_per_endpoint(3).build());
    assert!(
        text.contains("max_per_endpoint") && text.contains("balanced"),
        "{text}"
    );
    let text = refused(one().balance(Balance::RoundRobin).build());
    assert!(text.starts_with("balance"), "{text}");
}

#[tokio::test]
async fn what_is_for_one_endpoint_is_refused_for_a_set() {
    let service = Service::default();
    let set = || service.balanced(fixed(set_of(&["a"])));
    let text = refused(set().idle_order(IdleOrder::MostRecent).build());
    assert!(
        text.starts_with("idle_order") && text.contains("balance"),
        "{text}"
    );
    let text = refused(set().max_idle(3).build());
    assert!(text.starts_with("max_idle"), "{text}");
    let text = refused(set().max_per_endpoint(0).build());
    assert!(text.starts_with("max_per_endpoint"), "{text}");
}

#[test]
fn without_a_runtime_there_is_no_pool_over_a_set() {
    let service = Service::default();
    let text = refused(service.balanced(fixed(set_of(&["a"]))).build());
    assert!(text.contains("runtime"), "{text}");
}

#[tokio::test]
async fn a_connection_opened_elsewhere_is_none_of_a_set() {
    use cenote::Dial;
    use cenote::error::AddError;

    let service = Service::default();
    let pool = service.balanced(fixed(set_of(&["a"]))).build().unwrap();
    let conn = service.connector("a").connect(&Dial::new()).await.unwrap();
    assert!(matches!(pool.add(conn), Err(AddError::Set(_))));
}

/// The set is followed where its source is asked.
#[test]
fn a_pool_built_outside_of_the_runtime_of_its_source_works_or_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let service = Service::default();
    let builder = {
        let _within = runtime.enter();
        service.balanced(fixed(set_of(&["a"])))
    };
    if let Ok(pool) = builder.build() {
        runtime.block_on(async { assert_eq!(use_once(&pool).await, "a") });
    }
}

#[test]
fn what_ejects_an_endpoint_is_shown_in_words() {
    let none = Ejection::never();
    let one = Ejection::never().consecutive_failures(1);
    let many = Ejection::default();
    assert_eq!(none.to_string(), "never");
    assert_eq!(one.to_string(), "after 1 failure in a row");
    assert_eq!(
        many.to_string(),
        "after 5 failures in a row, or at most 50 % of 20 or more in 10s"
    );
}

/// Each is named as it is set, and with what would be accepted.
#[tokio::test]
async fn what_cannot_work_of_a_set_is_refused() {
    let service = Service::default();
    let set = || service.balanced(fixed(set_of(&["a"])));
    let ejection = |change: fn(Ejection) -> Ejection| {
        refused(set().ejection(change(Ejection::default())).build())
    };
    for (text, expected) in [
        (
            ejection(|all| all.consecutive_failures(0)),
            "ejection.consecutive_failures is 0, which can't work: at least 1, or None",
        ),
        (
            ejection(|all| all.success_rate(1.5, secs(10), 20)),
            "ejection.success_rate is 1.5, which can't work: from 0.0 to 1.0",
        ),
        (
            ejection(|all| all.success_rate(f64::NAN, secs(10), 20)),
            "ejection.success_rate is NaN, which can't work: from 0.0 to 1.0",
        ),
        (
            ejection(|all| all.success_rate(0.5, secs(10), 0)),
            "ejection.least_calls is 0, which can't work: at least 1",
        ),
        (
            ejection(|all| all.success_rate(0.5, ms(1), 20)),
            "ejection.window is 1ms, which can't work: at least 10ms",
        ),
        (
            ejection(|all| all.lasting(Backoff::new(secs(0), secs(1)))),
            "ejection.lasting.base is 0ns, which can't work: at least 1ms",
        ),
        (
            ejection(|all| all.lasting(Backoff::new(secs(2), secs(1)))),
            "ejection.lasting.max is 1s, which can't work: at least 2s",
        ),
        (
            refused(set().slow_start(secs(0)).build()),
            "slow_start is 0ns, which can't work: at least 1ms",
        ),
        (
            refused(set().drain_timeout(secs(0)).build()),
            "drain_timeout is 0ns, which can't work: at least 1ms",
        ),
    ] {
        assert!(text.starts_with(expected), "{text}");
    }
}

#[tokio::test]
async fn what_only_a_set_has_is_refused_for_one_endpoint() {
    let service = Service::default();
    let one = || Pool::builder(service.connector("a"));
    for (text, setting) in [
        (
            refused(one().ejection(Ejection::never()).build()),
            "ejection",
        ),
        (refused(one().slow_start(secs(1)).build()), "slow_start"),
        (refused(one().drain_timeout(None).build()), "drain_timeout"),
    ] {
        assert!(
            text.starts_with(setting) && text.contains("balanced"),
            "{text}"
        );
    }
}
