//! The race between the addresses of one host, RFC 8305: each starts a little after the one before, or at once when
//! one has failed, and the first to connect wins. The losers are dropped, which closes their sockets.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::error::AddressError;
use crate::rt::{Sleep, sleep_until};

/// How long an address is waited for before the next one starts beside it: RFC 8305's Connection Attempt Delay.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// What `connect` gives for the first of `addresses` that succeeds; else each address with its cause. At the
/// deadline those that have not answered have failed.
pub(super) async fn race<T, F>(
    addresses: &[SocketAddr],
    deadline: Option<Instant>,
    mut connect: impl FnMut(SocketAddr) -> F,
) -> Result<T, Vec<AddressError>>
where
    F: Future<Output = io::Result<T>>,
{
    let began = Instant::now();
    let limit = deadline.map(|deadline| deadline.saturating_duration_since(began));
    let delay = attempt_delay(limit, addresses.len());
    let mut waiting = addresses.iter().enumerate();
    let mut running: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    let mut causes: Vec<Option<io::Error>> = addresses.iter().map(|_| None).collect();
    // None: at once. A timer that is due already takes a millisecond.
    let mut next_start = pin!(None::<Sleep>);
    let mut end = pin!(deadline.map(sleep_until));

    let won = std::future::poll_fn(|cx| {
        loop {
            let mut one_failed = false;
            let mut at = 0;
            while let Some((address, attempt)) = running.get_mut(at) {
                match attempt.as_mut().poll(cx) {
                    Poll::Pending => at += 1,
                    Poll::Ready(Ok(connected)) => return Poll::Ready(Some(connected)),
                    Poll::Ready(Err(cause)) => {
                        causes[*address] = Some(cause);
                        running.remove(at);
                        one_failed = true;
                    }
                }
            }
            if let Some(end) = end.as_mut().as_pin_mut() {
                if end.poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
            }
            // The timer is polled in any case, so that it wakes the task.
            let due = match next_start.as_mut().as_pin_mut() {
                Some(timer) => timer.poll(cx).is_ready(),
                None => true,
            };
            if !due && !one_failed {
                return Poll::Pending;
            }
            match waiting.next() {
                Some((address, &to)) => {
                    running.push((address, Box::pin(connect(to))));
                    next_start.set(Some(sleep_until(Instant::now() + delay)));
                }
                None if running.is_empty() => return Poll::Ready(None),
                None => return Poll::Pending,
            }
        }
    });
    if let Some(connected) = won.await {
        return Ok(connected);
    }
    let failures = addresses.iter().zip(causes);
    Err(failures
        .map(|(&address, cause)| AddressError {
            address,
            error: cause.unwrap_or_else(|| no_answer(limit.unwrap_or_default())),
        })
        .collect())
}

/// Shorter where there is too little time for all: each address has its turn.
fn attempt_delay(limit: Option<Duration>, addresses: usize) -> Duration {
    let share = limit.map(|limit| limit / u32::try_from(addresses.max(1)).unwrap_or(u32::MAX));
    share.map_or(ATTEMPT_DELAY, |share| share.min(ATTEMPT_DELAY))
}

fn no_answer(limit: Duration) -> io::Error {
    let text = match rounded(limit) {
        Duration::ZERO => "no time was left for it".to_owned(),
        limit => format!("no answer within {limit:?}"),
    };
    io::Error::new(io::ErrorKind::TimedOut, text)
}

/// To be read by people.
pub(super) fn rounded(limit: Duration) -> Duration {
    // Up to half a millisecond up: what is left of a second a moment later is still called a second.
    let millis = (limit + Duration::from_micros(500)).as_millis();
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}
