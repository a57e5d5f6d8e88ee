//! Why each connection was closed: told, counted and handed to the hook under one name, every reason there is.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, LazyLock, Mutex};

use cenote::pool::PoolBuilder;
use cenote::report::{CloseReason, EventKind};
use cenote::{Budget, ConnectError, Lease, Pool, Verdict};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};

use crate::server::{Act, Server, Told, ms, pass, secs};

type Story = for<'a> fn(&'a Server, &'a Pool<Server>) -> BoxFuture<'a, ()>;
type Settings = fn(PoolBuilder<Server>) -> PoolBuilder<Server>;

static BUDGET: LazyLock<Budget> = LazyLock::new(|| Budget::new(1));

fn as_it_is(builder: PoolBuilder<Server>) -> PoolBuilder<Server> {
    builder
}

async fn use_once(pool: &Pool<Server>) {
    drop(pool.get().await.unwrap());
}

/// How to come by each reason.
fn stories() -> Vec<(CloseReason, Settings, Story)> {
    vec![
        (
            CloseReason::IdleTimeout,
            |b| b.idle_timeout(secs(2)),
            |_, pool| {
                async {
                    use_once(pool).await;
                    pass(secs(3)).await;
                }
                .boxed()
            },
        ),
        (
            CloseReason::MaxLifetime,
            |b| b.max_lifetime(secs(2)),
            |_, pool| {
                async {
                    use_once(pool).await;
                    pass(secs(3)).await;
                }
                .boxed()
            },
        ),
        (
            CloseReason::MaxIdle,
            |b| b.max_idle(0),
            |_, pool| use_once(pool).boxed(),
        ),
        (
            CloseReason::Resized,
            |b| b.max_size(2),
            |_, pool| {
                async {
                    drop(join_all([pool.get(), pool.get()]).await);
                    pool.resize(1).unwrap();
                }
                .boxed()
            },
        ),
        (
            CloseReason::Budget,
            |b| b.budget(&BUDGET),
            |_, pool| {
                async {
                    use_once(pool).await;
                    BUDGET.resize(0);
                }
                .boxed()
            },
        ),
        (CloseReason::Evicted, as_it_is, |_, pool| {
            async {
                use_once(pool).await;
                pool.evict();
            }
            .boxed()
        }),
        (CloseReason::Retired, as_it_is, |_, pool| {
            async {
                Lease::retire(&pool.get().await.unwrap());
            }
            .boxed()
        }),
        (CloseReason::PoolClosed, as_it_is, |_, pool| {
            async {
                use_once(pool).await;
                pool.close().await;
            }
            .boxed()
        }),
        (CloseReason::Broken, as_it_is, |_, pool| {
            async {
                pool.get().await.unwrap().alive.store(false, SeqCst);
            }
            .boxed()
        }),
        (CloseReason::CheckFailed, as_it_is, |server, pool| {
            async {
                use_once(pool).await;
                pass(secs(5)).await;
                server.plan(|plan| plan.check = Act::Fail);
                use_once(pool).await;
            }
            .boxed()
        }),
        (CloseReason::ResetFailed, as_it_is, |server, pool| {
            async {
                server.plan(|plan| plan.reset = Act::Fail);
                pool.get().await.unwrap().dirty = true;
            }
            .boxed()
        }),
        (CloseReason::Verdict, as_it_is, |server, pool| {
            async {
                server.plan(|plan| plan.verdict = Some(Verdict::Close));
                use_once(pool).await;
            }
            .boxed()
        }),
        (
            CloseReason::Hook,
            |b| b.after_return(|_, _| async { Err("no".into()) }.boxed()),
            |_, pool| use_once(pool).boxed(),
        ),
        (CloseReason::Discarded, as_it_is, |_, pool| {
            async { Lease::discard(pool.get().await.unwrap()) }.boxed()
        }),
        (CloseReason::Panicked, as_it_is, |_, pool| {
            let pool = pool.clone();
            async {
                let user = tokio::spawn(async move {
                    let _lease = pool.get().await.unwrap();
                    panic!("told to");
                });
                assert!(user.await.is_err());
            }
            .boxed()
        }),
        (CloseReason::Detached, as_it_is, |_, pool| {
            async { drop(Lease::detach(pool.get().await.unwrap())) }.boxed()
        }),
        (CloseReason::Aborted, as_it_is, |server, pool| {
            // A reset cut short by the end of its runtime.
            server.plan(|plan| plan.reset = Act::Never);
            let pool = pool.clone();
            let elsewhere = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    pool.get().await.unwrap().dirty = true;
                    tokio::task::yield_now().await;
                });
            });
            async { elsewhere.join().unwrap() }.boxed()
        }),
    ]
}

