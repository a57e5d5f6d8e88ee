//! Shares of levels, of weights and in slow start.

use fastrand::Rng;

use super::Availability::{Down, Ejected, Up};
use super::*;

const SECOND: u64 = 1_000_000_000;

fn facts(weight: u32, priority: u16, availability: Availability) -> Facts {
    Facts {
        weight,
        priority,
        availability,
        started_at: None,
    }
}

fn shares_of(facts: &[Facts]) -> Vec<u32> {
    shares(0, facts, PanicThreshold::default(), None).shares
}

/// `up` of `count` endpoints of weight 1 can be used.
fn level(priority: u16, count: usize, up: usize, else_: Availability) -> Vec<Facts> {
    let availability = |i| if i < up { Up } else { else_ };
    (0..count)
        .map(|i| facts(1, priority, availability(i)))
        .collect()
}

/// The percentages of the load that the levels get, of a hundred endpoints each, so many of which can be used.
fn spill(up: &[usize], else_: Availability) -> Vec<f64> {
    let levels = up
        .iter()
        .zip(0..)
        .map(|(up, priority)| level(priority, 100, *up, else_));
    let facts: Vec<_> = levels.flatten().collect();
    let shares = shares_of(&facts);
    let total = f64::from(shares.iter().sum::<u32>());
    let percent = |level: &[u32]| f64::from(level.iter().sum::<u32>()) / total * 100.0;
    shares.chunks(100).map(percent).collect()
}

fn assert_near(found: &[f64], expected: &[f64]) {
    let is_near = |(a, b): (&f64, &f64)| (a - b).abs() < 0.2;
    assert!(
        found.iter().zip(expected).all(is_near),
        "{found:?}, not {expected:?}"
    );
}

#[test]
fn the_first_level_gets_all_while_72_of_its_hundred_endpoints_can_be_used() {
    for up in 72..=100 {
        let shares = spill(&[up, 100], Down);
        assert!(shares[1] == 0.0, "{up} of 100");
    }
}

/// As Envoy's documentation of priority levels has it.
#[test]
fn what_a_level_cannot_carry_spills_over_to_the_next() {
    for else_ in [Down, Ejected] {
        assert_near(&spill(&[71, 100], else_), &[99.4, 0.6]);
        assert_near(&spill(&[50, 100], else_), &[70.0, 30.0]);
        assert_near(&spill(&[25, 100], else_), &[35.0, 65.0]);
        assert_near(&spill(&[0, 100], else_), &[0.0, 100.0]);
        assert_near(&spill(&[25, 50, 100], else_), &[35.0, 65.0, 0.0]);
        assert_near(&spill(&[25, 25, 100], else_), &[35.0, 35.0, 30.0]);
    }
}

#[test]
fn levels_that_cannot_carry_all_together_share_it_in_proportion() {
    assert_near(&spill(&[25, 25], Down), &[50.0, 50.0]);
    assert_near(&spill(&[10, 30, 0], Down), &[25.0, 75.0, 0.0]);
    assert_near(&spill(&[1, 0, 0], Down), &[100.0, 0.0, 0.0]);
}

#[test]
fn what_two_levels_carry_exactly_leaves_nothing_for_a_third() {
    let three = [
        level(0, 2, 1, Down),
        level(1, 14, 3, Down),
        level(2, 5, 5, Down),
    ]
    .concat();
    assert_eq!(shares_of(&three)[16..], [0; 5], "of 70 % and 30 %");
}

/// istio #34605: a cap on ejections kept the dead endpoints of a zone in, and nothing spilled over.
#[test]
fn a_level_that_cannot_be_reached_spills_over_whatever_the_cap_on_ejections() {
    let zones = [level(0, 10, 0, Down), level(1, 3, 3, Down)].concat();
    assert_eq!(
        shares_of(&zones),
        [vec![0; 10], vec![MAX_WEIGHT; 3]].concat()
    );
}

#[test]
fn a_level_that_is_ejected_whole_leaves_all_to_the_next_unless_that_is_bad_too() {
    let backup = |availability| {
        vec![
            facts(1, 0, Ejected),
            facts(1, 0, Ejected),
            facts(1, 1, availability),
        ]
    };
    assert_eq!(shares_of(&backup(Up)), [0, 0, MAX_WEIGHT]);
    for bad in [Down, Ejected] {
        assert_eq!(
            shares_of(&backup(bad)),
            [MAX_WEIGHT, MAX_WEIGHT, 0],
            "as without ejection"
        );
    }
}

