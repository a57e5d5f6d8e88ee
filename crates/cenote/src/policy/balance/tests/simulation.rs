//! Rules on queues: the supermarket model, and users who come back.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::peak_ewma::PeakEwma;
use super::*;
use crate::policy::accrual::Outcome;

/// `len` servers at 90 % of what they can do, and the greatest queue that there ever was. In each step a call comes, or
/// a server that is drawn is done with one.
fn greatest_queue(rule: Rule, len: usize, steps: usize) -> u32 {
    let mut list = list(vec![carrying(0); len]);
    for load in &mut list.loads {
        load.open = u32::MAX;
    }
    let (mut picker, mut events) = (Picker::new(1), Picker::new(2));
    let mut greatest = 0;
    for _ in 0..steps {
        if events.below(190) < 90 {
            let choice = rule.choose(&list, &mut picker).expect("a candidate");
            let queue = &mut list.loads[choice.first.place].in_flight;
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
        .map(|rule| greatest_queue(rule, 100, 100_000));
    assert!(one >= 30 && two <= 8 && all <= two, "{one}, {two}, {all}");
}

/// A fixed number of users, each of whom gives back a lease and takes the next.
fn mean_in_flight(rule: Rule, weights: &[u32], users: usize) -> Vec<f64> {
    let mut list = idle(weights);
    for load in &mut list.loads {
        load.open = u32::MAX;
    }
    let (mut picker, mut events) = (Picker::new(1), Picker::new(2));
    let mut held = Vec::new();
    let mut sums = vec![0.0; weights.len()];
    let steps = 20_000;
    for _ in 0..steps {
        if held.len() == users {
            let place: usize = held.swap_remove(events.below(users));
            list.loads[place].in_flight -= 1;
        }
        let choice = rule.choose(&list, &mut picker).expect("a candidate");
        list.loads[choice.first.place].in_flight += 1;
        held.push(choice.first.place);
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

/// What an endpoint does with every call.
#[derive(Clone, Copy)]
enum Service {
    Replies(Duration),
    Fails(Duration),
}

/// Users who call one time after the other, for so long, by time: how many calls each endpoint had in each second.
fn timed_calls(services: &[Service], users: usize, seconds: usize) -> Vec<Vec<u32>> {
    let mut list = idle(&vec![1; services.len()]);
    let mut ewmas = vec![PeakEwma::default(); services.len()];
    let mut picker = Picker::new(1);
    let mut calls = vec![vec![0; seconds]; services.len()];
    // When each call ends, and where it was sent.
    let mut under_way: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let mut now = 0;
    loop {
        if under_way.len() == users {
            let Reverse((ends_at, place)) = under_way.pop().expect("a call of each user");
            now = ends_at;
            list.loads[place].in_flight -= 1;
            let (took, outcome) = match services[place] {
                Service::Replies(took) => (took, Outcome::Ok),
                Service::Fails(took) => (took, Outcome::Failed),
            };
            ewmas[place].observe(now, took, outcome);
        }
        let Some(second) = Some((now / 1_000_000_000) as usize).filter(|&at| at < seconds) else {
            return calls;
        };
        for (load, ewma) in list.loads.iter_mut().zip(&ewmas) {
            load.cost = ewma.value(now);
            load.open = u32::MAX;
        }
        let place = Rule::PeakEwma
            .choose(&list, &mut picker)
            .expect("a candidate")
            .first
            .place;
        calls[place][second] += 1;
        list.loads[place].in_flight += 1;
        let (Service::Replies(took) | Service::Fails(took)) = services[place];
        under_way.push(Reverse((now + took.as_nanos() as u64, place)));
    }
}

/// linkerd2 #5017: both had equal rates, 17.7 calls/s; mended it was 489.7 to 0.1.
#[test]
fn by_time_a_fast_endpoint_has_nearly_all_calls_and_a_slow_one_is_tried_again() {
    let [fast, slow] = [1, 50].map(|ms| Service::Replies(Duration::from_millis(ms)));
    for users in [1, 10] {
        let calls = timed_calls(&[fast, slow], users, 80);
        let total = |place: usize| calls[place].iter().sum::<u32>();
        assert!(
            total(0) >= 95 * (total(0) + total(1)) / 100,
            "{users} users"
        );
        for part in calls[1].chunks(40) {
            assert!(part.iter().sum::<u32>() > 0, "{users} users: {part:?}");
        }
    }
}

/// linkerd2-proxy #4537: the endpoint that fails in no time has the shortest queue.
#[test]
fn by_time_an_endpoint_that_fails_fast_does_not_draw_the_calls() {
    let good = Service::Replies(Duration::from_millis(10));
    let bad = Service::Fails(Duration::from_micros(100));
    for users in [1, 4, 16] {
        let calls = timed_calls(&[good, good, good, bad], users, 5);
        let total = |place: usize| calls[place].iter().sum::<u32>();
        let (failed, all) = (total(3), (0..4).map(total).sum::<u32>());
        assert!(
            failed * 100 <= all,
            "{users} users: {failed} of {all} calls failed"
        );
    }
}
