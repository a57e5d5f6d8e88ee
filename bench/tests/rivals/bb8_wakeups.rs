//! bb8 0.9.1: who is woken, and who is served. All its waiters share one `Notify`, which keeps one permit.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bb8::RunError;

use crate::interposed;
use crate::server::Server;

type Getting<L> = Pin<Box<dyn Future<Output = L> + Send>>;

fn poll_with<L>(getting: &mut Getting<L>, waker: &Waker) -> Poll<L> {
    getting.as_mut().poll(&mut Context::from_waker(waker))
}

fn poll_once<L>(getting: &mut Getting<L>) -> Poll<L> {
    poll_with(getting, Waker::noop())
}

/// Two getters find nothing idle; before either of them waits, two connections come back; then both wait. The steps
/// of three threads, one inside the other. Returns what each getter has after it.
fn two_getters_and_two_returns<L: Send + 'static>(
    first: &mut Getting<L>,
    mut second: Getting<L>,
    leases: impl Send + 'static,
) -> (Poll<L>, Poll<L>) {
    let seconds = Arc::new(Mutex::new(Poll::Pending));
    let outcome = seconds.clone();
    let meanwhile = interposed::at_clone(move || {
        let returns = interposed::at_clone(move || drop(leases));
        *outcome.lock().unwrap() = poll_with(&mut second, &returns);
    });
    let first = poll_with(first, &meanwhile);
    let second = std::mem::replace(&mut *seconds.lock().unwrap(), Poll::Pending);
    (first, second)
}

/// bb8 #122. One permit is stored for the two returns: one getter takes it and its connection, the other one sleeps
/// beside an idle connection, until its time-out if the first keeps its own so long.
#[tokio::test(start_paused = true)]
async fn two_returns_between_look_and_wait_leave_a_getter_of_bb8_beside_an_idle_connection() {
    let pool = bb8::Pool::builder()
        .max_size(2)
        .test_on_check_out(false)
        .build(Server::default())
        .await
        .unwrap();
    let leases = [
        pool.get_owned().await.unwrap(),
        pool.get_owned().await.unwrap(),
    ];
    let [mut first, second] = [pool.clone(), pool.clone()]
        .map(|pool| -> Getting<_> { Box::pin(async move { pool.get_owned().await }) });
    let (firsts, seconds) = two_getters_and_two_returns(&mut first, second, leases);
    assert!(firsts.is_pending());
    let Poll::Ready(Ok(_held)) = seconds else {
        panic!("the other getter is served");
    };
    assert_eq!(pool.state().idle_connections, 1, "beside a getter");
    assert!(matches!(first.await, Err(RunError::TimedOut)));
    assert_eq!(pool.state().idle_connections, 1, "all the 30 s");
}

/// The same steps: both are served.
#[tokio::test(start_paused = true)]
async fn two_returns_between_look_and_wait_serve_both_getters_of_cenote() {
    let pool = cenote::Pool::builder(Server::default())
        .max_size(2)
        .build()
        .unwrap();
    let leases = [
        pool.get_owned().await.unwrap(),
        pool.get_owned().await.unwrap(),
    ];
    let [mut first, second] = [pool.clone(), pool.clone()]
        .map(|pool| -> Getting<_> { Box::pin(async move { pool.get_owned().await }) });
    let (firsts, seconds) = two_getters_and_two_returns(&mut first, second, leases);
    assert!(matches!(firsts, Poll::Ready(Ok(_))));
    assert!(matches!(seconds, Poll::Ready(Ok(_))));
    assert_eq!((pool.status().leased, pool.status().waiters), (2, 0));
}

/// A newcomer takes what the waiter was woken for.
#[tokio::test(start_paused = true)]
async fn a_newcomer_passes_who_waits_for_bb8() {
    let pool = bb8::Pool::builder()
        .max_size(1)
        .build(Server::default())
        .await
        .unwrap();
    let held = pool.get().await.unwrap();
    let waiting = pool.clone();
    let mut waiter: Getting<_> = Box::pin(async move { waiting.get_owned().await.map(drop) });
    assert!(poll_once(&mut waiter).is_pending());
    drop(held);
    let newcomers = tokio::time::timeout(Duration::ZERO, pool.get()).await;
    assert!(newcomers.is_ok(), "the newcomer is served");
    assert!(poll_once(&mut waiter).is_pending());
}

/// The same steps: the newcomer comes after the waiter.
#[tokio::test(start_paused = true)]
async fn no_newcomer_passes_who_waits_for_cenote() {
    let pool = cenote::Pool::builder(Server::default())
        .max_size(1)
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    let waiting = pool.clone();
    let mut waiter: Getting<_> = Box::pin(async move { waiting.get_owned().await.map(drop) });
    assert!(poll_once(&mut waiter).is_pending());
    drop(held);
    let newcomers = tokio::time::timeout(Duration::ZERO, pool.get()).await;
    assert!(newcomers.is_err(), "the newcomer waits");
    assert!(matches!(poll_once(&mut waiter), Poll::Ready(Ok(()))));
}
