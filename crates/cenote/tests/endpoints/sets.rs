use std::net::SocketAddr;

use cenote::endpoints::{Change, Endpoint, EndpointSet};
use proptest::prelude::*;

fn at(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn keys(keys: impl IntoIterator<Item = u32>) -> EndpointSet<u32> {
    EndpointSet::of(keys)
}

/// coredns #4960, otel-collector #49585: answers come in any order.
#[test]
fn sets_are_equal_whatever_order_they_are_listed_in() {
    let one = keys([3, 1, 2]);
    assert_eq!(one, keys([2, 3, 1]));
    assert!(one.endpoints().iter().map(|endpoint| endpoint.key).eq(1..4));
    assert_ne!(one, keys([1, 2]));
}

/// kubernetes #100033: the same address in several slices. kong #2131: removed twice, it broke the balancer.
#[test]
fn an_endpoint_listed_twice_is_one_with_the_addresses_of_both() {
    let set = EndpointSet::from([
        Endpoint::new("a").addresses([at(3), at(2)]).priority(2),
        Endpoint::new("b").addresses([at(9), at(8), at(9)]),
        Endpoint::new("a").addresses([at(2), at(1)]).weight(5),
    ]);
    let (a, b) = (set.get(&"a").unwrap(), set.get(&"b").unwrap());
    assert_eq!((set.len(), a.weight, a.priority), (2, 5, 0));
    assert_eq!(a.addresses, [at(1), at(2), at(3)]);
    assert_eq!(
        b.addresses,
        [at(9), at(8)],
        "in the order they are to be tried"
    );
    let turned: EndpointSet<_> = [
        Endpoint::new("a").addresses([at(1), at(2)]).weight(5),
        Endpoint::new("a").addresses([at(2), at(3)]).priority(2),
        b.clone(),
    ]
    .into();
    assert_eq!(set, turned);
    assert_eq!(set.get(&"c"), None);
}

#[test]
fn by_itself_an_endpoint_has_weight_1_and_comes_first() {
    let endpoint = Endpoint::new(7);
    assert_eq!((endpoint.weight, endpoint.priority), (1, 0));
    assert_eq!(endpoint.addresses, []);
}

#[test]
fn what_differs_is_told_endpoint_by_endpoint_and_what_stays_is_not_mentioned() {
    let before = EndpointSet::from([1, 2, 3, 4].map(Endpoint::new));
    let now = EndpointSet::from([
        Endpoint::new(0),
        Endpoint::new(2),
        Endpoint::new(3).weight(0),
        Endpoint::new(5).priority(1),
    ]);
    let [one, three, four] = [1, 3, 4].map(|key| before.get(&key).unwrap());
    let [zero, drained, five] = [0, 3, 5].map(|key| now.get(&key).unwrap());
    assert_eq!(
        before.changes(&now),
        [
            Change::Added(zero),
            Change::Removed(one),
            Change::Altered {
                before: three,
                now: drained
            },
            Change::Removed(four),
            Change::Added(five),
        ]
    );
    assert_eq!(now.changes(&now.clone()), []);
}

proptest! {
    /// Done to the set that was, the changes make the set that is; and there are no more than it takes.
    #[test]
    fn the_changes_lead_from_one_set_to_the_other(
        before in prop::collection::btree_map(0..20_u32, 0..3_u32, 0..12),
        now in prop::collection::btree_map(0..20_u32, 0..3_u32, 0..12),
    ) {
        let set = |map: &std::collections::BTreeMap<u32, u32>| -> EndpointSet<u32> {
            map.iter().map(|(key, weight)| Endpoint::new(*key).weight(*weight)).collect()
        };
        let (old, new) = (set(&before), set(&now));
        let mut made = before.clone();
        let changes = old.changes(&new);
        for change in &changes {
            match change {
                Change::Added(endpoint) => {
                    prop_assert_eq!(made.insert(endpoint.key, endpoint.weight), None);
                }
                Change::Removed(endpoint) => {
                    prop_assert_eq!(made.remove(&endpoint.key), Some(endpoint.weight));
                }
                Change::Altered { before, now } => {
                    prop_assert_ne!(before.weight, now.weight);
                    prop_assert_eq!(made.insert(now.key, now.weight), Some(before.weight));
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
        prop_assert_eq!(&made, &now);
        prop_assert_eq!(changes.is_empty(), old == new);
    }
}
