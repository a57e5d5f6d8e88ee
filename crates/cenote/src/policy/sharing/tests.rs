//! Each choice, the marks and their hysteresis, and who retires, in figures.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::*;

const MARKS: Marks = Marks { high: 0.75 };
const BOUNDS: Bounds = Bounds {
    min_size: 0,
    max_size: 20,
};

fn load(in_flight: usize, capacity: usize) -> Load {
    Load {
        in_flight,
        capacity,
    }
}

fn chooser(choice: Choice) -> Chooser {
    Chooser::new(choice, Rng::with_seed(1))
}

fn choose(choice: Choice, loads: &[Load]) -> Option<usize> {
    chooser(choice).choose(loads.len(), |i| loads[i])
}

/// `total` leases as the least loaded choice lays them on `count` connections.
fn spread(total: usize, count: usize, capacity: usize) -> Vec<Load> {
    (0..count)
        .map(|i| load(total / count + usize::from(i < total % count), capacity))
        .collect()
}

#[test]
fn least_loaded_measures_each_connection_by_its_own_capacity() {
    let loads = [load(5, 10), load(20, 100), load(1, 3)];
    assert_eq!(choose(Choice::LeastLoaded, &loads), Some(1));
    let idle = [load(0, 10), load(0, 100)];
    assert_eq!(choose(Choice::LeastLoaded, &idle), Some(0));
}

#[test]
fn a_connection_at_capacity_or_without_any_is_never_chosen() {
    let loads = [load(3, 3), load(0, 0), load(8, 9)];
    for choice in [
        Choice::LeastLoaded,
        Choice::RoundRobin,
        Choice::FirstAvailable,
    ] {
        assert_eq!(choose(choice, &loads), Some(2), "{choice:?}");
        assert_eq!(choose(choice, &loads[..2]), None, "{choice:?}");
        assert_eq!(choose(choice, &[]), None, "{choice:?}");
    }
}

#[test]
fn round_robin_goes_from_one_to_the_next_past_those_that_are_full() {
    let loads = [load(0, 9), load(9, 9), load(0, 9)];
    let mut chooser = chooser(Choice::RoundRobin);
    let mut next = || chooser.choose(loads.len(), |i| loads[i]);
    assert_eq!(
        [next(), next(), next(), next()],
        [Some(0), Some(2), Some(0), Some(2)]
    );
}

#[test]
fn round_robin_goes_on_when_there_are_fewer_than_before() {
    let mut chooser = chooser(Choice::RoundRobin);
    for _ in 0..5 {
        chooser.choose(5, |_| load(0, 1));
    }
    assert_eq!(chooser.choose(2, |_| load(0, 1)), Some(0));
}

#[test]
fn among_many_the_better_of_two_is_chosen_and_the_load_stays_even() {
    let mut loads = vec![load(0, 1000); 50];
    let mut chooser = chooser(Choice::LeastLoaded);
    for _ in 0..5_000 {
        let chosen = chooser.choose(loads.len(), |i| loads[i]);
        loads[chosen.expect("there is room")].in_flight += 1;
    }
    let most = loads.iter().map(|load| load.in_flight).max();
    assert!(
        most.is_some_and(|most| (100..=105).contains(&most)),
        "{most:?}"
    );
}

#[test]
fn of_eight_all_are_looked_at_and_of_more_only_two() {
    for (count, looks) in [(8, 8), (9, 2), (50, 2)] {
        let looked_at = RefCell::new(BTreeSet::new());
        let chosen = chooser(Choice::LeastLoaded).choose(count, |i| {
            looked_at.borrow_mut().insert(i);
            load(0, 1)
        });
        assert!(chosen.is_some());
        assert_eq!(looked_at.into_inner().len(), looks, "of {count}");
    }
}

#[test]
fn among_many_the_only_one_with_room_is_found() {
    let mut loads = vec![load(1, 1); 50];
    loads[37].in_flight = 0;
    assert_eq!(choose(Choice::LeastLoaded, &loads), Some(37));
}

/// How busy connections with these loads are.
fn occupancy(marks: Marks, loads: &[Load]) -> Occupancy {
    let is_busy = |load: &&Load| load.in_flight >= marks.busy_at(load.capacity);
    Occupancy {
        serving: loads.len(),
        busy: loads.iter().filter(is_busy).count(),
        exclusive: loads.iter().filter(|load| load.capacity == 1).count(),
        shared: loads.iter().filter(|load| load.capacity > 1).count(),
        in_flight: loads.iter().map(|load| load.in_flight).sum(),
    }
}

/// What a connection carries that is not ready, nobody knows: as of the first, the next is opened alone.
#[test]
fn connections_that_are_not_ready_are_taken_for_neither_kind() {
    let is_exclusive = |loads: &[Load]| occupancy(MARKS, loads).is_exclusive();
    assert!(is_exclusive(&[load(1, 1), load(0, 0)]));
    assert!(!is_exclusive(&[load(0, 0), load(0, 0)]));
    assert!(!is_exclusive(&[load(1, 1), load(0, 8)]));
    assert!(!is_exclusive(&[]));
}

/// One more would be for one caller alone: it is opened for one that waits.
#[test]
fn where_each_carries_one_lease_none_is_opened_ahead() {
    let busy = occupancy(MARKS, &[load(1, 1), load(1, 1), load(0, 0)]);
    assert!(!grows(BOUNDS, 0, busy));
    assert!(grows(BOUNDS, 1, busy));
    let some_are_shared = occupancy(MARKS, &[load(1, 1), load(2, 2)]);
    assert!(grows(BOUNDS, 0, some_are_shared));
}

