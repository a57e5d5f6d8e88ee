//! What one rule has beside the others.

use super::*;

/// Those that go by what is carried.
const COMPARING: [Rule; 3] = [Rule::PowerOfTwo, Rule::PeakEwma, Rule::LeastLoaded];

fn choices(rule: Rule, list: &List, seed: u64) -> impl Iterator<Item = Choice<()>> + '_ {
    let mut picker = Picker::new(seed);
    std::iter::repeat_with(move || rule.choose(list, &mut picker).expect("a candidate"))
}

#[test]
fn rules_that_compare_choose_two_and_they_are_different() {
    for rule in COMPARING {
        for weights in [vec![1, 1], vec![1, 1, 1], vec![10, 1, 1]] {
            for choice in choices(rule, &idle(&weights), 1).take(1_000) {
                assert_ne!(choice.first.place, choice.second.place, "{rule:?}");
            }
        }
    }
}

#[test]
fn the_one_that_carries_less_is_first() {
    for rule in COMPARING {
        for choice in choices(rule, &list([carrying(3), carrying(2)]), 1).take(1_000) {
            assert_eq!(
                (choice.first.place, choice.second.place),
                (1, 0),
                "{rule:?}"
            );
        }
    }
}

fn taking(cost: f32, in_flight: u32) -> Load {
    Load {
        cost,
        ..carrying(in_flight)
    }
}

#[test]
fn by_time_a_slow_endpoint_is_first_only_where_the_fast_one_carries_as_much_more() {
    for (fast_carries, first) in [(0, 0), (3, 0), (5, 1)] {
        let list = list([taking(0.01, fast_carries), taking(0.05, 0)]);
        for choice in choices(Rule::PeakEwma, &list, 1).take(100) {
            assert_eq!(choice.first.place, first, "{fast_carries} in flight");
        }
    }
}

/// linkerd2-proxy #167: an endpoint of which nothing was known was taken for one that needs a second.
#[test]
fn by_time_a_new_endpoint_is_neither_starved_nor_flooded() {
    let mut loads = vec![taking(0.001, 0); 9];
    loads.push(taking(0.0, 0));
    let idle = list(loads.clone());
    assert_shares(
        &counts(Rule::PeakEwma, &idle, 50_000, 1),
        &[1; 10],
        "before the first call",
    );
    loads[9].in_flight = 1;
    let waiting = list(loads);
    assert_eq!(counts(Rule::PeakEwma, &waiting, 50_000, 1)[9], 0);
}

/// A cost is arithmetic on what clocks say.
#[test]
fn by_time_any_number_is_borne() {
    for cost in [f32::NAN, f32::INFINITY, -1.0, f32::MAX, f32::MIN_POSITIVE] {
        for choice in choices(
            Rule::PeakEwma,
            &list([taking(cost, 9), taking(cost, 9), taking(0.1, 9)]),
            1,
        )
        .take(100)
        {
            assert_ne!(choice.first.place, choice.second.place, "{cost}");
        }
    }
}

#[test]
fn what_is_carried_counts_by_weight() {
    let heavy_and_light = |heavy, light| {
        list([
            carrying(heavy),
            Load {
                weight: MAX_WEIGHT / 3,
                ..carrying(light)
            },
        ])
    };
    for rule in COMPARING {
        let first = |list: List| {
            let all: Vec<_> = choices(rule, &list, 1)
                .take(100)
                .map(|c| c.first.place)
                .collect();
            all.iter().all(|&place| place == all[0]).then_some(all[0])
        };
        assert_eq!(first(heavy_and_light(5, 2)), Some(0), "{rule:?}");
        assert_eq!(first(heavy_and_light(7, 1)), Some(1), "{rule:?}");
        assert_eq!(first(heavy_and_light(3, 1)), None, "{rule:?}: alike");
    }
}

/// A light endpoint that is full would win over heavier ones with idle connections.
#[test]
fn one_without_an_idle_connection_comes_second() {
    let full = Load {
        open: 1,
        ..carrying(1)
    };
    let list = list([full, carrying(5)]);
    for rule in RULES {
        for choice in choices(rule, &list, 1).take(100) {
            match rule {
                rule if COMPARING.contains(&rule) => assert_eq!(choice.first.place, 1, "{rule:?}"),
                // The others do not compare, but know where to go on.
                _ => assert_eq!(choice.second.place, 1, "{rule:?}"),
            }
        }
    }
}

#[test]
fn the_least_loaded_of_all_is_found() {
    let mut loads = vec![carrying(7); 100];
    loads[63] = carrying(6);
    for choice in choices(Rule::LeastLoaded, &list(loads), 1).take(100) {
        assert_eq!(choice.first.place, 63);
        assert_ne!(choice.second.place, 63);
    }
}

#[test]
fn a_round_takes_each_of_those_alike_once() {
    let list = idle(&[1; 10]);
    let chosen: Vec<_> = choices(Rule::RoundRobin, &list, 4)
        .take(100)
        .map(|choice| choice.first.place)
        .collect();
    assert!(chosen.windows(2).all(|pair| pair[1] == (pair[0] + 1) % 10));
}

/// pingora #195: a round by weight that sent all calls of the heavy one in a row.
#[test]
fn a_heavy_one_has_exactly_its_share_of_each_round_and_not_in_a_row() {
    for (heavy, weights) in [[5, 1, 1], [1, 5, 1], [1, 1, 5]].iter().enumerate() {
        for seed in 0..50 {
            let list = idle(weights);
            let chosen: Vec<_> = choices(Rule::RoundRobin, &list, seed)
                .take(700)
                .map(|choice| choice.first.place)
                .collect();
            for seven in chosen.windows(7) {
                for (place, &weight) in weights.iter().enumerate() {
                    let count = seven.iter().filter(|&&chosen| chosen == place).count();
                    assert_eq!(count, weight as usize, "{seven:?} of {weights:?}");
                }
            }
            let run = chosen.split(|&place| place != heavy).map(<[_]>::len).max();
            assert!(
                run <= Some(3),
                "{run:?} in a row of {weights:?}: {chosen:?}"
            );
        }
    }
}

#[test]
fn threads_begin_their_rounds_at_different_places() {
    let list = idle(&[1; 10]);
    let mut starts: Vec<_> = (0..100)
        .filter_map(|seed| choices(Rule::RoundRobin, &list, seed).next())
        .map(|choice| choice.first.place)
        .collect();
    starts.sort_unstable();
    starts.dedup();
    assert_eq!(starts, (0..10).collect::<Vec<_>>());
}
