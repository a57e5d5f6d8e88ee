//! What one rule has beside the others.

use super::*;

fn choices(rule: Rule, list: &List, seed: u64) -> impl Iterator<Item = Choice> + '_ {
    let mut turn = Turn::new(seed);
    std::iter::repeat_with(move || rule.choose(list, &mut turn).expect("a candidate"))
}

#[test]
fn two_are_drawn_and_they_are_different() {
    for weights in [vec![1, 1], vec![1, 1, 1], vec![10, 1, 1]] {
        for choice in choices(Rule::PowerOfTwo, &idle(&weights), 1).take(1_000) {
            assert_ne!(choice.first, choice.second);
        }
    }
}

#[test]
fn of_two_the_one_that_carries_less_is_first() {
    let list = list([carrying(3), carrying(2)]);
    for choice in choices(Rule::PowerOfTwo, &list, 1).take(1_000) {
        assert_eq!((choice.first, choice.second), (1, 0));
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
    for rule in [Rule::PowerOfTwo, Rule::LeastLoaded] {
        let first = |list: List| {
            let all: Vec<_> = choices(rule, &list, 1).take(100).map(|c| c.first).collect();
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
                Rule::PowerOfTwo | Rule::LeastLoaded => assert_eq!(choice.first, 1, "{rule:?}"),
                // They do not compare, but know where to go on.
                Rule::RoundRobin | Rule::Random if choice.first == 0 => {
                    assert_eq!(choice.second, 1, "{rule:?}");
                }
                Rule::RoundRobin | Rule::Random => {}
            }
        }
    }
}

#[test]
fn the_least_loaded_of_all_is_found() {
    let mut loads = vec![carrying(7); 100];
    loads[63] = carrying(6);
    for choice in choices(Rule::LeastLoaded, &list(loads), 1).take(100) {
        assert_eq!(choice.first, 63);
        assert_ne!(choice.second, 63);
    }
}

#[test]
fn a_round_takes_each_of_those_alike_once() {
    let list = idle(&[1; 10]);
    let chosen: Vec<_> = choices(Rule::RoundRobin, &list, 4)
        .take(100)
        .map(|choice| choice.first)
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
                .map(|choice| choice.first)
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
        .map(|choice| choice.first)
        .collect();
    starts.sort_unstable();
    starts.dedup();
    assert_eq!(starts, (0..10).collect::<Vec<_>>());
}
