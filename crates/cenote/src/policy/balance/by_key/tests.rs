//! Shares, and what moves when a set changes: exactly what must.

use super::super::Picker;
use super::super::key_hash::hash_of;
use super::*;

const KEYS: u64 = 20_000;

/// Endpoints by name, with their weights.
fn table(endpoints: &[(u32, u32)]) -> KeyTable {
    let hashed: Vec<_> = endpoints
        .iter()
        .map(|&(name, weight)| (hash_of(&name), weight))
        .collect();
    KeyTable::new(&hashed)
}

fn alike(names: impl IntoIterator<Item = u32>) -> Vec<(u32, u32)> {
    names.into_iter().map(|name| (name, 1)).collect()
}

/// The names in the order of a key.
fn order(endpoints: &[(u32, u32)], table: &KeyTable, key: u64) -> Vec<u32> {
    table.order(key).map(|place| endpoints[place].0).collect()
}

/// To whom each key belongs.
fn owners(endpoints: &[(u32, u32)]) -> Vec<u32> {
    let table = table(endpoints);
    (0..KEYS)
        .map(|key| endpoints[table.order(key).next().expect("an owner")].0)
        .collect()
}

#[test]
fn an_empty_table_gives_no_order() {
    assert_eq!(table(&[]).order(7).count(), 0);
}

#[test]
fn of_one_endpoint_all_keys_are_that_ones() {
    for weight in [0, 1, u32::MAX] {
        assert!(owners(&[(7, weight)]).iter().all(|&owner| owner == 7));
    }
}

#[test]
fn the_order_of_a_key_has_each_endpoint_once_and_ends() {
    let endpoints = alike(0..300);
    let table = table(&endpoints);
    for key in 0..50 {
        let mut names = order(&endpoints, &table, key);
        names.sort_unstable();
        assert_eq!(names, (0..300).collect::<Vec<_>>());
    }
}

/// otel-collector #49585.
#[test]
fn the_order_of_a_key_does_not_depend_on_the_order_of_the_list() {
    let mut endpoints: Vec<_> = (0..100).map(|name| (name, 1 + name % 5)).collect();
    let listed = endpoints.clone();
    let (first, mut picker) = (table(&listed), Picker::new(1));
    for _ in 0..5 {
        for place in 1..endpoints.len() {
            endpoints.swap(place, picker.below(place + 1));
        }
        let shuffled = table(&endpoints);
        for key in 0..200 {
            assert_eq!(
                order(&endpoints, &shuffled, key),
                order(&listed, &first, key)
            );
        }
    }
}

/// Of 480,000 points some thirty lie where another does.
#[test]
fn nor_does_the_ring_where_points_meet() {
    let ring = |endpoints: &[(u32, u32)]| -> Vec<u32> {
        let points = table(endpoints).points;
        let owners = points.iter().map(|point| point.owner as usize);
        owners.map(|place| endpoints[place].0).collect()
    };
    let (listed, reversed) = (alike(0..10_000), alike((0..10_000).rev()));
    assert!(ring(&listed) == ring(&reversed));
}

/// volo #565: a consistent hash that always answered from one node.
#[test]
fn endpoints_have_their_shares_of_the_keys_by_weight() {
    for weights in [[1, 1, 1, 1, 1], [3, 1, 1, 2, 5], [300, 100, 100, 200, 500]] {
        let endpoints: Vec<_> = (0..).zip(weights).collect();
        let owners = owners(&endpoints);
        for (name, weight) in endpoints {
            let share = f64::from(weight) / f64::from(weights.iter().sum::<u32>());
            let count = owners.iter().filter(|&&owner| owner == name).count();
            let of_fair = count as f64 / (KEYS as f64 * share);
            // The points of a share lie as by chance, and so do the beginnings of keys.
            let points = points_of(weight, weights.into_iter().max().unwrap()) as f64;
            let sigma = (1.0 / (points * BEGINNINGS as f64) + 1.0 / (KEYS as f64 * share)).sqrt();
            assert!(
                (of_fair - 1.0).abs() < 3.0 * sigma,
                "{name} has {of_fair} of its share by {weights:?}"
            );
        }
    }
}

