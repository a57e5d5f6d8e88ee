//! Users of a cell: the usual ones, who are to be served, and those who are a situation themselves.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::journal::Journal;
use crate::situation::Situation;
use crate::target::Target;
use crate::trouble::Trouble;

/// How many usual users a cell has.
pub const USERS: usize = 4;
/// How long a usual user waits for an answer, a connection at hand.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Between one question and the next: the load is to be low.
const PAUSE: Duration = Duration::from_millis(20);
/// How many users drop their calls.
const FICKLE: usize = 3;
/// How often a slow reader takes something.
const SIP: Duration = Duration::from_millis(250);

/// A number that no other question has.
pub fn tag() -> i64 {
    static LAST: AtomicI64 = AtomicI64::new(0);
    LAST.fetch_add(1, Relaxed) + 1
}

/// The usual users of one pool.
pub struct Crowd {
    over: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Crowd {
    /// They begin.
    pub fn start<T: Target>(target: &Arc<T>, journal: &Arc<Journal>) -> Self {
        let over = Arc::<AtomicBool>::default();
        let mut tasks = JoinSet::new();
        for user in 0..USERS {
            let (target, journal, over) = (target.clone(), journal.clone(), over.clone());
            tasks.spawn(async move {
                while !over.load(Relaxed) {
                    let asked = journal.asks(user);
                    let result = async {
                        let mut lease = target.get().await?;
                        let answer = timeout(PATIENCE, target.ask(&mut lease, tag())).await;
                        answer.unwrap_or(Err(Trouble::TimedOut))
                    };
                    journal.has(user, asked, result.await);
                    sleep(PAUSE).await;
                }
            });
        }
        Self { over, tasks }
    }

    /// They end with what they ask now.
    pub async fn end(mut self) -> Result<(), tokio::task::JoinError> {
        self.over.store(true, Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        Ok(())
    }
}

/// What the users of a situation do to each other, until `end`; an error if one of them has no right answer after it.
pub async fn disturb<T: Target>(
    situation: Situation,
    target: Arc<T>,
    end: Instant,
) -> Result<(), Trouble> {
    match situation {
        Situation::SlowReader => {
            let mut lease = target.get().await?;
            let mut reply = pin!(target.ask_much(&mut lease, tag()));
            while Instant::now() < end {
                if let Some(read) = poll_once(reply.as_mut()).await {
                    // What was there was all there is, and there is no more to be slow with.
                    sleep_until(end).await;
                    return read;
                }
                sleep(SIP).await;
            }
            reply.await
        }
        Situation::Unpolled => {
            let mut lease = target.get().await?;
            let mut call = pin!(target.ask(&mut lease, tag()));
            let answered = poll_once(call.as_mut()).await;
            let mut get = pin!(target.get());
            let got = poll_once(get.as_mut()).await;
            sleep_until(end).await;
            match answered {
                Some(answer) => answer?,
                None => call.await?,
            }
            match got {
                Some(lease) => lease.map(drop),
                None => get.await.map(drop),
            }
        }
        Situation::Cancelled => {
            let mut fickle = JoinSet::new();
            for _ in 0..FICKLE {
                let target = target.clone();
                fickle.spawn(async move {
                    while Instant::now() < end {
                        let patience = T::DAWDLES.mul_f64(fastrand::f64() * 1.25);
                        let call = async {
                            let mut lease = target.get().await?;
                            target.dawdle(&mut lease, tag()).await
                        };
                        match timeout(patience, call).await {
                            Err(_) | Ok(Ok(())) => {}
                            Ok(Err(trouble)) => return Err(trouble),
                        }
                        // What was given up is done all the same: no more than the server can do.
                        sleep(PAUSE).await;
                    }
                    Ok(())
                });
            }
            let mut result = Ok(());
            while let Some(ended) = fickle.join_next().await {
                result = result.and(ended.unwrap_or_else(|error| Err(Trouble::failed(error))));
            }
            result
        }
        _ => Ok(()),
    }
}

/// What one poll gives.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}
