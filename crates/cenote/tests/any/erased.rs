//! One shape for every pool: ours, none, the user's own.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use cenote::any::{BoxFuture, DynLease, DynPool, ErasedPool, Unpooled};
use cenote::report::{CloseReason, EventKind};
use cenote::{Connect, Dial, GetError, Multiplex, Pool, SharedPool, Verdict, blocking};

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

/// A connector of handles, for every kind of pool.
#[derive(Clone, Default)]
struct Handles(Arc<AtomicUsize>);

/// What is behind a handle: its number.
type Handle = Arc<usize>;

impl Handles {
    fn open(&self) -> Handle {
        Arc::new(self.0.fetch_add(1, SeqCst))
    }
}

impl Connect for Handles {
    type Connection = Handle;
    type Error = Infallible;

    async fn connect(&self, _: &Dial) -> Result<Handle, Infallible> {
        Ok(self.open())
    }

    fn verdict(&self, _: &mut Handle) -> Verdict {
        Verdict::Reuse
    }
}

impl Multiplex for Handles {
    fn capacity(&self, _: &Handle) -> usize {
        2
    }
}

impl blocking::Connect for Handles {
    type Connection = Handle;
    type Error = Infallible;

    fn connect(&self) -> Result<Handle, Infallible> {
        Ok(self.open())
    }

    fn verdict(&self, _: &mut Handle) -> Verdict {
        Verdict::Reuse
    }
}

impl ErasedPool<Handle> for Handles {
    fn get(&self) -> BoxFuture<'_, Result<DynLease<Handle>, GetError>> {
        Box::pin(async { Ok(DynLease::new(Box::new(self.open()))) })
    }
}

/// Each kind by its name, in one place.
fn every_kind() -> Vec<(&'static str, DynPool<Handle>)> {
    let handles = Handles::default;
    let exclusive = Pool::builder(handles()).max_size(2).build().unwrap();
    let shared = SharedPool::builder(handles()).max_size(2).build().unwrap();
    let blocking = blocking::Pool::builder(handles()).max_size(2).build();
    vec![
        ("exclusive", DynPool::new(exclusive)),
        ("shared", DynPool::new(shared)),
        ("blocking", DynPool::new(blocking.unwrap())),
        ("none", DynPool::new(Unpooled::new(handles()))),
        ("the user's own", DynPool::new(handles())),
    ]
}

#[tokio::test]
async fn every_kind_of_pool_gives_leases_and_ends_in_one_shape() {
    for (kind, pool) in every_kind() {
        let first = pool.get().await.unwrap();
        let mut second = pool.get().await.unwrap();
        let is_shared = Arc::ptr_eq(&first, &second);
        assert_eq!(is_shared, kind == "shared", "{kind}");
        // To be changed by its holder, whatever others share with it.
        let own: &mut Handle = &mut second;
        assert_eq!(**own, usize::from(!is_shared), "{kind}");
        DynLease::set_label(&second, "second");
        let keeps = !matches!(kind, "none" | "the user's own");
        assert_eq!(pool.status().is_some(), keeps, "{kind}");
        let size = pool.inspect().map(|snapshot| snapshot.connections.len());
        assert_eq!(size, keeps.then_some(2 - usize::from(is_shared)), "{kind}");
        DynLease::retire(&first);
        DynLease::discard(second);
        drop(first);
        pool.close().await;
        let is_closed = matches!(pool.get().await, Err(GetError::Closed { .. }));
        assert_eq!(is_closed, keeps, "{kind}");
        assert_eq!(
            pool.status().map(|status| status.size),
            keeps.then_some(0),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn an_erased_lease_that_is_discarded_is_closed_and_another_opened() {
    for (kind, pool) in every_kind() {
        let first = pool.get().await.unwrap();
        let number = **first;
        DynLease::discard(first);
        assert_eq!(**pool.get().await.unwrap(), number + 1, "{kind}");
    }
}

#[tokio::test]
async fn the_call_site_and_the_label_of_an_erased_lease_are_shown() {
    for (kind, pool) in every_kind() {
        let lease = pool.get().await.unwrap();
        let line = line!() - 1;
        DynLease::set_label(&lease, "checkout");
        let holders = pool
            .inspect()
            .map_or_else(Vec::new, |snapshot| snapshot.holders());
        let told: Vec<_> = holders
            .iter()
            .map(|holder| {
                (
                    holder.call_site.file(),
                    holder.call_site.line(),
                    holder.label,
                )
            })
            .collect();
        match kind {
            "exclusive" | "blocking" => {
                assert_eq!(told, [(file!(), line, Some("checkout"))], "{kind}")
            }
            _ => assert_eq!(told, [], "{kind}"),
        }
    }
}
