//! What is counted of requests.

use std::time::Duration;

use crate::load::Request;

/// The value that so large a part of them does not exceed; they are sorted by it.
pub fn quantile(values: &mut [f64], quantile: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len() as f64 * quantile).ceil() as usize;
    match place.clamp(1, values.len().max(1)) - 1 {
        place if place < values.len() => values[place],
        _ => f64::NAN,
    }
}

/// How many ended in each second and are so.
pub fn per_second(
    requests: &[Request],
    time: Duration,
    is_so: impl Fn(&Request) -> bool,
) -> Vec<(f64, f64)> {
    let mut points: Vec<_> = (0..time.as_secs())
        .map(|second| (second as f64, 0.0))
        .collect();
    for request in requests.iter().filter(|request| is_so(request)) {
        if let Some(point) = points.get_mut(request.ended().as_secs() as usize) {
            point.1 += 1.0;
        }
    }
    points
}

/// How large a part of them is so.
pub fn share(requests: &[Request], is_so: impl Fn(&Request) -> bool) -> f64 {
    let count = requests.iter().filter(|request| is_so(request)).count();
    count as f64 / requests.len().max(1) as f64
}
