//! One shape for pools by key: ours, none, the user's own.

use std::io;
use std::sync::Arc;

use cenote::any::{BoxFuture, DynKeyed, DynLease, ErasedKeyed, UnpooledKeyed};
use cenote::{Connect, Dial, GetError, Keyed, Multiplex, Pool, SharedPool, Verdict};
use futures::FutureExt;

use crate::server::{Act, Conn, Refused, Server, ms, pass, secs};

/// A connection that others may have a clone of, and the tenant that it was opened for.
#[derive(Clone)]
struct Session {
    tenant: String,
    conn: Arc<Conn>,
}

/// Opens sessions of one tenant.
struct Tenant {
    name: String,
    server: Server,
}

impl Connect for Tenant {
    type Connection = Session;
    type Error = Refused;

    async fn connect(&self, dial: &Dial) -> Result<Session, Refused> {
        let conn = Arc::new(self.server.connect(dial).await?);
        let tenant = self.name.clone();
        Ok(Session { tenant, conn })
    }

    fn verdict(&self, _: &mut Session) -> Verdict {
        Verdict::Reuse
    }
}

impl Multiplex for Tenant {
    fn capacity(&self, _: &Session) -> usize {
        2
    }
}

/// A user's own: a new connection each time.
struct Own(Server);

impl ErasedKeyed<str, Session> for Own {
    fn get<'a>(&'a self, tenant: &'a str) -> BoxFuture<'a, Result<DynLease<Session>, GetError>> {
        let (tenant, conn) = (tenant.to_owned(), Arc::new(self.0.conn()));
        Box::pin(async { Ok(DynLease::new(Box::new(Session { tenant, conn }))) })
    }
}

/// What is behind the one shape, and the server that it connects to.
struct Kind {
    name: &'static str,
    pools: DynKeyed<str, Session>,
    server: Server,
}

/// Whose connector cannot be had.
const AT_FAULT: &str = "nobody";

fn tenant(server: &Server) -> impl Fn(&str) -> io::Result<Tenant> + Send + Sync + 'static {
    let server = server.clone();
    move |name| match name {
        AT_FAULT => Err(io::Error::other("there is no such tenant")),
        _ => Ok(Tenant {
            name: name.into(),
            server: server.clone(),
        }),
    }
}

fn exclusive(server: &Server, max_size: usize) -> Keyed<String, Pool<Tenant>> {
    let tenant = tenant(server);
    let pool =
        move |name: &String| Ok::<_, io::Error>(Pool::builder(tenant(name)?).max_size(max_size));
    Keyed::builder(pool).name("tenants").build().unwrap()
}

fn shared(server: &Server, max_size: usize) -> Keyed<String, SharedPool<Tenant>> {
    let tenant = tenant(server);
    let pool = move |name: &String| {
        Ok::<_, io::Error>(SharedPool::builder(tenant(name)?).max_size(max_size))
    };
    Keyed::builder(pool).name("tenants").build().unwrap()
}

/// Each kind, behind the one type.
fn every_kind() -> Vec<Kind> {
    let kind = |name, pools: &dyn Fn(&Server) -> DynKeyed<str, Session>| {
        let server = Server::default();
        let pools = pools(&server);
        Kind {
            name,
            pools,
            server,
        }
    };
    vec![
        kind("none", &|server| {
            DynKeyed::new(UnpooledKeyed::new(tenant(server)))
        }),
        kind("exclusive", &|server| DynKeyed::new(exclusive(server, 2))),
        kind("shared", &|server| DynKeyed::new(shared(server, 2))),
        kind("the user's own", &|server| {
            DynKeyed::new(Own(server.clone()))
        }),
    ]
}

impl Kind {
    fn is_ours(&self) -> bool {
        matches!(self.name, "exclusive" | "shared")
    }
}