#[test]
fn the_shares_of_a_hundred_endpoints_differ_by_a_tenth_at_most_in_the_standard_deviation() {
    let keys = 200_000_u64;
    let table = table(&alike(0..100));
    let mut counts = [0.0; 100];
    for key in 0..keys {
        counts[table.order(key).next().expect("an owner")] += 1.0;
    }
    let share = keys as f64 / 100.0;
    let square = |count: &f64| (count / share - 1.0).powi(2);
    let deviation = (counts.iter().map(square).sum::<f64>() / 100.0).sqrt();
    assert!(deviation < 0.1, "{deviation}");
}

/// envoy #22558, twemproxy #80: keys of others moved as well.
#[test]
fn without_an_endpoint_its_keys_go_to_the_next_in_their_orders_and_no_others_move() {
    let endpoints: Vec<_> = (0..50).map(|name| (name, 1 + name % 3)).collect();
    let before = table(&endpoints);
    for gone in [0, 17, 49] {
        let mut rest = endpoints.clone();
        rest.swap_remove(gone);
        let after = table(&rest);
        for key in 0..2_000 {
            let mut expected = order(&endpoints, &before, key);
            expected.retain(|&name| name != gone as u32);
            assert_eq!(order(&rest, &after, key), expected, "key {key}");
        }
    }
}

#[test]
fn one_endpoint_more_takes_its_share_and_moves_no_other_keys() {
    let (before, after) = (owners(&alike(0..20)), owners(&alike(0..21)));
    let moved: Vec<_> = before
        .iter()
        .zip(&after)
        .filter(|(old, new)| old != new)
        .collect();
    assert!(moved.iter().all(|&(_, &new)| new == 20));
    assert!((500..1_500).contains(&moved.len()), "{}", moved.len());
}

/// pingora #1006: a ring that panicked at a weight of 0.
#[test]
fn weight_0_has_no_keys() {
    let endpoints = [(1, 1), (2, 0), (3, 2)];
    let table = table(&endpoints);
    for key in 0..1_000 {
        let order = order(&endpoints, &table, key);
        assert_eq!(order.len(), 2);
        assert!(!order.contains(&2));
    }
}

/// pingora #891.
#[test]
fn where_all_have_weight_0_they_have_keys_as_if_they_weighed_the_same() {
    assert_eq!(owners(&[(1, 0), (2, 0), (3, 0)]), owners(&alike(1..4)));
}

#[test]
fn the_lightest_has_keys_beside_the_heaviest() {
    assert_eq!(points_of(1, u32::MAX), 1);
    assert!(points_of(u32::MAX, u32::MAX) < 2 * POINTS);
}

#[test]
fn an_endpoint_listed_twice_is_given_at_both_places() {
    let twice = table(&alike([4, 4, 5]));
    for key in 0..100 {
        assert_eq!(twice.order(key).count(), 3);
    }
}

#[test]
fn a_look_up_costs_as_much_among_ten_thousand_endpoints_as_among_ten() {
    for len in [10, 100, 1_000, 10_000] {
        let table = table(&alike(0..len));
        let looks: usize = (0..KEYS)
            .map(|key| {
                let at = (nth(key, 0) >> 32) as u32;
                table.first_from(at) - table.begin_of_part(at)
            })
            .sum();
        // Of those in its part, which has one in the mean, a point lies behind half.
        let mean = looks as f64 / KEYS as f64;
        assert!(mean < 0.6, "{mean} points passed over of {len}");
    }
}

#[test]
fn behind_the_last_point_a_look_up_does_not_begin_at_the_first() {
    for name in 0..50 {
        let table = table(&[(name, 1)]);
        let looks = table.first_from(u32::MAX) - table.begin_of_part(u32::MAX);
        assert!(looks < 10, "{looks}");
    }
}
