//! The parts of `examples/tenants` on a real server: a pool for each of many tenants, never more connections than the
//! server permits all of them.

#[path = "../examples/tenants/parts.rs"]
mod parts;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use cenote_testkit::PostgresServer;
use parts::{Dials, Tenants};

const TENANTS: usize = 60;
/// What the server permits all tenants together.
const OURS: usize = 10;
const RESERVED: usize = 3;

/// A server that says in its log why it refused whom, and pools for its tenants.
struct Program {
    server: PostgresServer,
    names: Vec<String>,
    tenants: Tenants,
    dials: Arc<Dials>,
}

impl Program {
    async fn start(tenants: usize) -> Self {
        let server = PostgresServer::builder()
            .setting("max_connections", (OURS + RESERVED).to_string())
            .setting("superuser_reserved_connections", RESERVED.to_string())
            .setting("log_line_prefix", "SQLSTATE %e ")
            .start()
            .expect("PostgreSQL starts");
        let names = parts::move_in(&server.url(), tenants).await;
        let dials = Arc::default();
        Self {
            names: names.expect("the tenants move in"),
            tenants: parts::tenants(&server.url(), OURS, &dials).expect("the settings are valid"),
            server,
            dials,
        }
    }

    fn says_too_many(&self) -> bool {
        self.server.log().contains("SQLSTATE 53300")
    }
}

/// The server refuses the eleventh connection, and with it any that is opened before it has ended another. Each question is
/// answered with who asks and whose table was read, which must be the tenant's both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_many_tenants_is_served_as_itself_and_the_server_refuses_no_connection() {
    let program = Program::start(TENANTS).await;
    let answers = parts::serve_all(&program.tenants, &program.names).await;
    let answers = answers.expect("all are served, as themselves");
    assert_eq!(answers, [parts::USERS * parts::QUESTIONS; TENANTS]);
    assert!(!program.says_too_many(), "{}", program.server.log());
    assert_eq!(program.dials.failed.load(Relaxed), 0);
    // So they took the connections from each other.
    assert!(program.dials.opened.load(Relaxed) >= TENANTS);
}

/// What the other test goes by: that the server says so, were there one connection more.
#[tokio::test]
async fn with_as_many_leases_as_the_server_permits_one_connection_more_is_refused() {
    let program = Program::start(OURS + 1).await;
    let mut leases = Vec::new();
    for name in &program.names[..OURS] {
        leases.push(program.tenants.get(name).await.expect("a lease"));
    }
    assert!(!program.says_too_many(), "{}", program.server.log());
    let more = parts::tenants(&program.server.url(), 1, &Arc::default()).expect("valid");
    let refused = more.get(&program.names[OURS]).await.map(drop);
    let error = refused.expect_err("there is no room").to_string();
    assert!(error.contains("53300"), "{error}");
    assert!(program.says_too_many());
}

/// A name that the server does not know is an error of those who use it, and takes no connection from anybody.
#[tokio::test]
async fn a_tenant_that_does_not_exist_is_told_so_while_others_are_served() {
    let program = Program::start(2).await;
    let lease = program
        .tenants
        .get(&program.names[0])
        .await
        .expect("a lease");
    let unknown = program.tenants.get("nobody").await.map(drop);
    let error = unknown.expect_err("there is no such role").to_string();
    assert!(
        error.contains("tenants[\"nobody\"]") && error.contains("role \"nobody\" does not exist"),
        "{error}"
    );
    drop(lease);
    for name in &program.names {
        drop(program.tenants.get(name).await.expect("a lease"));
    }
}
