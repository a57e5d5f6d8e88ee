//! How an endpoint that is ejected comes back: its probe, its trial, and whose outcomes count meanwhile.

use super::*;

#[test]
fn each_failed_probe_has_the_endpoint_out_for_twice_as_long_up_to_the_longest() {
    let mut endpoint = Endpoint::with_both();
    let mut took = vec![endpoint.fail()];
    for _ in 0..60 {
        let Some(Standing::Ejected(ejection)) = endpoint.probe(Outcome::Failed) else {
            panic!("ejected again");
        };
        assert_eq!(ejection.cause, Cause::ProbeFailed);
        took.push(ejection.until - endpoint.now);
    }
    for (ejections, took) in took.into_iter().enumerate() {
        let longest = (SECOND << ejections.min(10)).min(60 * SECOND);
        assert!(
            (longest / 2..=longest).contains(&took),
            "{took} after {ejections}"
        );
    }
}

#[test]
fn ejections_that_began_together_do_not_end_together() {
    let ends = |seed| {
        let mut endpoint = Endpoint::with_both();
        endpoint.rng = Rng::with_seed(seed);
        endpoint.fail()
    };
    let ends: Vec<_> = (0..1_000).map(ends).collect();
    let in_tenth = |tenth: u64| {
        let from = SECOND / 2 + tenth * SECOND / 20;
        ends.iter()
            .filter(|end| (from..from + SECOND / 20).contains(end))
            .count()
    };
    assert!((0..10).all(|tenth| (60..150).contains(&in_tenth(tenth))));
}

/// linkerd2-proxy, `probation_admits_single_probe`.
#[test]
fn once_its_ejection_is_over_one_call_decides_and_no_other_counts_meanwhile() {
    let mut endpoint = Endpoint::with_both();
    endpoint.fail();
    endpoint.sit_out();
    let probe = endpoint.begin();
    assert!(matches!(endpoint.standing(), Standing::Probing { .. }));
    for outcome in [Outcome::Ok, Outcome::Failed, OVERLOADED] {
        let other = endpoint.begin();
        assert_eq!(other, Call::Uncounted);
        assert_eq!(endpoint.end(other, outcome), None);
    }
    let recovered_at = Some(endpoint.now);
    assert_eq!(
        endpoint.end(probe, Outcome::Ok),
        Some(Standing::Up { recovered_at })
    );
    assert_eq!(endpoint.end(probe, Outcome::Failed), None, "it has ended");
}

/// linkerd2-proxy, `probation_failure_on_429`.
#[test]
fn a_probe_that_is_refused_has_failed_and_its_hint_is_heeded() {
    let mut endpoint = Endpoint::with_both();
    endpoint.fail();
    let Some(Standing::Ejected(ejection)) = endpoint.probe(overloaded_for(100)) else {
        panic!("ejected again");
    };
    assert_eq!(ejection.until - endpoint.now, 100 * SECOND);
}

#[test]
fn a_probe_that_is_cancelled_gives_the_next_call_its_place() {
    let mut endpoint = Endpoint::with_both();
    endpoint.fail();
    let standing = endpoint.probe(Outcome::Ignore);
    assert!(matches!(standing, Some(Standing::Probation(_))));
    assert!(matches!(
        endpoint.probe(Outcome::Ok),
        Some(Standing::Up { .. })
    ));
}

/// linkerd2-proxy, `wait_for_backoff_terminates_with_leaked_gate`.
#[test]
fn a_probe_that_never_ends_is_given_up_and_says_nothing_later() {
    let mut endpoint = Endpoint::with_both();
    endpoint.fail();
    endpoint.sit_out();
    let leaked = endpoint.begin();
    endpoint.wait(PROBE_PATIENCE - 1);
    assert_eq!(endpoint.begin(), Call::Uncounted);
    endpoint.wait(1);
    let next = endpoint.begin();
    assert_eq!(endpoint.end(leaked, Outcome::Failed), None);
    assert!(matches!(
        endpoint.end(next, Outcome::Ok),
        Some(Standing::Up { .. })
    ));
}

#[test]
fn an_endpoint_that_fails_again_soon_after_it_came_back_is_out_for_longer() {
    let mut endpoint = Endpoint::with_both();
    assert!(endpoint.fail() <= SECOND);
    for longest in [2, 4, 8, 16, 32, 60, 60] {
        endpoint.probe(Outcome::Ok);
        endpoint.wait(MIN_TRIAL - 1);
        let took = endpoint.fail();
        assert!(
            (longest * SECOND / 2..=longest * SECOND).contains(&took),
            "{took}"
        );
    }
}

#[test]
fn an_endpoint_that_was_good_for_as_long_as_it_was_out_is_out_for_the_shortest_time_again() {
    let mut endpoint = Endpoint::with_both();
    endpoint.fail();
    endpoint.probe(overloaded_for(200));
    endpoint.probe(Outcome::Ok);
    endpoint.wait(200 * SECOND - 1);
    let took = endpoint.fail();
    assert!((2 * SECOND..=4 * SECOND).contains(&took), "not yet: {took}");
    endpoint.probe(Outcome::Ok);
    endpoint.wait(MIN_TRIAL);
    assert!(endpoint.fail() <= SECOND);
}

/// A hundred calls hang when the endpoint goes; when the last of them ends, it has long been back.
#[test]
fn calls_that_began_before_an_ejection_say_nothing_after_it() {
    let mut endpoint = Endpoint::with_both();
    let hanging: Vec<_> = (0..100).map(|_| endpoint.begin()).collect();
    let (first, late) = hanging.split_at(50);
    let changes = first
        .iter()
        .filter_map(|call| endpoint.end(*call, Outcome::Failed));
    assert_eq!(changes.count(), 1);
    endpoint.probe(Outcome::Ok);
    for call in late {
        assert_eq!(endpoint.end(*call, Outcome::Failed), None);
    }
    assert!(matches!(endpoint.standing(), Standing::Up { .. }));
}

#[test]
fn an_endpoint_that_is_called_while_it_is_ejected_is_judged_by_its_probe_alone() {
    let mut endpoint = Endpoint::with_both();
    endpoint.fail();
    let ejected = endpoint.standing();
    for _ in 0..100 {
        assert_eq!(endpoint.begin(), Call::Uncounted);
        assert_eq!(endpoint.call(Outcome::Ok), None);
        assert_eq!(endpoint.call(overloaded_for(300)), None);
    }
    assert_eq!(endpoint.standing(), ejected);
}

#[test]
fn an_endpoint_that_came_back_is_judged_by_what_it_did_since() {
    let mut endpoint = Endpoint::with_consecutive_failures_alone();
    endpoint.fail();
    endpoint.probe(Outcome::Ok);
    assert_eq!(endpoint.calls_until_ejected(0, [Outcome::Failed; 4]), None);
    assert!(endpoint.call(Outcome::Failed).is_some());

    let mut endpoint = Endpoint::with_success_rate_alone();
    endpoint.fail();
    endpoint.probe(Outcome::Ok);
    assert_eq!(endpoint.calls_until_ejected(0, [Outcome::Failed; 19]), None);
    assert!(endpoint.call(Outcome::Failed).is_some());
}
