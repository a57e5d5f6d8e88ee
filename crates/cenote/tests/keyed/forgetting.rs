use crate::Servers;
use crate::server::{Act, ms, pass, secs};

#[tokio::test(start_paused = true)]
async fn a_key_is_forgotten_when_its_last_connection_has_idled_out() {
    let servers = Servers::new();
    let pools = servers
        .keyed(|pool| pool.idle_timeout(secs(30)))
        .build()
        .unwrap();
    for key in 0..100 {
        drop(pools.get(&key).await.unwrap());
    }
    pass(secs(25)).await;
    drop(pools.get(&7).await.unwrap());
    pass(secs(15)).await;
    assert_eq!(
        (pools.len(), servers.open()),
        (1, 1),
        "the one that was used"
    );
    pass(secs(30)).await;
    assert_eq!((pools.len(), servers.open()), (0, 0));
    assert_eq!(pools.get(&7).await.unwrap().key, 7, "and is made anew");
}

#[tokio::test(start_paused = true)]
async fn a_key_is_forgotten_when_its_last_connection_breaks() {
    let servers = Servers::new();
    let pools = servers
        .keyed(|pool| pool.idle_timeout(None).keepalive(None).max_lifetime(None))
        .build()
        .unwrap();
    for _ in 0..3 {
        let lease = pools.get(&1).await.unwrap();
        // For so long that the pool rests.
        pass(secs(60)).await;
        cenote::OwnedLease::discard(lease);
        assert!(pools.is_empty());
    }
}

/// go #33849, undici #4425: keys that were removed while somebody waited there, or connected.
#[tokio::test(start_paused = true)]
async fn a_key_with_a_lease_a_waiter_a_dial_or_a_handle_is_not_forgotten() {
    let servers = Servers::new();
    let pools = servers
        .keyed(|pool| pool.max_size(1).idle_timeout(secs(1)))
        .build()
        .unwrap();
    let lease = pools.get(&1).await.unwrap();
    pass(secs(120)).await;
    assert_eq!(pools.len(), 1, "with a lease");

    let asking = tokio::spawn({
        let pools = pools.clone();
        async move { pools.get(&1).timeout(secs(100)).await.map(drop) }
    });
    pass(ms(10)).await;
    servers.at(&1).plan(|plan| plan.connect = Act::Slow);
    cenote::OwnedLease::discard(lease);
    pass(ms(10)).await;
    assert_eq!((pools.len(), pools.status().opening), (1, 1), "with a dial");
    asking.await.unwrap().unwrap();

    let handle = pools.pool(&1).unwrap();
    pass(secs(120)).await;
    assert_eq!((pools.len(), servers.open()), (1, 0), "with a handle");
    drop(handle.get().await.unwrap());
    drop(handle);
    assert_eq!(pools.len(), 1, "with a connection");
    pass(secs(10)).await;
    assert!(pools.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_nothing_was_done_with_leaves_no_key() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool).build().unwrap();
    let handle = pools.pool(&1).unwrap();
    let other = handle.clone();
    drop(handle);
    assert_eq!(pools.len(), 1);
    drop(other);
    assert!(pools.is_empty());
    drop(pools.get(&1));
    assert!(pools.try_get(&1).is_err());
    assert!(pools.is_empty(), "looks make no pool");
}

/// A refusing host is dialled at the pace of its back-off: a pool made anew for each caller would know of no failure.
#[tokio::test(start_paused = true)]
async fn a_key_whose_server_refuses_is_remembered_for_as_long_as_that_paces_its_dials() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool.seed(7)).build().unwrap();
    let server = servers.at(&1);
    server.plan(|plan| plan.connect = Act::Fail);
    for _ in 0..100 {
        assert!(pools.get(&1).timeout(ms(100)).await.is_err());
    }
    // In ten seconds, with delays of up to 2 s.
    assert!(server.dials() < 25, "{}", server.dials());
    assert_eq!(pools.len(), 1);
    pass(secs(10)).await;
    assert!(pools.is_empty(), "and is forgotten then");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_keeps_connections_open_stays() {
    let servers = Servers::new();
    let pools = servers
        .keyed(|pool| pool.min_idle(1).idle_timeout(secs(1)))
        .build()
        .unwrap();
    drop(pools.get(&1).await.unwrap());
    pass(secs(600)).await;
    assert_eq!((pools.len(), servers.open()), (1, 1));
}

/// A million distinct keys leave nothing behind; here as many as a test has time for.
#[tokio::test(start_paused = true)]
async fn keys_that_were_used_once_leave_nothing_behind() {
    let servers = Servers::new();
    let pools = servers
        .keyed(|pool| pool.idle_timeout(secs(1)))
        .build()
        .unwrap();
    for key in 0..5_000 {
        drop(pools.get(&key).await.unwrap());
        if key % 100 == 0 {
            pass(ms(100)).await;
            assert!(pools.len() < 3_000, "{}", pools.len());
        }
    }
    pass(secs(5)).await;
    assert_eq!((pools.len(), servers.open()), (0, 0));
    assert_eq!(pools.status().keys, 0);
}

/// A caller that finds its key on its way out has the key's next pool, and loses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_key_may_be_asked_for_at_the_moment_that_it_is_forgotten() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool.max_size(2)).build().unwrap();
    let users: Vec<_> = (0..8)
        .map(|user| {
            let pools = pools.clone();
            tokio::spawn(async move {
                for use_of_it in 0..500 {
                    let key = (user + use_of_it) % 3;
                    let lease = pools.get(&key).await.unwrap();
                    assert_eq!(lease.key, key);
                    cenote::OwnedLease::discard(lease);
                }
            })
        })
        .collect();
    for user in users {
        user.await.unwrap();
    }
    while !pools.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(servers.open(), 0);
}