#[test]
fn one_more_is_opened_when_all_are_at_the_high_water_mark() {
    let grows = |loads: &[Load]| grows(BOUNDS, 0, occupancy(MARKS, loads));
    assert!(!grows(&[load(75, 100), load(74, 100)]));
    assert!(grows(&[load(75, 100), load(75, 100)]));
    assert!(grows(&[load(75, 100), load(0, 0)]), "not ready is no help");
    assert!(!grows(&[]), "nobody asked");
}

#[test]
fn with_nothing_in_service_whoever_waits_has_one_opened() {
    assert!(grows(BOUNDS, 1, occupancy(MARKS, &[])));
}

#[test]
fn never_more_than_max_size_serve() {
    let full = Bounds {
        min_size: 0,
        max_size: 2,
    };
    let busy = occupancy(MARKS, &[load(1, 1), load(1, 1)]);
    assert!(!grows(full, 9, busy));
}

#[test]
fn below_min_size_one_more_serves_as_soon_as_leases_could_be_spread() {
    let three = Bounds {
        min_size: 3,
        max_size: 4,
    };
    let grows = |loads: &[Load]| grows(three, 0, occupancy(MARKS, loads));
    assert!(
        !grows(&[load(1, 100)]),
        "one lease after the other needs one connection"
    );
    assert!(grows(&[load(2, 100)]));
    assert!(grows(&[load(2, 100), load(1, 100)]));
    assert!(!grows(&[load(2, 100), load(1, 100), load(1, 100)]));
}

#[test]
fn one_fewer_does_when_the_load_was_light_without_interruption() {
    let mut shrinking = Shrinking::new(100);
    let loads = spread(30, 2, 100);
    let mut look = |now, peak| shrinking.look(now, MARKS, BOUNDS, peak, &loads, |_| true);
    assert_eq!(look(0, 30), None);
    assert_eq!(look(99, 37), None, "37 of 100 is half of the mark");
    assert_eq!(look(100, 38), None, "interrupted");
    assert_eq!(look(110, 30), None);
    assert_eq!(look(209, 30), None);
    assert_eq!(look(210, 30), Some(0));
    assert_eq!(look(211, 30), None, "and all over again");
}

#[test]
fn the_last_and_those_below_min_size_stay() {
    let two = Bounds {
        min_size: 2,
        max_size: 4,
    };
    let mut shrinking = Shrinking::new(0);
    let one = [load(0, 100)];
    assert_eq!(shrinking.look(0, MARKS, BOUNDS, 0, &one, |_| true), None);
    let loads = [load(0, 100), load(0, 100)];
    assert_eq!(shrinking.look(0, MARKS, two, 0, &loads, |_| true), None);
}

/// tower #456: N, N - 1, N, ... under a load that does not change.
#[test]
fn under_a_constant_load_the_size_settles_whatever_the_load() {
    for (high, capacity) in [(0.75, 10), (0.75, 1), (1.0, 7), (0.1, 100), (0.5, 2)] {
        let marks = Marks { high };
        for start in [1, 2, 7, BOUNDS.max_size] {
            for total in (0..=BOUNDS.max_size * capacity).step_by(1 + capacity / 15) {
                settles(marks, capacity, start, total);
            }
        }
    }
}

fn settles(marks: Marks, capacity: usize, start: usize, total: usize) {
    let mut shrinking = Shrinking::new(0);
    let mut size = start;
    let mut steps = Vec::new();
    for now in 0..100 {
        let carried = total.min(size * capacity);
        let loads = spread(carried, size, capacity);
        if grows(BOUNDS, total - carried, occupancy(marks, &loads)) {
            size += 1;
            steps.push(1);
        } else if shrinking
            .look(now, marks, BOUNDS, carried, &loads, |_| true)
            .is_some()
        {
            size -= 1;
            steps.push(-1);
        }
    }
    assert!(
        steps.windows(2).all(|pair| pair[0] == pair[1]),
        "{total} leases of {capacity} a connection, from {start}, mark {}: {steps:?}",
        marks.high
    );
}

#[test]
fn an_old_connection_goes_when_the_others_carry_its_load() {
    let retire = |draining, loads: &[Load]| retire(MARKS, BOUNDS, 0, draining, loads);
    assert_eq!(retire(0, &[load(30, 100), load(30, 100)]), Retirement::Now);
    assert_eq!(
        retire(0, &[load(40, 100), load(40, 100)]),
        Retirement::Replace
    );
    assert_eq!(retire(0, &[load(40, 100), load(34, 100)]), Retirement::Now);
    assert_eq!(
        retire(0, &[load(40, 100), load(35, 100)]),
        Retirement::Replace,
        "75 of 100 is the mark"
    );
    assert_eq!(retire(0, &[load(1, 100)]), Retirement::Replace);
}

#[test]
fn where_no_other_can_be_opened_an_old_connection_goes_unless_nothing_would_serve() {
    let full = Bounds {
        min_size: 0,
        max_size: 2,
    };
    let both = [load(90, 100), load(90, 100)];
    assert_eq!(retire(MARKS, full, 0, 0, &both), Retirement::Now);
    assert_eq!(retire(MARKS, full, 0, 1, &both), Retirement::Now);
    assert_eq!(retire(MARKS, full, 0, 1, &both[..1]), Retirement::Later);
    let one = Bounds {
        min_size: 0,
        max_size: 1,
    };
    assert_eq!(retire(MARKS, one, 0, 0, &both[..1]), Retirement::Now);
}
