//! Pools of different kinds, runtimes and threads under one budget.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_shared_pool_and_an_exclusive_one_serve_each_other_s_callers() {
    let (server, budget) = (Server::of(1), Budget::new(1));
    let shared = SharedPool::builder(server.clone())
        .acquire_timeout(None)
        .budget(&budget)
        .build()
        .unwrap();
    let exclusive = pool(&server, &budget);
    for _ in 0..3 {
        let lease = timeout(NEVER, shared.get()).await.unwrap().unwrap();
        let mut waiting = pin!(exclusive.get());
        assert!(timeout(secs(1), waiting.as_mut()).await.is_err());
        drop(lease);
        drop(timeout(NEVER, waiting).await.unwrap().unwrap());
    }
    assert_eq!(server.open(), 1);
}

struct Threaded(Server);

impl blocking::Connect for Threaded {
    type Connection = Session;
    type Error = Infallible;

    fn connect(&self) -> Result<Session, Infallible> {
        Ok(self.0.enter())
    }

    fn verdict(&self, _: &mut Session) -> Verdict {
        Verdict::Reuse
    }

    fn check(&self, _: &mut Session, _: &ConnectionInfo) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Each pool on a runtime of its own.
#[test]
fn blocking_pools_share_a_budget() {
    let (server, budget) = (Server::of(2), Budget::new(2));
    let pools: Vec<_> = (0..3)
        .map(|_| {
            let builder = blocking::Pool::builder(Threaded(server.clone()));
            builder.budget(&budget).build().unwrap()
        })
        .collect();
    std::thread::scope(|scope| {
        for user in 0..6 {
            let pool = &pools[user % 3];
            scope.spawn(move || {
                for _ in 0..50 {
                    drop(pool.get().unwrap());
                }
            });
        }
    });
    drop(pools);
    assert!(!server.exceeded.load(SeqCst));
}

/// Real threads: pools of several runtimes' tasks against each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_contention_of_threads_nobody_is_forgotten() {
    let (server, budget) = (Server::of(3), Budget::new(3));
    server.dials_take(Duration::ZERO);
    let pools = pools::<5>(&server, &budget);
    let mut users = JoinSet::new();
    for user in 0..40 {
        let pool = pools[user % 5].clone();
        users.spawn(async move {
            for _ in 0..50 {
                let lease = pool.get().await.unwrap();
                tokio::task::yield_now().await;
                drop(lease);
            }
        });
    }
    let all = timeout(secs(120), users.join_all()).await;
    all.expect("everyone is served");
    assert_whole(&server, &budget, &pools).await;
}
