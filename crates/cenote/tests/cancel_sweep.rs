//! Every combination of what a connector can do, each get dropped after every number of polls: whatever
//! happens, the duties hold afterwards.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod server;

use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use cenote::{Backoff, BoxError, HookFuture, Pool};
use futures::poll;
use server::{Act, Conn, Server, assert_quiet, ms, pass, secs};

/// What each step of a connection's life does.
#[derive(Clone, Copy, Debug)]
struct Steps {
    connect: Act,
    after_connect: Act,
    check: Act,
    before_get: Act,
    reset: Act,
    after_return: Act,
}

const FINE: Steps = Steps {
    connect: Act::Ok,
    after_connect: Act::Ok,
    check: Act::Ok,
    before_get: Act::Ok,
    reset: Act::Ok,
    after_return: Act::Ok,
};

fn hook(
    act: Act,
) -> impl for<'a> Fn(&'a mut Conn, &cenote::ConnectionInfo) -> HookFuture<'a> + Send + Sync {
    move |_, _| Box::pin(async move { act.run().await.map_err(BoxError::from) })
}

const SIZE: usize = 2;
/// Longer than every time-out together: what hangs has been cut short by then.
const SETTLED: Duration = Duration::from_secs(30);

fn pool(server: &Server, steps: Steps) -> Pool<Server> {
    server.plan(|plan| {
        (plan.connect, plan.check, plan.reset) = (steps.connect, steps.check, steps.reset);
    });
    server
        .builder()
        .max_size(SIZE)
        .acquire_timeout(secs(5))
        .check_after_idle(secs(0))
        .keepalive(None)
        .connect_timeout(secs(1))
        .check_timeout(secs(1))
        .reset_timeout(secs(1))
        .close_timeout(secs(1))
        .backoff(Backoff::new(ms(10), ms(50)))
        .after_connect(hook(steps.after_connect))
        .before_get(hook(steps.before_get))
        .after_return(hook(steps.after_return))
        .build()
        .unwrap()
}

/// Polls a get `polls` times, time passing in between, and drops it; a lease it got comes back dirty.
async fn cancel_after(pool: &Pool<Server>, polls: usize) {
    let mut get = pin!(pool.get());
    for _ in 0..polls {
        match poll!(&mut get) {
            std::task::Poll::Ready(outcome) => {
                if let Ok(mut conn) = outcome {
                    assert!(!conn.dirty, "the last user's dirt");
                    conn.dirty = true;
                }
                return;
            }
            std::task::Poll::Pending => pass(ms(40)).await,
        }
    }
}

async fn sweep(steps: Steps) {
    let server = Server::default();
    let pool = pool(&server, steps);
    for polls in 0..9 {
        // Two at once, a third that waits behind them.
        tokio::join!(
            cancel_after(&pool, polls),
            cancel_after(&pool, polls + 1),
            cancel_after(&pool, 9 - polls),
        );
    }
    pass(SETTLED).await;
    assert_quiet(&pool);
    assert_eq!(
        server.open(),
        pool.status().idle,
        "{steps:?}: one place for each connection"
    );
    assert!(
        server.seen.most.load(SeqCst) <= SIZE,
        "{steps:?}: too many at once"
    );

    // With everything fine again, nobody waits in vain.
    server.plan(|plan| (plan.connect, plan.check, plan.reset) = (Act::Ok, Act::Ok, Act::Ok));
    let works = [steps.after_connect, steps.before_get]
        .iter()
        .all(|act| matches!(act, Act::Ok | Act::Slow));
    if works {
        for _ in 0..SIZE + 1 {
            pool.get()
                .await
                .unwrap_or_else(|error| panic!("{steps:?}: {error}"))
                .dirty = true;
            pass(ms(400)).await;
        }
    }
    pass(SETTLED).await;
    assert_quiet(&pool);
    assert_eq!(pool.close().await.abandoned, 0, "{steps:?}");
    assert_eq!(server.open(), 0, "{steps:?}: left open");
}

/// deadpool test_cancellations, and panics besides: what happens before a lease.
#[tokio::test(start_paused = true)]
async fn connect_check_and_the_hooks_before_a_lease_in_every_combination() {
    for connect in Act::ALL {
        for after_connect in Act::ALL {
            for check in Act::ALL {
                for before_get in Act::ALL {
                    sweep(Steps {
                        connect,
                        after_connect,
                        check,
                        before_get,
                        ..FINE
                    })
                    .await;
                }
            }
        }
    }
}

/// What happens after a lease.
#[tokio::test(start_paused = true)]
async fn reset_and_the_hook_after_a_lease_in_every_combination() {
    for check in Act::ALL {
        for reset in Act::ALL {
            for after_return in Act::ALL {
                sweep(Steps {
                    check,
                    reset,
                    after_return,
                    ..FINE
                })
                .await;
            }
        }
    }
}
