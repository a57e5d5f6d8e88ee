use cenote::endpoints::{Ejection, Outcome};
use cenote::report::EndpointCondition;
use cenote::{SharedLease, SharedPool};

use super::{hold, over, shares, spread, warm};
use crate::service::{Answer, Service, To, ms, pass, secs};

/// One call: of this endpoint they fail.
async fn call(pool: &SharedPool<To>, failing: &str) -> String {
    let lease = pool.get().await.unwrap();
    pass(ms(1)).await;
    let outcome = match lease.server == failing {
        true => Outcome::Failed,
        false => Outcome::Ok,
    };
    SharedLease::outcome(&lease, outcome);
    lease.server.clone()
}

async fn calls(pool: &SharedPool<To>, failing: &str, times: usize) -> usize {
    let mut failed = 0;
    for _ in 0..times {
        failed += usize::from(call(pool, failing).await == failing);
    }
    failed
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_whose_calls_fail_gets_none_for_a_while_and_keeps_its_connection() {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["a", "b", "bad"]);
    let pool = pool.build().unwrap();
    warm(&pool).await;
    let failed = calls(&pool, "bad", 200).await;
    assert!(failed <= 10, "{failed}");
    assert_eq!(service.dialled("bad"), 1);
    assert_eq!(service.open("bad"), 1);
}

#[tokio::test(start_paused = true)]
async fn after_its_ejection_one_call_at_a_time_decides_whether_it_is_back() {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["a", "b", "bad"]);
    let pool = pool.build().unwrap();
    warm(&pool).await;
    calls(&pool, "bad", 200).await;
    // Long enough for any first ejection.
    pass(secs(400)).await;
    let held = hold(&pool, 150).await;
    let on_trial = spread(&held).get("bad").copied().unwrap_or(0);
    assert!(on_trial <= 1, "{on_trial} at once");
    drop(held);
    // It has recovered by now.
    calls(&pool, "", 2_000).await;
    let shares = shares(&pool, 300).await;
    assert!(
        shares.get("bad").is_some_and(|share| *share > 60),
        "{shares:?}"
    );
}

/// A probe that fails costs one call.
#[tokio::test(start_paused = true)]
async fn a_call_that_fails_on_trial_ejects_again() {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["a", "b", "bad"]);
    let pool = pool.build().unwrap();
    warm(&pool).await;
    calls(&pool, "bad", 200).await;
    for _ in 0..3 {
        pass(secs(400)).await;
        let failed = calls(&pool, "bad", 500).await;
        assert!(failed <= 1, "{failed} calls on trial");
    }
}

/// linkerd2 #7768: one endpoint under load, and a breaker that opens though it is the only one.
#[tokio::test(start_paused = true)]
async fn the_only_endpoint_is_not_ejected_to_nothing() {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["only"]);
    let pool = pool.build().unwrap();
    assert_eq!(calls(&pool, "only", 100).await, 100);
}

#[tokio::test(start_paused = true)]
async fn without_ejection_outcomes_change_nothing() {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["a", "bad"]);
    let pool = pool.ejection(Ejection::never()).build().unwrap();
    warm(&pool).await;
    assert!(calls(&pool, "bad", 200).await > 60);
}

/// A lease may last for as long as its user does.
#[tokio::test(start_paused = true)]
async fn leases_from_before_an_ejection_do_not_keep_an_endpoint_from_its_trial() {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["a", "b", "bad"]);
    let pool = pool.build().unwrap();
    warm(&pool).await;
    let held = hold(&pool, 9).await;
    assert!(spread(&held).contains_key("bad"));
    calls(&pool, "bad", 100).await;
    pass(secs(5)).await;
    calls(&pool, "", 1_000).await;
    let shares = shares(&pool, 300).await;
    assert!(
        shares.get("bad").is_some_and(|share| *share > 60),
        "{shares:?}"
    );
}

/// Its user tells nothing, and does not give it back.
#[tokio::test(start_paused = true)]
async fn a_lease_on_trial_that_does_not_end_is_given_up_after_a_while() {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["a", "b", "bad"]);
    let pool = pool.build().unwrap();
    warm(&pool).await;
    calls(&pool, "bad", 100).await;
    pass(secs(2)).await;
    let mut held = hold(&pool, 100).await;
    held.retain(|lease| lease.server == "bad");
    assert_eq!(held.len(), 1, "on trial");
    pass(secs(50)).await;
    assert_eq!(shares(&pool, 500).await.get("bad"), None);
    pass(secs(10)).await;
    calls(&pool, "", 1_000).await;
    drop(held);
    let shares = shares(&pool, 300).await;
    assert!(
        shares.get("bad").is_some_and(|share| *share > 60),
        "{shares:?}"
    );
}

/// What it carries on trial says nothing of how busy the others are.
#[tokio::test(start_paused = true)]
async fn an_endpoint_on_trial_does_not_keep_the_others_from_having_more_connections() {
    let service = Service::default();
    for name in ["a", "b", "bad"] {
        service.set_capacity(name, 10);
    }
    let (_sender, pool) = over(&service, &["a", "b", "bad"]);
    let pool = pool.build().unwrap();
    warm(&pool).await;
    calls(&pool, "bad", 100).await;
    pass(secs(5)).await;
    let spread = spread(&hold(&pool, 40).await);
    assert_eq!(spread["bad"], 1, "on trial");
}

/// Nobody tells how calls end, so that a connection that lasts has to do: there is none at first.
#[tokio::test(start_paused = true)]
async fn where_nobody_tells_outcomes_a_connection_that_lasts_ends_the_trial_whenever_it_is_opened()
{
    let service = Service::default();
    let (_sender, pool) = over(&service, &["a", "b", "bad"]);
    let pool = pool.build().unwrap();
    warm(&pool).await;
    let condition = || {
        let endpoints = pool.endpoints().unwrap().endpoints;
        let bad = endpoints.into_iter().find(|at| &*at.name == "bad");
        bad.unwrap().condition
    };
    // Its connections break in the hands of their users.
    while !matches!(condition(), EndpointCondition::Ejected { .. }) {
        let held = hold(&pool, 9).await;
        service.kill("bad");
        service.set("bad", Answer::Accept);
        pass(ms(200)).await;
        drop(held);
        shares(&pool, 100).await;
    }
    pass(secs(10)).await;
    assert_eq!(condition(), EndpointCondition::OnTrial);
    assert_eq!(service.open("bad"), 0);
    shares(&pool, 2_000).await;
    assert_eq!(condition(), EndpointCondition::Up);
}
