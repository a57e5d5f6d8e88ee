//! What every rule keeps.

use super::*;

#[test]
fn of_no_endpoint_none_is_chosen() {
    for rule in RULES {
        assert_eq!(
            rule.choose(&idle(&[]), &mut Picker::new(1)),
            None,
            "{rule:?}"
        );
    }
}

#[test]
fn of_one_endpoint_that_is_chosen_whatever_it_carries_and_weighs() {
    let chosen = Chosen {
        place: 0,
        endpoint: (),
    };
    let only = Choice {
        first: chosen,
        second: chosen,
    };
    for rule in RULES {
        for (in_flight, weight) in [(0, MAX_WEIGHT), (0, 1), (0, 0), (10, MAX_WEIGHT), (10, 0)] {
            let one = list([Load {
                weight,
                ..carrying(in_flight)
            }]);
            let mut picker = Picker::new(1);
            for _ in 0..100 {
                assert_eq!(rule.choose(&one, &mut picker), Some(only), "{rule:?}");
            }
        }
    }
}

/// volo #565: a choice by weight that always answered from one node. otel-collector #49585: one that depends on the
/// order in which endpoints are listed.
#[test]
fn endpoints_that_carry_nothing_are_chosen_by_weight_in_whatever_order_they_are_listed() {
    let weights = [
        [5, 1, 1, 3],
        [1, 5, 3, 1],
        [3, 1, 1, 5],
        [1, 1, 1, 1],
        [100, 1, 50, 7],
    ];
    for rule in RULES {
        for weights in &weights {
            let counts = counts(rule, &idle(weights), 21_000, 11);
            assert_shares(&counts, weights, rule);
        }
    }
}

/// pingora #1006: a weight of 0 panicked, and the set never changed again.
#[test]
fn weight_0_is_chosen_neither_first_nor_second() {
    let lists = [
        list([0, MAX_WEIGHT, 0, MAX_WEIGHT / 9, 0].map(|weight| Load {
            weight,
            ..carrying(0)
        })),
        // Nothing idle where there is a weight.
        list(
            [(0, 0), (10, MAX_WEIGHT), (0, 0), (10, 1)].map(|(in_flight, weight)| Load {
                weight,
                ..carrying(in_flight)
            }),
        ),
        idle(&[0, 7]),
    ];
    for rule in RULES {
        for list in &lists {
            let mut picker = Picker::new(5);
            for _ in 0..5_000 {
                let choice = rule.choose(list, &mut picker).expect("a candidate");
                for place in [choice.first.place, choice.second.place] {
                    assert_ne!(list.loads[place].weight, 0, "{rule:?}: {choice:?}");
                }
            }
        }
    }
}

/// pingora #891: all weights 0, and a modulo by zero.
#[test]
fn endpoints_that_all_have_weight_0_share_alike() {
    for rule in RULES {
        let counts = counts(rule, &idle(&[0; 5]), 20_000, 3);
        assert_shares(&counts, &[1; 5], rule);
    }
}

#[test]
fn endpoints_that_carry_the_same_share_alike() {
    for rule in RULES {
        for in_flight in [1, 9, 10] {
            let counts = counts(rule, &list([carrying(in_flight); 7]), 21_000, 2);
            assert_shares(&counts, &[1; 7], rule);
        }
    }
}

/// The caller scales the greatest weight of a set, which may have gone from the list since.
#[test]
fn shares_are_by_weight_also_where_none_has_the_greatest() {
    for rule in RULES {
        let list = list([300, 100, 100, 200].map(|weight| Load {
            weight,
            ..carrying(0)
        }));
        let counts = counts(rule, &list, 21_000, 2);
        assert_shares(&counts, &[3, 1, 1, 2], rule);
    }
}

#[test]
fn of_ten_thousand_endpoints_each_part_of_the_list_has_its_share() {
    let weights: Vec<_> = (0..10_000).map(|i| 1 + i / 5_000).collect();
    for rule in RULES {
        let choices = match rule {
            Rule::LeastLoaded => 1_000,
            // Ten rounds: the places that a last one reaches have one choice more.
            _ => 75_000,
        };
        let counts = counts(rule, &idle(&weights), choices, 7);
        let parts: Vec<u32> = counts.chunks(1_000).map(|part| part.iter().sum()).collect();
        assert_shares(&parts, &[1, 1, 1, 1, 1, 2, 2, 2, 2, 2], rule);
    }
}

