//! Clones of a shared connection: a pool behind `DynPool` leases them, and none keeps a session that the pool has closed.

mod fixture;

use cenote::SharedPool;
use cenote::any::DynPool;
use cenote_postgres::{PipelinedConnection, PipelinedConnector, PipelinedError};
use fixture::{DEADLINE, eventually, named, server, sessions, single};

fn pool(application: &str) -> SharedPool<PipelinedConnector> {
    SharedPool::builder(PipelinedConnector::from(named(server(), application)))
        .max_size(1)
        .acquire_timeout(DEADLINE)
        .connect_timeout(DEADLINE)
        .build()
        .expect("settings are valid")
}

async fn number(conn: &PipelinedConnection, sql: &str) -> Result<i64, PipelinedError> {
    Ok(conn.query_one(sql, &[]).await?.get(0))
}

/// Code that takes any pool of shared sessions, of whatever kind.
#[tokio::test]
async fn a_shared_pool_is_used_behind_one_shape_for_all() {
    let shared = pool("behind");
    let pool: DynPool<PipelinedConnection> = DynPool::new(shared.clone());
    let (one, other) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    let (one, other) = tokio::join!(
        number(&one, "SELECT 1::int8"),
        number(&other, "SELECT 2::int8")
    );
    assert_eq!((one.unwrap(), other.unwrap()), (1, 2));
    assert_eq!(shared.counters().opened, 1);
}

/// The server has no more sessions than the pool says.
#[tokio::test]
async fn a_clone_that_outlives_the_pool_keeps_no_session() {
    let (watching, application) = (single(), "kept");
    let observer = watching.get().await.unwrap();
    let pool = pool(application);
    let lease = pool.get().await.unwrap();
    let kept = PipelinedConnection::clone(&lease);
    assert_eq!(number(&kept, "SELECT 1::int8").await.unwrap(), 1);
    drop(lease);
    pool.close().await;
    eventually("the session ended", async || {
        sessions(&observer, application).await == 0
    })
    .await;
    let error = number(&kept, "SELECT 1::int8").await.unwrap_err();
    assert!(matches!(error, PipelinedError::Closed { .. }), "{error}");
}
