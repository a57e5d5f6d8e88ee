//! A shop whose primary database is switched over while customers order: writers find the new primary by themselves, and
//! readers see nothing of it.
//!
//! ```sh
//! cargo run -p cenote-postgres --example cluster    # starts a primary and a standby of its own
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cenote::Pool;
use cenote_postgres::{PostgresCluster, PostgresConnector};
use cenote_testkit::PostgresServer;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("cluster: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let first = PostgresServer::builder().replicating().start()?;
    let second = PostgresServer::standby_of(&first)?;
    let hosts = format!("{},{}", first.addr(), second.addr());

    // Which of them is the primary, nobody says.
    let cluster = PostgresCluster::new(&format!("postgres://postgres@{hosts}/postgres"))?;
    let primary = cluster
        .primary()
        .max_per_endpoint(8)
        .acquire_timeout(Duration::from_secs(30));
    let (primary, replicas) = (primary.build()?, cluster.replica_or_primary().build()?);

    let conn = primary.get().await?;
    conn.execute("CREATE TABLE orders (id bigserial, item text)", &[])
        .await?;
    drop(conn);
    order(&primary).await?;
    show("before", &primary);

    println!(
        "\n{} is shut down and follows {} from now on, which is promoted",
        first.addr(),
        second.addr()
    );
    first.shut_down()?;
    first.follow(&second)?;
    second.promote()?;
    let promoted = Instant::now();
    // The first may meet a session that was shut down, as with any server that ends.
    while let Err(failure) = order(&primary).await {
        println!("an order failed, and is made again: {failure}");
    }
    println!("orders are taken again after {:.0?}\n", promoted.elapsed());
    show("after", &primary);

    let conn = replicas.get().await?;
    let orders: i64 = conn
        .query_one("SELECT count(*) FROM orders", &[])
        .await?
        .get(0);
    println!("\na reader counts {orders} orders");
    Ok(())
}

fn show(when: &str, primary: &Pool<PostgresConnector>) {
    if let Some(endpoints) = primary.endpoints() {
        println!("{when}: {endpoints}");
    }
}

async fn order(primary: &Pool<PostgresConnector>) -> Result<(), Failure> {
    let conn = primary.get().await?;
    conn.execute_cached("INSERT INTO orders (item) VALUES ($1)", &[&"a book"])
        .await?;
    Ok(())
}