/// cloudfoundry/routing-release #262: what is removed by swapping the last one into its place, and added at the end,
/// came out with more than its share.
#[test]
fn endpoints_share_alike_while_others_come_and_go() {
    for rule in RULES {
        let (mut picker, mut churn) = (Picker::new(1), Picker::new(2));
        let mut names: Vec<usize> = (0..10).collect();
        let mut counts = [0; 10];
        for _ in 0..30_000 {
            let choice = rule
                .choose(&idle(&vec![1; names.len()]), &mut picker)
                .expect("a candidate");
            counts[names[choice.first.place]] += 1;
            if churn.below(3) == 0 {
                let gone = names.swap_remove(churn.below(names.len()));
                names.push(gone);
            }
        }
        assert_shares(&counts, &[1; 10], rule);
    }
}

#[test]
fn endpoints_that_stay_have_their_shares_of_a_list_that_shrinks_and_grows() {
    for rule in RULES {
        let (mut picker, mut churn) = (Picker::new(1), Picker::new(2));
        let mut counts = [0; 10];
        for _ in 0..30_000 {
            // Those beyond the tenth come and go.
            let len = 10 + churn.below(10);
            let choice = rule
                .choose(&idle(&vec![1; len]), &mut picker)
                .expect("a candidate");
            if let Some(count) = counts.get_mut(choice.first.place) {
                *count += 1;
            }
        }
        assert_shares(&counts, &[1; 10], rule);
    }
}

/// tower #856: a stale index went round the choice.
#[test]
fn places_that_are_gone_mid_choice_are_passed_over() {
    for rule in RULES {
        for weights in [vec![1; 10], vec![5, 1, 0, 1, 3], vec![0; 4], vec![1]] {
            for one_in in [2, 5, 50] {
                let list = Flickering {
                    loads: idle(&weights).loads,
                    picker: RefCell::new(Picker::new(4)),
                    one_in,
                };
                let mut picker = Picker::new(1);
                for _ in 0..2_000 {
                    if let Some(choice) = rule.choose(&list, &mut picker) {
                        assert!(
                            choice.first.place < weights.len()
                                && choice.second.place < weights.len()
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn of_a_list_whose_places_are_all_gone_none_is_chosen() {
    for rule in RULES {
        let list = Flickering {
            loads: vec![carrying(0); 10_000],
            picker: RefCell::new(Picker::new(4)),
            one_in: 1,
        };
        assert_eq!(rule.choose(&list, &mut Picker::new(1)), None, "{rule:?}");
    }
}

/// kong #14961: a "power of two" that looked at all.
#[test]
fn the_looks_of_a_choice_do_not_grow_with_the_set() {
    for (rule, looks) in [
        (Rule::PowerOfTwo, 2),
        (Rule::PeakEwma, 2),
        (Rule::RoundRobin, 1),
        (Rule::Random, 1),
    ] {
        for len in [10, 10_000] {
            let list = idle(&vec![1; len]);
            let mut picker = Picker::new(1);
            for _ in 0..1_000 {
                rule.choose(&list, &mut picker);
            }
            // One draw in 65,536 is refused where weights are alike.
            assert!(list.looks.get() <= 1_000 * looks + 1, "{rule:?} of {len}");
        }
    }
}

/// volo #569: a second choice that cost as much as a new sum of all weights.
#[test]
fn unlike_weights_cost_a_few_looks_more() {
    let weights: Vec<_> = (0..10_000).map(|i| 1 + i % 4).collect();
    for rule in RULES.into_iter().filter(|&rule| rule != Rule::LeastLoaded) {
        let list = idle(&weights);
        let mut picker = Picker::new(1);
        for _ in 0..10_000 {
            rule.choose(&list, &mut picker);
        }
        let looks = list.looks.get() as f64 / 10_000.0;
        assert!(looks < 3.5, "{rule:?}: {looks} looks");
    }
}
