//! Rules on queues: the supermarket model, and users who come back.

use super::*;

/// `len` servers at 90 % of what they can do, and the greatest queue that there ever was. In each step a call comes, or a
/// server that is drawn is done with one.
fn greatest_queue(rule: Rule, len: usize, steps: usize) -> u32 {
    let mut list = list(vec![carrying(0); len]);
    for load in &mut list.loads {
        load.open = u32::MAX;
    }
    let (mut turn, mut events) = (Turn::new(1), Turn::new(2));
    let mut greatest = 0;
    for _ in 0..steps {
        if events.below(190) < 90 {
            let choice = rule.choose(&list, &mut turn).expect("a candidate");
            let queue = &mut list.loads[choice.first].in_flight;
            *queue += 1;
            greatest = greatest.max(*queue);
        } else {
            let queue = &mut list.loads[events.below(len)].in_flight;
            *queue = queue.saturating_sub(1);
        }
    }
    greatest
}

/// At random a queue has a geometric tail, of two one that is doubly exponential (Mitzenmacher, 1996).
#[test]
fn two_choices_keep_queues_far_shorter_than_one() {
    let [one, two, all] = [Rule::Random, Rule::PowerOfTwo, Rule::LeastLoaded]
        .map(|rule| greatest_queue(rule, 100, 300_000));
    assert!(one >= 30 && two <= 8 && all <= two, "{one}, {two}, {all}");
}

/// A fixed number of users, each of whom gives back a lease and takes the next.
fn mean_in_flight(rule: Rule, weights: &[u32], users: usize) -> Vec<f64> {
    let mut list = idle(weights);
    for load in &mut list.loads {
        load.open = u32::MAX;
    }
    let (mut turn, mut events) = (Turn::new(1), Turn::new(2));
    let mut held = Vec::new();
    let mut sums = vec![0.0; weights.len()];
    let steps = 50_000;
    for _ in 0..steps {
        if held.len() == users {
            let place: usize = held.swap_remove(events.below(users));
            list.loads[place].in_flight -= 1;
        }
        let choice = rule.choose(&list, &mut turn).expect("a candidate");
        list.loads[choice.first].in_flight += 1;
        held.push(choice.first);
        for (sum, load) in sums.iter_mut().zip(&list.loads) {
            *sum += f64::from(load.in_flight) / f64::from(steps);
        }
    }
    sums
}

/// Compared by (in flight + 1) / weight alone, the light ones get nothing while there are few users.
#[test]
fn users_are_spread_by_weight_whether_few_or_many() {
    let weights = [3, 1, 1, 3];
    for rule in RULES {
        for users in [1, 2, 8, 80] {
            let means = mean_in_flight(rule, &weights, users);
            for (mean, weight) in means.iter().zip(weights) {
                let fair = users as f64 * f64::from(weight) / 8.0;
                let off = mean / fair;
                assert!(
                    (0.5..1.5).contains(&off),
                    "{rule:?}, {users} users: {means:?} for {weights:?}"
                );
            }
        }
    }
}
