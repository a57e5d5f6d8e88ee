//! A shop that sells what it has: many customers order at once, each in a transaction of its own, over
//! a pool of a few connections.
//!
//! ```sh
//! cargo run -p cenote-postgres --example orders                       # starts a server of its own
//! cargo run -p cenote-postgres --example orders -- postgres://me@host/database
//! ```

use std::error::Error;
use std::process::ExitCode;

use cenote::Pool;
use cenote_postgres::{PgConnection, PostgresConnector};
use cenote_testkit::PostgresServer;
use tokio::task::JoinSet;

const HELP: &str = "\
Many customers order at once, over a pool of a few connections.

Usage: orders [URL]

  URL   the PostgreSQL database to use, as postgres://user:password@host:port/database;
        without it, a server of its own is started (PostgreSQL must be installed)

The tables are made in a schema `cenote_orders`, which is dropped at the end.";

const CUSTOMERS: i32 = 500;
const CONNECTIONS: usize = 8;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let url = match (arguments.next(), arguments.next()) {
        (Some(help), _) if matches!(help.as_str(), "-h" | "--help") => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        (_, Some(_)) => {
            eprintln!("{HELP}");
            return ExitCode::FAILURE;
        }
        (url, None) => url,
    };
    match run(url).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("orders: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(url: Option<String>) -> Result<(), Failure> {
    // The server, if it is ours, lives until the end of this function.
    let (url, _server) = match url {
        Some(url) => (url, None),
        None => {
            let server = PostgresServer::start()?;
            (server.url(), Some(server))
        }
    };
    // What each session needs is told to the connector, not set by hand: a reset would undo it.
    let connector = PostgresConnector::new(&url)?.setup("SET search_path = cenote_orders");
    println!("{CUSTOMERS} customers, {CONNECTIONS} connections to {connector}");
    let pool = Pool::builder(connector)
        .name("orders")
        .max_size(CONNECTIONS)
        .build()?;

    open_shop(&*pool.get().await?).await?;
    let sold = sell(&pool).await;
    report(&*pool.get().await?).await?;
    pool.get()
        .await?
        .batch_execute("DROP SCHEMA cenote_orders CASCADE")
        .await?;
    println!("{} customers got what they wanted", sold?);

    let counters = pool.counters();
    println!(
        "{} leases on {} connections, {} waited for one; {} sessions were reset",
        counters.gets, counters.opened, counters.waited, counters.resets
    );
    pool.close().await;
    Ok(())
}

async fn open_shop(conn: &PgConnection) -> Result<(), Failure> {
    conn.batch_execute(
        "CREATE SCHEMA cenote_orders;
         CREATE TABLE stock (product text PRIMARY KEY, pieces int NOT NULL CHECK (pieces >= 0));
         CREATE TABLE orders (id bigserial PRIMARY KEY, customer int NOT NULL,
                              product text NOT NULL REFERENCES stock);
         INSERT INTO stock VALUES ('tea', 200), ('coffee', 150), ('cocoa', 20);",
    )
    .await?;
    Ok(())
}

/// Lets all customers order at once, and counts those who were served.
async fn sell(pool: &Pool<PostgresConnector>) -> Result<usize, Failure> {
    let mut customers = JoinSet::new();
    for customer in 0..CUSTOMERS {
        let pool = pool.clone();
        let product = ["tea", "coffee", "cocoa"][customer as usize % 3];
        customers.spawn(async move {
            let mut conn = pool.get().await?;
            order(&mut conn, customer, product).await
        });
    }
    let mut sold = 0;
    while let Some(outcome) = customers.join_next().await {
        sold += usize::from(outcome??);
    }
    Ok(sold)
}

/// Takes a piece out of the stock and writes the order down, both or neither.
async fn order(conn: &mut PgConnection, customer: i32, product: &str) -> Result<bool, Failure> {
    let transaction = conn.transaction().await?;
    let taken = transaction
        .execute_cached(
            "UPDATE stock SET pieces = pieces - 1 WHERE product = $1 AND pieces > 0",
            &[&product],
        )
        .await?;
    if taken == 0 {
        transaction.rollback().await?;
        return Ok(false);
    }
    transaction
        .execute_cached(
            "INSERT INTO orders (customer, product) VALUES ($1, $2)",
            &[&customer, &product],
        )
        .await?;
    transaction.commit().await?;
    Ok(true)
}

async fn report(conn: &PgConnection) -> Result<(), Failure> {
    let rows = conn
        .query_cached(
            "SELECT product, count(orders.id), pieces FROM stock LEFT JOIN orders USING (product)
             GROUP BY product, pieces ORDER BY product",
            &[],
        )
        .await?;
    for row in rows {
        let (product, sold, left): (&str, i64, i32) = (row.get(0), row.get(1), row.get(2));
        println!("  {product:<8}{sold:>4} sold{left:>5} left");
    }
    Ok(())
}
