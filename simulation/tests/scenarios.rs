//! The scenarios, as short as they still tell something.

use cenote_simulation::{Figure, Length, Scenario};

const SEED: u64 = 1;

fn play(name: &str, length: Length) -> Vec<Figure> {
    let scenario = Scenario::ALL.iter().find(|scenario| scenario.name == name);
    let scenario = scenario.unwrap_or_else(|| panic!("no scenario is called {name}"));
    scenario.play(SEED, length).figures
}

fn holds(name: &str) {
    holds_at(Length::Short, name);
}

fn holds_at(length: Length, name: &str) {
    let figures = play(name, length);
    assert!(!figures.is_empty());
    let missed: Vec<String> = figures
        .iter()
        .filter(|figure| !figure.holds())
        .map(ToString::to_string)
        .collect();
    let short = match length {
        Length::Short => "--short ",
        Length::Full => "",
    };
    assert!(
        missed.is_empty(),
        "with seed {SEED}: {missed:#?}\nto see it: cargo xtask simulate {short}--seed {SEED} --only {name}"
    );
}

/// One slow server costs the callers of round robin its share, and those of a policy that goes by load next to nothing.
#[test]
fn beyond_round_robin_is_as_published() {
    holds("beyond-round-robin");
}

/// Mitzenmacher, 1996.
#[test]
fn queues_of_one_choice_and_of_two_are_as_long_as_in_the_supermarket_model() {
    holds("supermarket");
}

/// A look at all pays where there are few.
#[test]
fn with_two_of_four_servers_slow_two_choices_keep_the_p99_of_round_robin() {
    holds("two-slow");
}

/// finagle, linkerd2-proxy #4537.
#[test]
fn a_sinkhole_never_gets_more_than_its_fair_share_after_twenty_requests() {
    holds("sinkhole");
}

/// linkerd2-proxy #4561.
#[test]
fn the_same_failures_eject_at_ten_requests_a_second_and_at_ten_thousand() {
    holds("ejection");
}

#[test]
fn in_a_rolling_restart_no_call_fails_but_those_in_flight_on_the_one_stopped() {
    holds("rolling-restart");
}

/// linkerd2 #6842.
#[test]
fn a_service_that_is_replaced_while_the_name_server_is_down_is_found_when_that_is_back() {
    holds("name-server");
}

/// undici #3268, smithy-rs #4708: a total over all keys, and callers that wait while other keys' connections come and go.
#[test]
fn of_more_keys_than_connections_none_starves() {
    holds("many-keys");
}

/// Choices, ejections, dials and discovery: all that takes random numbers.
#[test]
fn the_same_seed_gives_the_same_figures() {
    for name in ["sinkhole", "rolling-restart", "name-server", "many-keys"] {
        let play = || play(name, Length::Short);
        assert_eq!(play(), play(), "{name}");
    }
}

/// What short runs leave out, too: the supermarket model at loads of 0.95 and 0.99.
#[test]
#[ignore = "takes minutes, in a release build: cargo xtask verify"]
fn every_figure_holds_at_full_length() {
    for scenario in Scenario::ALL {
        holds_at(Length::Full, scenario.name);
    }
}
