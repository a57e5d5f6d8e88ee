//! Gets, dials and pools that end: no permit is lost.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_get_dropped_at_any_poll_costs_no_permit() {
    for polls in 0..12 {
        let (server, budget) = (Server::of(1), Budget::new(1));
        let [a, b, c] = pools(&server, &budget);
        let lease = get(&a).await;
        {
            let mut leaving = pin!(b.get());
            for poll in 0..polls {
                if poll == 4 {
                    drop(poll!(pin!(c.get())));
                }
                if poll!(leaving.as_mut()).is_ready() {
                    break;
                }
                sleep(ms(5)).await;
            }
        }
        let mut next = pin!(c.get());
        assert!(poll!(next.as_mut()).is_pending());
        drop(lease);
        drop(timeout(NEVER, next).await.unwrap().unwrap());
        assert_whole(&server, &budget, [&a, &b, &c]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn connects_that_panic_or_take_too_long_give_their_permits_back() {
    let (server, budget) = (Server::of(1), Budget::new(1));
    let failing = Server {
        panics: Arc::new(AtomicBool::new(true)),
        ..server.clone()
    };
    let hanging = Server {
        dial_time: Arc::new(Mutex::new(NEVER)),
        ..server.clone()
    };
    let [a, b] = [pool(&failing, &budget), pool(&hanging, &budget)];
    let c = pool(&server, &budget);
    for _ in 0..3 {
        for pool in [&a, &b] {
            let served = timeout(secs(10), pool.get()).await;
            assert!(!matches!(served, Ok(Ok(_))));
        }
        drop(get(&c).await);
    }
    assert!(a.counters().connect_failed > 0 && b.counters().connect_failed > 0);
    assert_whole(&server, &budget, [&a, &b, &c]).await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_dropped_or_closed_gives_all_back() {
    let (server, budget) = (Server::of(3), Budget::new(3));
    let a = builder(&server, &budget).min_idle(1).build().unwrap();
    let b = pool(&server, &budget);
    drop(join_all([a.get(), a.get()]).await);
    let lease = get(&b).await;
    let mut waiting = pin!(b.get());
    let lease_of_a = a.get_owned().await.unwrap();
    drop(a);
    assert!(
        timeout(secs(1), waiting.as_mut())
            .await
            .is_ok_and(|lease| lease.is_ok())
    );
    drop(lease_of_a);
    sleep(secs(5)).await;
    assert_eq!(
        (budget.status().connections, budget.status().reserved),
        (2, 0)
    );
    drop(lease);
    assert_eq!(b.close().await.abandoned, 0);
    assert_eq!((budget.status().connections, server.open()), (0, 0));
}
