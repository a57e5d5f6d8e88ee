//! What ejects an endpoint, what does not, and for how long.

mod recovery;

use super::*;

const SECS: fn(u64) -> Duration = Duration::from_secs;

/// One endpoint whose calls take no time, and the clock.
struct Endpoint {
    accrual: Accrual,
    settings: AccrualSettings,
    now: u64,
    rng: Rng,
}

impl Endpoint {
    fn new(settings: AccrualSettings) -> Self {
        Self {
            accrual: Accrual::new(),
            settings,
            now: 1_000 * SECOND,
            rng: Rng::with_seed(7),
        }
    }

    fn with_both() -> Self {
        Self::new(AccrualSettings::default())
    }

    fn with_consecutive_failures_alone() -> Self {
        Self::new(AccrualSettings {
            success_rate: None,
            ..AccrualSettings::default()
        })
    }

    fn with_success_rate_alone() -> Self {
        Self::new(AccrualSettings {
            consecutive_failures: None,
            ..AccrualSettings::default()
        })
    }

    fn wait(&mut self, nanos: u64) {
        self.now += nanos;
    }

    fn standing(&self) -> Standing {
        self.accrual.standing(self.now)
    }

    fn begin(&mut self) -> Call {
        self.accrual.begin(self.now)
    }

    fn end(&mut self, call: Call, outcome: Outcome) -> Option<Standing> {
        let Self {
            accrual,
            settings,
            now,
            rng,
        } = self;
        accrual.end(call, outcome, *now, settings, rng)
    }

    fn call(&mut self, outcome: Outcome) -> Option<Standing> {
        let call = self.begin();
        self.end(call, outcome)
    }

    /// Calls it once in `pause` until it is ejected: how many calls that takes.
    fn calls_until_ejected(
        &mut self,
        pause: u64,
        outcomes: impl IntoIterator<Item = Outcome>,
    ) -> Option<(usize, Ejection)> {
        for (before, outcome) in outcomes.into_iter().enumerate() {
            self.wait(pause);
            if let Some(Standing::Ejected(ejection)) = self.call(outcome) {
                return Some((before + 1, ejection));
            }
        }
        None
    }

    /// Fails until it is ejected, now: for how long it is.
    fn fail(&mut self) -> u64 {
        let ejected = self.calls_until_ejected(0, [Outcome::Failed; 100]);
        let (_, ejection) = ejected.expect("a hundred failures in a row");
        ejection.until - self.now
    }

    /// Its ejection is over.
    fn sit_out(&mut self) {
        if let Standing::Ejected(ejection) = self.standing() {
            self.now = ejection.until;
        }
        assert!(matches!(self.standing(), Standing::Probation(_)));
    }

    /// Sits its ejection out, and its probe ends so.
    fn probe(&mut self, outcome: Outcome) -> Option<Standing> {
        self.sit_out();
        let call = self.begin();
        assert!(matches!(call, Call::Probe(_)));
        self.end(call, outcome)
    }
}

const TEN_A_SECOND: u64 = SECOND / 10;
const TEN_THOUSAND_A_SECOND: u64 = SECOND / 10_000;

const OVERLOADED: Outcome = Outcome::Overloaded { retry_after: None };

fn overloaded_for(seconds: u64) -> Outcome {
    Outcome::Overloaded {
        retry_after: Some(SECS(seconds)),
    }
}

/// envoy #10770, #2671: failures were forgotten at each interval, so an endpoint with little traffic was never ejected.
#[test]
fn failures_in_a_row_eject_however_long_they_take() {
    for pause in [0, SECOND, 3_600 * SECOND, 1_000_000 * SECOND] {
        let ejected = Endpoint::with_both().calls_until_ejected(pause, [Outcome::Failed; 9]);
        let (calls, ejection) = ejected.unwrap();
        assert_eq!(calls, 5, "one each {pause} ns");
        assert_eq!(ejection.cause, Cause::ConsecutiveFailures(5));
    }
}

#[test]
fn a_success_ends_the_failures_in_a_row_and_a_cancelled_call_does_not() {
    let mut endpoint = Endpoint::with_consecutive_failures_alone();
    for outcome in [
        Outcome::Failed,
        Outcome::Failed,
        Outcome::Failed,
        Outcome::Failed,
        Outcome::Ok,
    ] {
        assert_eq!(endpoint.call(outcome), None);
    }
    for _ in 0..4 {
        assert_eq!(endpoint.call(Outcome::Failed), None);
        assert_eq!(endpoint.call(Outcome::Ignore), None);
    }
    assert!(endpoint.call(Outcome::Failed).is_some());
}

/// linkerd2-proxy #4561, `failure_burst_trips_independent_of_rate`.
#[test]
fn an_endpoint_is_ejected_after_the_same_number_of_failures_at_ten_calls_a_second_and_at_ten_thousand()
 {
    let failing = |mut endpoint: Endpoint, pause| {
        endpoint
            .calls_until_ejected(pause, [Outcome::Failed; 100])
            .unwrap()
            .0
    };
    for pause in [TEN_A_SECOND, TEN_THOUSAND_A_SECOND] {
        assert_eq!(failing(Endpoint::with_both(), pause), 5);
        assert_eq!(failing(Endpoint::with_success_rate_alone(), pause), 20);
    }
}