/// envoy #2671, linkerd2 #11493.
#[test]
fn in_panic_mode_ejected_endpoints_have_their_shares_as_without_ejection_and_what_cannot_be_reached_has_none()
 {
    let four = |ejected: usize| [level(0, 4, 4 - ejected, Ejected), level(0, 1, 0, Down)].concat();
    let shares = |facts: &[Facts]| shares(0, facts, PanicThreshold::default(), None);
    assert_eq!(shares(&four(2)).shares, [MAX_WEIGHT, MAX_WEIGHT, 0, 0, 0]);
    let panicking = shares(&four(3));
    assert_eq!(
        panicking.shares,
        [MAX_WEIGHT, MAX_WEIGHT, MAX_WEIGHT, MAX_WEIGHT, 0]
    );
    assert_eq!(
        panicking.panic.unwrap().to_string(),
        "panic: 3 of 4 out, all used"
    );
}

#[test]
fn an_endpoint_that_drains_is_none_of_those_that_are_left() {
    let facts = [facts(1, 0, Ejected), facts(0, 0, Up), facts(0, 1, Up)];
    assert_eq!(shares_of(&facts), [MAX_WEIGHT, 0, 0]);
}

#[test]
fn where_nothing_can_be_reached_nobody_has_a_share() {
    assert_eq!(shares_of(&[]), []);
    for facts in [level(0, 3, 0, Down), spread_over_levels(&[Down; 9])] {
        assert_eq!(shares_of(&facts), vec![0; facts.len()]);
    }
}

fn spread_over_levels(availabilities: &[Availability]) -> Vec<Facts> {
    let levels = availabilities.iter().zip((0..3).cycle());
    levels
        .map(|(one, priority)| facts(7, priority, *one))
        .collect()
}

/// pingora #1006: weight 0 is a drain.
#[test]
fn weight_0_has_no_share_even_where_nothing_else_can_be_reached() {
    assert_eq!(
        shares_of(&[facts(0, 0, Up), facts(3, 0, Up)]),
        [0, MAX_WEIGHT]
    );
    assert_eq!(shares_of(&[facts(0, 0, Up), facts(3, 1, Down)]), [0, 0]);
}

/// pingora #891: a division by the sum of no weights.
#[test]
fn where_all_weights_are_0_all_are_alike() {
    let all = |availability| [facts(0, 0, Up), facts(0, 0, Up), facts(0, 0, availability)];
    assert_eq!(shares_of(&all(Up)), [MAX_WEIGHT; 3]);
    assert_eq!(shares_of(&all(Down)), [MAX_WEIGHT, MAX_WEIGHT, 0]);
}

#[test]
fn within_a_level_shares_go_by_weight() {
    let weights = [5, 1, 4].map(|weight| facts(weight, 3, Up));
    assert_eq!(
        shares_of(&weights),
        [MAX_WEIGHT, MAX_WEIGHT / 5, MAX_WEIGHT / 5 * 4]
    );
}

#[test]
fn a_heavy_endpoint_that_is_gone_takes_its_part_of_the_level_with_it() {
    let facts = [facts(9, 0, Down), facts(1, 0, Up), facts(1, 1, Up)];
    let [_, light, next] = shares_of(&facts)[..] else {
        panic!("three shares");
    };
    assert_near(&[f64::from(light) / f64::from(next)], &[14.0 / 86.0]);
}

#[test]
fn the_greatest_weights_do_not_overflow_and_the_least_beside_them_is_not_0() {
    let mut many = vec![facts(u32::MAX, 0, Up); 10_000];
    many.push(facts(1, 0, Up));
    many.push(facts(u32::MAX, u16::MAX, Down));
    let shares = shares_of(&many);
    assert_eq!(shares[..10_000], [MAX_WEIGHT; 10_000]);
    assert_eq!(shares[10_000..], [1, 0]);
}

/// Any set: of ten thousand endpoints at most, on three levels.
fn any_set(rng: &mut Rng, count: usize) -> Vec<Facts> {
    let mut any = || Facts {
        weight: [0, 1, 1, 100, rng.u32(..1_000)][rng.usize(..5)],
        priority: rng.u16(..3),
        availability: [Up, Up, Ejected, Down][rng.usize(..4)],
        started_at: rng.bool().then(|| rng.u64(..20 * SECOND)),
    };
    (0..count).map(|_| any()).collect()
}

const SLOW_START: SlowStart = SlowStart {
    window: Duration::from_secs(10),
    aggression: 1.0,
};

fn slowly(now: u64, facts: &[Facts]) -> Shares {
    shares(now, facts, PanicThreshold::default(), Some(&SLOW_START))
}

/// otel-collector #49585.
#[test]
fn the_order_of_the_endpoints_does_not_matter() {
    let mut rng = Rng::with_seed(5);
    for count in [1, 2, 3, 10, 100, 10_000] {
        let set = any_set(&mut rng, count);
        let before = slowly(15 * SECOND, &set);
        let mut order: Vec<_> = (0..count).collect();
        rng.shuffle(&mut order);
        let shuffled: Vec<_> = order.iter().map(|i| set[*i]).collect();
        let after = slowly(15 * SECOND, &shuffled);
        let expected: Vec<_> = order.iter().map(|i| before.shares[*i]).collect();
        assert_eq!(
            after,
            Shares {
                shares: expected,
                ..before
            }
        );
    }
}

