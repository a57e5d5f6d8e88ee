//! Each rule by itself.

use super::*;

const MS: u64 = 1_000_000;

fn in_order(line: &Line<char>) -> Vec<char> {
    line.iter().map(|(_, key)| key).collect()
}

#[test]
fn pools_wait_in_the_order_of_their_oldest_waiters() {
    let mut line = Line::new();
    for (key, since) in [('b', 20), ('a', 30), ('c', 10)] {
        line.enter(key, since);
    }
    assert_eq!(in_order(&line), ['c', 'b', 'a']);
}

#[test]
fn a_pool_whose_oldest_waiter_was_served_goes_on_with_the_next_oldest() {
    let mut line = Line::new();
    for (key, since) in [('a', 10), ('b', 20), ('a', 30)] {
        line.enter(key, since);
    }
    assert_eq!(in_order(&line), ['b', 'a']);
}

#[test]
fn a_pool_that_leaves_is_in_line_no_more() {
    let mut line = Line::new();
    line.enter('a', 10);
    line.leave('b');
    assert_eq!(in_order(&line), ['a']);
    line.leave('a');
    assert!(line.is_empty());
}

#[test]
fn the_line_can_be_walked_while_it_changes() {
    let mut line = Line::new();
    for (key, since) in [('a', 10), ('b', 20), ('c', 30)] {
        line.enter(key, since);
    }
    let first = line.next(None);
    assert_eq!(first, Some((10, 'a')));
    line.leave('a');
    line.leave('b');
    assert_eq!(line.next(first), Some((30, 'c')));
    assert_eq!(line.next(Some((30, 'c'))), None);
}

#[test]
fn pools_that_came_in_the_same_instant_each_have_their_place() {
    let mut line = Line::new();
    line.enter('b', 10);
    line.enter('a', 10);
    assert_eq!(in_order(&line), ['a', 'b']);
}

#[test]
fn of_the_idle_connections_the_least_recently_used_is_closed() {
    let idle = [(30, "a"), (10, "b"), (20, "c")];
    assert_eq!(least_recently_used(idle.into_iter()), Some("b"));
    assert_eq!(least_recently_used(std::iter::empty::<(u64, &str)>()), None);
}

/// It has been held for its quantum, and for an older waiter.
const DUE: Returning = Returning {
    now: 1_000 * MS,
    held_since: 900 * MS,
    quantum: 100 * MS,
    own_waiter: Some(800 * MS),
    other_waiter: 700 * MS,
};

#[test]
fn a_returning_connection_changes_hands_after_the_quantum_for_an_older_waiter() {
    assert!(changes_hands(&DUE));
}

#[test]
fn before_the_quantum_is_over_it_stays() {
    assert!(!changes_hands(&Returning {
        held_since: DUE.held_since + 1,
        ..DUE
    }));
}

#[test]
fn for_a_waiter_that_is_no_older_it_stays() {
    assert!(!changes_hands(&Returning {
        own_waiter: Some(DUE.other_waiter),
        ..DUE
    }));
}

#[test]
fn one_that_its_pool_has_no_use_for_changes_hands_at_once() {
    assert!(changes_hands(&Returning {
        held_since: DUE.now,
        own_waiter: None,
        other_waiter: DUE.now,
        ..DUE
    }));
}

#[test]
fn a_quantum_is_some_dial_times_within_bounds() {
    assert!((5 * 20 * MS..=10 * 20 * MS).contains(&quantum(20 * MS)));
    assert_eq!(quantum(0), MIN_QUANTUM);
    assert_eq!(quantum(u64::MAX), MAX_QUANTUM);
}