/// linkerd2-proxy #4561.
#[test]
fn an_endpoint_that_fails_half_of_its_calls_is_ejected_after_the_same_number_of_them_at_any_rate() {
    for first in 0..2 {
        let half = || {
            (first..200).map(|i| {
                if i % 2 == 0 {
                    Outcome::Ok
                } else {
                    Outcome::Failed
                }
            })
        };
        let calls = |pause| {
            Endpoint::with_both()
                .calls_until_ejected(pause, half())
                .unwrap()
        };
        let (slow, fast) = (calls(TEN_A_SECOND), calls(TEN_THOUSAND_A_SECOND));
        assert_eq!(slow.0, fast.0);
        assert_eq!(
            slow.0,
            20 + first,
            "at the failure that makes at least twenty"
        );
        assert!(
            matches!(slow.1.cause, Cause::SuccessRate { failed, calls } if failed * 2 >= calls)
        );
    }
}

#[test]
fn a_few_failures_among_many_calls_do_not_eject_by_rate_however_many_calls_there_are() {
    let (mut endpoint, mut rng) = (Endpoint::with_success_rate_alone(), Rng::with_seed(3));
    let outcomes = (0..200_000).map(|_| match rng.u32(..10) {
        0 => Outcome::Failed,
        _ => Outcome::Ok,
    });
    assert_eq!(endpoint.calls_until_ejected(SECOND / 100, outcomes), None);
}

#[test]
fn too_few_calls_decide_nothing_and_calls_of_before_the_window_are_not_there_to_help() {
    let mut endpoint = Endpoint::with_success_rate_alone();
    assert_eq!(endpoint.calls_until_ejected(0, [Outcome::Failed; 19]), None);
    endpoint.wait(10 * SECOND);
    assert_eq!(
        endpoint.call(Outcome::Failed),
        None,
        "an idle gap starts it cold"
    );
    let slow = endpoint.calls_until_ejected(SECOND * 6 / 10, [Outcome::Failed; 1_000]);
    assert_eq!(slow, None, "no twenty of them within ten seconds");
}

#[test]
fn a_cancelled_call_counts_for_nothing() {
    let mut endpoint = Endpoint::with_both();
    for _ in 0..19 {
        endpoint.call(Outcome::Ok);
    }
    assert_eq!(
        endpoint.calls_until_ejected(0, [Outcome::Ignore; 1_000]),
        None
    );
    assert_eq!(
        endpoint.accrual.window.tally(),
        Tally {
            calls: 19,
            failed: 0
        }
    );
}

#[test]
fn an_endpoint_that_sheds_load_is_ejected_by_its_rate_and_not_for_a_few_refusals_in_a_row() {
    let mut endpoint = Endpoint::with_consecutive_failures_alone();
    assert_eq!(endpoint.calls_until_ejected(0, [OVERLOADED; 1_000]), None);
    let mut endpoint = Endpoint::with_both();
    let (calls, ejection) = endpoint.calls_until_ejected(0, [OVERLOADED; 100]).unwrap();
    assert_eq!(
        (calls, ejection.cause),
        (
            20,
            Cause::SuccessRate {
                failed: 20,
                calls: 20
            }
        )
    );
}

#[test]
fn a_refusal_neither_adds_to_failures_in_a_row_nor_ends_them() {
    let mut endpoint = Endpoint::with_consecutive_failures_alone();
    for _ in 0..4 {
        assert_eq!(endpoint.call(Outcome::Failed), None);
        assert_eq!(endpoint.call(OVERLOADED), None);
    }
    assert!(endpoint.call(Outcome::Failed).is_some());
}

#[test]
fn an_ejection_lasts_at_least_as_long_as_the_endpoint_asked_for_and_no_hint_keeps_it_out_for_more_than_300_s()
 {
    let out = |hint: Outcome| {
        let mut endpoint = Endpoint::with_both();
        endpoint.call(hint);
        endpoint.fail()
    };
    assert_eq!(out(overloaded_for(20)), 20 * SECOND);
    assert_eq!(out(overloaded_for(7 * 24 * 3600)), 300 * SECOND);
    assert_eq!(out(overloaded_for(u64::MAX)), 300 * SECOND);
    assert!(
        out(overloaded_for(0)) >= SECOND / 2,
        "the back-off is there all the same"
    );
}

#[test]
fn a_hint_that_was_heeded_lengthens_no_later_ejection() {
    let mut endpoint = Endpoint::with_both();
    endpoint.call(overloaded_for(200));
    assert_eq!(endpoint.fail(), 200 * SECOND);
    endpoint.probe(Outcome::Ok);
    assert!(endpoint.fail() <= 2 * SECOND);
}

/// linkerd2-proxy, `both_policies_disabled_never_trips`.
#[test]
fn without_a_detector_nothing_ejects() {
    let mut endpoint = Endpoint::new(AccrualSettings {
        consecutive_failures: None,
        success_rate: None,
        ..AccrualSettings::default()
    });
    let outcomes = [Outcome::Failed, overloaded_for(300)].into_iter().cycle();
    assert_eq!(
        endpoint.calls_until_ejected(TEN_A_SECOND, outcomes.take(10_000)),
        None
    );
}

#[test]
fn no_time_and_no_setting_overflows() {
    let mut endpoint = Endpoint::new(AccrualSettings {
        backoff: Backoff::new(Duration::MAX, Duration::MAX),
        success_rate: Some(SuccessRate {
            window: Duration::ZERO,
            least_calls: 0,
            threshold: f64::NAN,
        }),
        consecutive_failures: Some(1),
    });
    endpoint.now = u64::MAX - 1;
    endpoint.call(overloaded_for(u64::MAX));
    endpoint.call(Outcome::Failed);
    endpoint.now = u64::MAX;
    assert!(matches!(endpoint.standing(), Standing::Probation(_)));
    assert!(matches!(
        endpoint.probe(Outcome::Ok),
        Some(Standing::Up { .. })
    ));
}