#[test]
fn of_any_set_who_can_be_used_and_should_has_a_share_in_proportion_and_nobody_else_has() {
    let mut rng = Rng::with_seed(6);
    for count in (1..300).chain([10_000]) {
        let set = any_set(&mut rng, count);
        let Shares { shares, panic, .. } = slowly(40 * SECOND, &set);
        let may = |one: &Facts| one.weight > 0 && one.availability.is_used(panic);
        if set.iter().any(may) {
            assert_eq!(shares.iter().max(), Some(&MAX_WEIGHT));
        }
        for (one, share) in set.iter().zip(&shares) {
            assert!(*share == 0 || may(one), "{one:?} has {share}");
        }
        for priority in 0..3 {
            let level = || {
                set.iter()
                    .zip(&shares)
                    .filter(|(one, _)| one.priority == priority && may(one))
            };
            let Some((heavy, most)) = level().max_by_key(|(one, _)| one.weight) else {
                continue;
            };
            for (one, share) in level() {
                let expected = f64::from(*most) * f64::from(one.weight) / f64::from(heavy.weight);
                assert!(
                    (f64::from(*share) - expected).abs() <= 1.0,
                    "{one:?} has {share}"
                );
                assert_eq!(*share == 0, *most == 0);
            }
        }
    }
}

/// One endpoint that started at 0 beside one that was there: the part of its full share.
fn ramp(slow_start: SlowStart, now: u64) -> f64 {
    let new = Facts {
        started_at: Some(0),
        ..facts(1, 0, Up)
    };
    let facts = [new, facts(1, 0, Up)];
    let shares = shares(now, &facts, PanicThreshold::default(), Some(&slow_start)).shares;
    f64::from(shares[0]) / f64::from(shares[1])
}

/// envoy #29259: at 1 % a new endpoint got nothing at all.
#[test]
fn a_slow_start_begins_at_a_tenth_and_ends_at_the_whole() {
    for (at, percent) in [
        (0, 10.0),
        (50, 10.0),
        (100, 10.0),
        (200, 20.0),
        (999, 99.9),
        (1_000, 100.0),
        (9_999, 100.0),
    ] {
        assert_near(&[100.0 * ramp(SLOW_START, at * SECOND / 100)], &[percent]);
    }
    let one_of_many = [vec![facts(u32::MAX, 0, Up); 99], vec![facts(1, 0, Up)]].concat();
    assert!(
        slowly(0, &one_of_many)
            .shares
            .iter()
            .all(|share| *share > 0)
    );
}

/// Envoy's formula: the mean over the window is a tenth of a tenth, and the area of the line above.
#[test]
fn over_a_whole_slow_start_an_endpoint_gets_half_of_its_share_and_more_if_it_is_aggressive() {
    let mean = |aggression| {
        let slow_start = SlowStart {
            aggression,
            ..SLOW_START
        };
        let at = (0..1_000).map(|i| ramp(slow_start, i * SECOND / 100));
        at.sum::<f64>() / 10.0
    };
    assert_near(&[mean(1.0), mean(2.0)], &[50.5, 66.7]);
}

#[test]
fn while_an_endpoint_starts_slowly_shares_are_due_again_twenty_times_and_then_not_again() {
    let started_at = 3 * SECOND + 1;
    let new = |started_at| Facts {
        started_at: Some(started_at),
        ..facts(1, 0, Up)
    };
    let many: Vec<_> = (0..500)
        .map(|i| new(started_at + i))
        .chain([facts(1, 0, Up)])
        .collect();
    let (mut now, mut steps) = (started_at, 0);
    while let Some(change_at) = slowly(now, &many).change_at {
        assert!(change_at > now && change_at <= now + SECOND / 2);
        (now, steps) = (change_at, steps + 1);
    }
    assert_eq!(steps, 21, "the grid of the clock");
    assert!(now >= started_at + 10 * SECOND);
    assert_eq!(slowly(now, &many).shares, [MAX_WEIGHT; 501]);
}

#[test]
fn an_endpoint_that_gets_nothing_has_nothing_due() {
    for (weight, availability) in [(0, Up), (1, Ejected), (1, Down)] {
        let new = Facts {
            started_at: Some(0),
            ..facts(weight, 0, availability)
        };
        assert_eq!(slowly(1, &[new, facts(1, 0, Up)]).change_at, None);
    }
}

#[test]
fn no_slow_start_is_so_odd_that_an_endpoint_gets_nothing_or_more_than_its_share() {
    for aggression in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE] {
        for window in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            for now in [0, 1, SECOND, u64::MAX] {
                let slow_start = SlowStart { window, aggression };
                let part = ramp(slow_start, now);
                assert!((0.099..=1.0).contains(&part), "{part}");
                assert!(part == 1.0 || !window.is_zero());
                assert!(slow_start.next_step(now) >= now);
            }
        }
    }
}