/// What a program does with pools by key, whatever they are: how many connections it took.
async fn serve(pools: &DynKeyed<str, Session>, server: &Server) -> usize {
    for _ in 0..3 {
        for tenant in ["acme", "umbrella"] {
            let lease = pools.get(tenant).await.unwrap();
            assert_eq!(lease.tenant, tenant);
            drop(lease);
            pass(ms(1)).await;
        }
    }
    server.connected()
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_pools_by_key_serves_the_same_program() {
    for kind in every_kind() {
        let connected = serve(&kind.pools.clone(), &kind.server).await;
        let (expected, open) = if kind.is_ours() { (2, 2) } else { (6, 0) };
        assert_eq!(
            (connected, kind.server.open()),
            (expected, open),
            "{}",
            kind.name
        );
        let keys = kind.pools.status().map(|status| status.keys);
        assert_eq!(keys, kind.is_ours().then_some(2), "{}", kind.name);
    }
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_pools_by_key_is_closed_in_the_same_way() {
    for kind in every_kind() {
        drop(kind.pools.get("acme").await.unwrap());
        // At once, awaited or not.
        drop(kind.pools.close());
        let is_closed = matches!(kind.pools.get("acme").await, Err(GetError::Closed { .. }));
        assert_eq!(is_closed, kind.is_ours(), "{}", kind.name);
        kind.pools.close().await;
        pass(ms(1)).await;
        assert_eq!(kind.server.open(), 0, "{}", kind.name);
    }
}

#[tokio::test(start_paused = true)]
async fn the_holder_of_a_shared_lease_by_key_can_change_its_clone() {
    let server = Server::default();
    let pools: DynKeyed<str, Session> = DynKeyed::new(shared(&server, 1));
    let first = pools.get("acme").await.unwrap();
    let mut second = pools.get("acme").await.unwrap();
    assert!(Arc::ptr_eq(&first.conn, &second.conn));
    second.tenant.push_str(", changed");
    assert_eq!(first.tenant, "acme");
}

#[tokio::test(start_paused = true)]
async fn a_get_by_key_that_is_dropped_in_the_queue_loses_nothing() {
    for kind in ["exclusive", "shared"] {
        let server = Server::default();
        let pools: DynKeyed<str, Session> = match kind {
            "exclusive" => DynKeyed::new(exclusive(&server, 1)),
            _ => DynKeyed::new(shared(&server, 1)),
        };
        let places = if kind == "exclusive" { 1 } else { 2 };
        let mut held = Vec::new();
        for _ in 0..places {
            held.push(pools.get("acme").await.unwrap());
        }
        let mut dropped = pools.get("acme");
        let mut waits = pools.get("acme");
        assert!((&mut dropped).now_or_never().is_none() && (&mut waits).now_or_never().is_none());
        drop(dropped);
        assert_eq!(pools.status().unwrap().waiters, 1, "{kind}");
        // Those who wait behind have the turn of the one who left.
        drop(held.pop());
        drop(waits.now_or_never().expect("served").unwrap());
        drop(held);
        let status = pools.status().unwrap();
        assert_eq!((status.leased, status.waiters), (0, 0), "{kind}");
        assert_eq!(server.connected(), 1, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_get_by_key_that_is_dropped_as_it_connects_leaves_the_dial_to_the_pool() {
    for kind in every_kind()
        .into_iter()
        .filter(|kind| kind.name != "the user's own")
    {
        kind.server.plan(|plan| plan.connect = Act::Slow);
        let mut get = kind.pools.get("acme");
        assert!((&mut get).now_or_never().is_none(), "{}", kind.name);
        pass(ms(1)).await;
        drop(get);
        pass(secs(1)).await;
        // Where there is no pool, nobody is left who would have it.
        let kept = usize::from(kind.is_ours());
        assert_eq!(
            (kind.server.connected(), kind.server.open()),
            (kept, kept),
            "{}",
            kind.name
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_get_by_key_that_is_never_polled_leaves_no_key() {
    let server = Server::default();
    let pools: DynKeyed<str, Session> = DynKeyed::new(exclusive(&server, 1));
    drop(pools.get("acme"));
    assert_eq!((pools.status().unwrap().keys, server.dials()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_call_site_and_the_label_of_an_erased_lease_reach_the_pool_of_its_key() {
    let server = Server::default();
    let keyed = exclusive(&server, 1);
    let pools: DynKeyed<str, Session> = DynKeyed::new(keyed.clone());
    let lease = pools.get("acme").await.unwrap();
    let line = line!() - 1;
    DynLease::set_label(&lease, "checkout");
    let holders = keyed.find("acme").unwrap().inspect().holders();
    let [holder] = &*holders else {
        panic!("one lease is out: {holders:?}");
    };
    assert_eq!(
        (holder.call_site.file(), holder.call_site.line()),
        (file!(), line)
    );
    assert_eq!(holder.label, Some("checkout"));
}

#[tokio::test(start_paused = true)]
async fn an_erased_lease_by_key_that_is_discarded_or_retired_is_closed() {
    for kind in every_kind() {
        let first = kind.pools.get("acme").await.unwrap();
        DynLease::discard(first);
        let second = kind.pools.get("acme").await.unwrap();
        assert_eq!(second.conn.id, 1, "{}", kind.name);
        DynLease::retire(&second);
        drop(second);
        pass(ms(1)).await;
        assert_eq!(kind.server.open(), 0, "{}", kind.name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_at_fault_is_told_by_every_kind_with_the_cause() {
    for kind in every_kind()
        .into_iter()
        .filter(|kind| kind.name != "the user's own")
    {
        let error = kind.pools.get(AT_FAULT).await.map(drop).unwrap_err();
        let pools = if kind.is_ours() { "tenants" } else { "none" };
        assert_eq!(
            error.to_string(),
            format!("pool {pools}: cannot be set up for this key: there is no such tenant")
        );
        assert!(error.downcast_ref::<io::Error>().is_some(), "{}", kind.name);
    }
}

#[tokio::test(start_paused = true)]
async fn without_pools_a_panic_as_the_connector_is_made_is_an_error_of_the_caller() {
    let server = Server::default();
    let pools = UnpooledKeyed::new(move |tenant: &str| {
        assert_ne!(tenant, AT_FAULT, "told to");
        server.clone()
    });
    let error = pools.get(AT_FAULT).await.unwrap_err();
    assert!(error.to_string().contains("it panicked"), "{error}");
    assert_eq!(pools.get("acme").await.unwrap().id, 0);
}

/// Connections are told apart by the ids in what their connectors are told, whatever their keys.
#[tokio::test(start_paused = true)]
async fn without_pools_connections_of_all_keys_are_numbered_together() {
    let server = Server::default();
    let told = server.clone();
    let pools = UnpooledKeyed::with_timeout(move |_: &u32| told.clone(), secs(1));
    for key in 0..3 {
        drop(pools.get(&key).await.unwrap());
        pass(ms(1)).await;
    }
    let stories = server.seen.stories.lock().unwrap();
    let mut ids: Vec<_> = stories.iter().map(|(_, info)| info.id).collect();
    ids.dedup();
    assert_eq!(ids, [1, 2, 3]);
}
