//! The parts of `examples/three_pools` on a real server: three pools, never more connections than it permits.

#[path = "../examples/three_pools/parts.rs"]
mod parts;

use cenote_testkit::PostgresServer;
use parts::Program;

/// What the server permits, and of that keeps for superusers.
const MAX_CONNECTIONS: &str = "20";
const RESERVED: &str = "3";
const OURS: usize = 17;

fn server() -> PostgresServer {
    PostgresServer::builder()
        .setting("max_connections", MAX_CONNECTIONS)
        .setting("superuser_reserved_connections", RESERVED)
        .start()
        .expect("PostgreSQL starts")
}

/// A user who is no superuser is refused the eighteenth (SQLSTATE 53300), and with it any connection that is opened
/// before the server has ended another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_pools_serve_all_their_users_and_the_server_refuses_no_connection() {
    let server = server();
    let program = Program::start(&server.url(), OURS)
        .await
        .expect("it starts");
    let answers = program.serve_all().await.expect("all are served");
    assert_eq!(answers, [1_000; 3]);
    let status = program.budget.status();
    assert!(status.connections <= OURS, "{status}");
    for pool in program.pools() {
        let counters = pool.counters();
        assert_eq!(
            counters.connect_failed,
            0,
            "{}\n{}",
            pool.inspect(),
            server.log()
        );
        assert_eq!(counters.timed_out, 0, "{}", pool.name());
    }
    let opened: u64 = program
        .pools()
        .map(|pool| pool.counters().opened)
        .iter()
        .sum();
    assert!(opened >= OURS as u64, "{opened}");
}
