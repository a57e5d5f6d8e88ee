//! The pools by tenant, and those who use them.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use cenote::report::EventKind;
use cenote::{Keyed, Pool};
use cenote_postgres::tokio_postgres::Config;
use cenote_postgres::{ConfigError, PgConnection, PostgresConnector};
use tokio::task::JoinSet;

pub type Failure = Box<dyn Error + Send + Sync>;

pub type Tenants = Keyed<String, Pool<PostgresConnector>>;

/// Users of each tenant, and what each asks.
pub const USERS: usize = 2;
pub const QUESTIONS: usize = 5;

/// What came of connecting, over all tenants.
#[derive(Default)]
pub struct Dials {
    pub opened: AtomicUsize,
    pub failed: AtomicUsize,
}

/// Pools for the roles of the database at `url`, each with its tenant's name, that have `max_total` connections at most
/// together.
pub fn tenants(url: &str, max_total: usize, dials: &Arc<Dials>) -> Result<Tenants, Failure> {
    let (database, dials): (Config, _) = (url.parse()?, Arc::clone(dials));
    let tenants = Keyed::builder(move |tenant: &String| -> Result<_, ConfigError> {
        // Not pasted into a URL, where a name could be more than a name.
        let mut config = database.clone();
        config.user(tenant);
        let dials = Arc::clone(&dials);
        Ok(Pool::builder(PostgresConnector::from_config(config)?)
            .max_size(4)
            .idle_timeout(Duration::from_secs(30))
            // Many more tenants than connections: all wait for their turn.
            .acquire_timeout(Duration::from_secs(60))
            .on_event(move |event| match event.kind {
                EventKind::Opened { .. } => _ = dials.opened.fetch_add(1, Relaxed),
                EventKind::ConnectFailed { .. } => _ = dials.failed.fetch_add(1, Relaxed),
                _ => {}
            }))
    });
    Ok(tenants.name("tenants").max_total(max_total).build()?)
}

/// Makes a role for each tenant, with a schema of its name, which is where PostgreSQL looks first for tables, and in it a
/// table of what belongs to the tenant. A superuser's work.
pub async fn move_in(url: &str, tenants: usize) -> Result<Vec<String>, Failure> {
    let admin = Pool::new(PostgresConnector::new(url)?);
    let names: Vec<_> = (0..tenants)
        .map(|tenant| format!("tenant_{tenant}"))
        .collect();
    let conn = admin.get().await?;
    for name in &names {
        conn.batch_execute(&format!(
            "CREATE ROLE {name} LOGIN;
             CREATE SCHEMA AUTHORIZATION {name} CREATE TABLE notes (owner text NOT NULL);
             INSERT INTO {name}.notes VALUES ('{name}');"
        ))
        .await?;
    }
    drop(conn);
    // So that its connection is not one of those that the server permits.
    admin.close().await;
    Ok(names)
}

/// Lets the users of all tenants ask at once; how many answers each tenant was given.
pub async fn serve_all(tenants: &Tenants, names: &[String]) -> Result<Vec<usize>, Failure> {
    let mut users = JoinSet::new();
    for (i, name) in names.iter().enumerate() {
        for _ in 0..USERS {
            let (tenants, name) = (tenants.clone(), name.clone());
            users.spawn(async move {
                for _ in 0..QUESTIONS {
                    let conn = tenants.get(&name).await?;
                    ask(&conn, &name).await?;
                }
                Ok::<_, Failure>(i)
            });
        }
    }
    let mut answers = vec![0; names.len()];
    while let Some(user) = users.join_next().await {
        answers[user??] += QUESTIONS;
    }
    Ok(answers)
}

/// Reads the tenant's table. Nobody but the tenant may, and each has another.
async fn ask(conn: &PgConnection, tenant: &str) -> Result<(), Failure> {
    let sql = "SELECT current_user::text, owner FROM notes";
    let row = conn.query_one_cached(sql, &[]).await?;
    let (user, owner): (&str, &str) = (row.get(0), row.get(1));
    if [user, owner] != [tenant; 2] {
        return Err(format!("{tenant} was served as {user}, with what is {owner}'s").into());
    }
    Ok(())
}
