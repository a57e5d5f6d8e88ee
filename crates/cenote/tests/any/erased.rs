//! One shape for every pool: ours, none, the user's own.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use cenote::{
    BoxFuture, CloseReason, DynLease, DynPool, ErasedPool, EventKind, GetError, Unpooled,
};

use crate::server::{Act, Conn, Server, ms, pass, secs};

/// A user's own: a new connection each time, counted.
struct Own {
    server: Server,
    gets: AtomicUsize,
}

impl ErasedPool<Conn> for Own {
    fn get(&self) -> BoxFuture<'_, Result<DynLease<Conn>, GetError>> {
        self.gets.fetch_add(1, SeqCst);
        Box::pin(async { Ok(DynLease::new(Box::new(self.server.conn()))) })
    }
}

#[tokio::test(start_paused = true)]
async fn ours_none_and_the_user_s_own_stand_in_one_place() {
    let server = Server::default();
    let pools: Vec<DynPool<Conn>> = vec![
        DynPool::new(server.pool(2)),
        DynPool::new(Unpooled::new(server.clone())),
        DynPool::new(Own {
            server: server.clone(),
            gets: AtomicUsize::new(0),
        }),
    ];
    for pool in pools {
        let first = pool.get().await.unwrap().id;
        let mut second = pool.get().await.unwrap();
        second.dirty = true;
        let reused = first == second.id;
        assert_eq!(
            reused,
            pool.status().is_some(),
            "only ours keeps connections"
        );
        drop(second);
        pool.close().await;
    }
    pass(ms(1)).await;
    assert_eq!(server.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_discarded_lease_of_our_pool_is_closed_though_erased() {
    let server = Server::default();
    let pool = DynPool::new(server.pool(1));
    DynLease::discard(pool.get().await.unwrap());
    assert_eq!(server.open(), 0);
    assert_eq!(pool.get().await.unwrap().id, 1);
}

#[tokio::test(start_paused = true)]
async fn no_pool_connects_each_time_and_says_goodbye() {
    let server = Server::default();
    let pool = Unpooled::with_timeout(server.clone(), secs(1));
    for _ in 0..3 {
        drop(pool.get().await.unwrap());
        pass(ms(1)).await;
        assert_eq!(server.open(), 0);
    }
    assert_eq!(
        (server.connected(), server.seen.goodbyes.load(SeqCst)),
        (3, 3)
    );
    assert_eq!(
        *server.seen.left.lock().unwrap(),
        [CloseReason::MaxIdle; 3],
        "as of a pool that keeps none idle"
    );
}

#[tokio::test(start_paused = true)]
async fn no_pool_tells_why_it_could_not_connect() {
    for (act, words) in [
        (Act::Fail, "refused"),
        (Act::Never, "connect_timeout"),
        (Act::Panic, "told to"),
    ] {
        let server = Server::default();
        server.plan(|plan| plan.connect = act);
        let error = Unpooled::new(server.clone()).get().await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(server.open(), 0);
    }
}

/// The place of a get survives erasure.
#[tokio::test(start_paused = true)]
async fn a_leak_through_an_erased_pool_is_reported_with_its_place() {
    let server = Server::default();
    let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = lines.clone();
    let pool = server
        .builder()
        .leak_threshold(secs(1))
        .on_event(move |event| {
            if let EventKind::Leaked { call_site, .. } = &event.kind {
                told.lock().unwrap().push(call_site.file().to_owned());
            }
        })
        .build()
        .unwrap();
    let pool = DynPool::new(pool);
    let _held = pool.get().await.unwrap();
    pass(secs(3)).await;
    assert_eq!(lines.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_erased_pool_is_closed_at_once_too() {
    let server = Server::default();
    let pool = DynPool::new(server.pool(1));
    drop(pool.close());
    assert!(matches!(pool.get().await, Err(GetError::Closed { .. })));
}
