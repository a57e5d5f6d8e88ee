//! Five hundred tenants on one PostgreSQL that permits a hundred connections: a pool for each, which logs in as that
//! tenant and as nobody else, and a bound on all of them together.
//!
//! ```sh
//! cargo run -p cenote-postgres --example tenants
//! ```
//!
//! Here a tenant is a role with a schema of its own. With a database for each it is `config.dbname(tenant)`; only that
//! five hundred databases take some gigabytes and a while to be made.

mod parts;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use cenote_testkit::PostgresServer;

const TENANTS: usize = 500;
const MAX_CONNECTIONS: u32 = 100;
/// Less than the server permits, of which it keeps three for superusers: other programs want some, too.
const OURS: usize = 80;

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::args().len() > 1 {
        println!(
            "Five hundred tenants share the connections of one PostgreSQL, which is started here and must be installed.\n\n\
             Usage: tenants"
        );
        return ExitCode::SUCCESS;
    }
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("tenants: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), parts::Failure> {
    let server = PostgresServer::builder()
        .max_connections(MAX_CONNECTIONS)
        .setting("superuser_reserved_connections", "3")
        .start()?;
    let names = parts::move_in(&server.url(), TENANTS).await?;
    let dials = Arc::default();
    let tenants = parts::tenants(&server.url(), OURS, &dials)?;
    let start = Instant::now();
    let answers = parts::serve_all(&tenants, &names).await?;
    let fewest = answers.iter().min().copied().unwrap_or_default();
    println!("{}", tenants.status());
    println!(
        "{} questions of {} tenants answered in {:.1?}, {fewest} at least of each",
        answers.iter().sum::<usize>(),
        names.len(),
        start.elapsed()
    );
    println!(
        "{} connections opened, {OURS} at once at most, {} refused",
        dials.opened.load(Relaxed),
        dials.failed.load(Relaxed)
    );
    tenants.close().await;
    Ok(())
}