#[tokio::test(start_paused = true)]
async fn every_reason_is_told_and_counted_and_handed_to_hook_and_connector_as_itself() {
    let mut covered = BTreeSet::new();
    for (reason, settings, story) in stories() {
        let server = Server::default();
        let hooked = Arc::new(Mutex::new(Vec::new()));
        let log = hooked.clone();
        let builder = settings(server.builder().max_size(1))
            .before_close(move |_, info, reason| log.lock().unwrap().push((info.id, reason)));
        let (builder, told) = Told::by(builder);
        let pool = builder.build().unwrap();
        story(&server, &pool).await;
        pass(ms(1)).await;
        let closed: Vec<_> = told
            .take()
            .into_iter()
            .filter(|words| words.starts_with("closed"))
            .collect();
        let [closed] = &closed[..] else {
            panic!("{reason}: {closed:?}");
        };
        assert!(closed.contains(&format!(": {reason}")), "{closed}");
        assert_eq!(pool.counters().closed_by(reason), 1, "{reason}");
        assert_eq!(pool.counters().closed(), 1, "{reason}");
        let hooked: Vec<_> = hooked.lock().unwrap().iter().map(|(_, why)| *why).collect();
        assert_eq!(hooked, [reason]);
        assert_eq!(*server.seen.left.lock().unwrap(), [reason]);
        covered.insert(reason.as_str());
    }
    // Of sets alone: `balanced::changes`.
    let of_set = [CloseReason::EndpointGone, CloseReason::Rebalanced];
    let of_one = |why: &&CloseReason| !of_set.contains(why);
    let all = CloseReason::ALL.iter().filter(of_one);
    let all: BTreeSet<_> = all.map(|why| why.as_str()).collect();
    assert_eq!(covered, all);
}

/// The connector knows which connection it checks, resets and says goodbye to, how old it is and what it has carried.
#[tokio::test(start_paused = true)]
async fn a_connector_is_told_the_story_of_the_connection_it_works_on() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(1)
        .check_after_idle(secs(2))
        .build()
        .unwrap();
    use_once(&pool).await;
    pass(secs(3)).await;
    pool.get().await.unwrap().dirty = true;
    pass(secs(1)).await;
    pool.close().await;
    let stories: Vec<_> = server.seen.stories.lock().unwrap().clone();
    let told: Vec<_> = stories
        .iter()
        .map(|(turn, info)| (*turn, info.id, info.uses, info.age.as_secs()))
        .collect();
    let turns = [
        ("check", 1, 1, 3),
        ("reset", 1, 2, 3),
        ("leaving", 1, 2, 4),
        ("close", 1, 2, 4),
    ];
    assert_eq!(told, turns);
    assert!(stories[0].1.idle_for >= secs(2), "{stories:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_panics_as_a_connection_leaves_costs_it_nothing_but_that() {
    let server = Server::default();
    server.plan(|plan| plan.leaving_panics = true);
    let pool = server.pool(1);
    use_once(&pool).await;
    pool.close().await;
    assert_eq!(server.open(), 0);
    assert_eq!(server.seen.goodbyes.load(SeqCst), 1);
}

/// What went wrong is told with the reason.
#[tokio::test(start_paused = true)]
async fn a_failure_is_told_in_the_words_of_who_failed() {
    for (act, words) in [
        (Act::Fail, "reset_failed, the server refused"),
        (Act::Panic, "reset_failed, panicked: told to"),
        (Act::Never, "reset_failed, timed out"),
    ] {
        let server = Server::default();
        let (builder, told) = Told::by(server.builder());
        let pool = builder.build().unwrap();
        server.plan(|plan| plan.reset = act);
        pool.get().await.unwrap().dirty = true;
        pass(secs(10)).await;
        assert_eq!(told.take(), ["opened 1", &format!("closed 1: {words}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_connect_is_told_with_its_cause() {
    for (act, words) in [
        (Act::Fail, "the server refused"),
        (Act::Panic, "the connector panicked: told to"),
        (Act::Never, "it took longer than connect_timeout (3s)"),
    ] {
        let server = Server::default();
        server.plan(|plan| plan.connect = act);
        let (builder, told) = Told::by(server.builder());
        let pool = builder.build().unwrap();
        let _ = pool.get().timeout(secs(6)).await;
        assert_eq!(told.take()[0], format!("connect failed (1): {words}"));
    }
}

/// An after_connect hook's refusal is told as one, not as the connector's.
#[tokio::test(start_paused = true)]
async fn a_hook_s_refusal_of_a_new_connection_is_told_as_the_hook_s() {
    let server = Server::default();
    let pool = server
        .builder()
        .after_connect(|_, _| async { Err("wrong schema".into()) }.boxed())
        .build()
        .unwrap();
    let error = pool.get().await.unwrap_err();
    assert!(matches!(error.connect_error(), Some(ConnectError::Hook(_))));
    assert!(
        error
            .to_string()
            .ends_with("the after_connect hook failed: wrong schema"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_open_is_told_with_how_long_it_took() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let took = Arc::new(Mutex::new(Vec::new()));
    let log = took.clone();
    let pool = server
        .builder()
        .after_connect(|_, _| {
            async {
                pass(ms(50)).await;
                Ok(())
            }
            .boxed()
        })
        .on_event(move |event| {
            if let EventKind::Opened { took, info, .. } = &event.kind {
                assert_eq!((info.uses, info.id), (0, 1));
                log.lock().unwrap().push(*took);
            }
        })
        .build()
        .unwrap();
    drop(pool.get().await.unwrap());
    let took = took.lock().unwrap()[0];
    assert!(took >= ms(200) && took < ms(210), "{took:?}");
}

/// Reasons are labels: short, unique, fit for a metric.
#[test]
fn reasons_have_names_fit_for_labels() {
    let names: BTreeSet<_> = CloseReason::ALL.iter().map(|why| why.as_str()).collect();
    assert_eq!(names.len(), CloseReason::ALL.len());
    for name in names {
        assert!(
            name.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
            "{name}"
        );
    }
}
