//! Three parts of a program, each with a pool of its own, share the connections that one PostgreSQL permits: the shop's
//! pages, which must never wait for the others, reports that come in bursts, and jobs in the background.
//!
//! ```sh
//! cargo run -p cenote-postgres --example three_pools
//! ```

mod parts;

use std::process::ExitCode;

use cenote_testkit::PostgresServer;

/// The server keeps three of its connections for superusers: they are not ours to have.
const MAX_CONNECTIONS: u32 = 20;
const RESERVED_BY_SERVER: u32 = 3;

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::args().len() > 1 {
        println!(
            "Three pools share the connections of one PostgreSQL, which is started here and must be installed.\n\n\
             Usage: three_pools"
        );
        return ExitCode::SUCCESS;
    }
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("three_pools: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), parts::Failure> {
    let server = PostgresServer::builder()
        .setting("max_connections", MAX_CONNECTIONS.to_string())
        .setting(
            "superuser_reserved_connections",
            RESERVED_BY_SERVER.to_string(),
        )
        .start()?;
    let ours = MAX_CONNECTIONS - RESERVED_BY_SERVER;
    let program = parts::Program::start(&server.url(), ours as usize).await?;
    let busy = program.serve_all().await?;
    println!("{}", program.budget.status());
    for (pool, asked) in program.pools().into_iter().zip(busy) {
        let counters = pool.counters();
        println!(
            "  {:<8}{asked} questions answered on {} connections, of which {} went to another pool",
            pool.name(),
            counters.opened,
            counters.closed_by(cenote::report::CloseReason::Budget)
        );
    }
    Ok(())
}
