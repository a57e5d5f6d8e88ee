//! The pools and those who use them.

use std::error::Error;

use cenote::{Budget, Pool};
use cenote_postgres::PostgresConnector;
use tokio::task::JoinSet;

pub type Failure = Box<dyn Error + Send + Sync>;

pub struct Program {
    pub budget: Budget,
    shop: Pool<PostgresConnector>,
    reports: Pool<PostgresConnector>,
    jobs: Pool<PostgresConnector>,
}

/// Users of each pool at once, and what each asks.
const USERS: usize = 40;
const QUESTIONS: usize = 25;

impl Program {
    /// Pools that together have `connections` at most, as a user who is no superuser.
    pub async fn start(url: &str, connections: usize) -> Result<Self, Failure> {
        let admin = Pool::new(PostgresConnector::new(url)?);
        admin
            .get()
            .await?
            .batch_execute("CREATE ROLE app LOGIN")
            .await?;
        admin.close().await;
        let url = url.replacen("postgres@", "app@", 1);

        let budget = Budget::new(connections).named("database");
        // Both together leave the shop some.
        let background = Budget::within(&budget, connections - 4).named("background");
        let builder = |name, budget| -> Result<_, Failure> {
            let connector = PostgresConnector::new(&url)?;
            Ok(Pool::builder(connector)
                .name(name)
                .max_size(connections)
                .budget(budget))
        };
        Ok(Self {
            // Kept ready, whatever the others do.
            shop: builder("shop", &budget)?.min_idle(2).build()?,
            reports: builder("reports", &background)?.build()?,
            jobs: builder("jobs", &background)?.build()?,
            budget,
        })
    }

    pub fn pools(&self) -> [&Pool<PostgresConnector>; 3] {
        [&self.shop, &self.reports, &self.jobs]
    }

    /// Lets the users of all three ask at once; how many answers each pool gave.
    pub async fn serve_all(&self) -> Result<[usize; 3], Failure> {
        let mut users = JoinSet::new();
        for (i, pool) in self.pools().into_iter().enumerate() {
            for _ in 0..USERS {
                let pool = pool.clone();
                users.spawn(async move {
                    for _ in 0..QUESTIONS {
                        let conn = pool.get().await?;
                        conn.query_one("SELECT pg_sleep(0.002)", &[]).await?;
                    }
                    Ok::<_, Failure>(i)
                });
            }
        }
        let mut answers = [0; 3];
        while let Some(user) = users.join_next().await {
            answers[user??] += QUESTIONS;
        }
        Ok(answers)
    }
}
