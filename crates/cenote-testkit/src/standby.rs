//! What makes a PostgreSQL cluster the standby of another server, and a primary again.

use crate::account::Account;
use crate::cluster;
use crate::error::ServerError;
use crate::programs;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// What a server needs so that standbys can follow it, now or once it is the primary. Enough of the log is kept for one
/// that was away for the time of a test.
pub(crate) const SETTINGS: [(&str, &str); 3] = [
    ("wal_level", "replica"),
    ("max_wal_senders", "10"),
    ("wal_keep_size", "256MB"),
];

/// Makes the cluster in `folder` a copy of what the server on `port` has. The folder is given to `account`.
pub(crate) fn copy(folder: &Path, account: Option<Account>, port: u16) -> Result<(), ServerError> {
    if let Some(account) = account {
        account.take(folder)?;
    }
    let mut copy = cluster::command(&programs::postgres("pg_basebackup")?, account);
    copy.current_dir(folder)
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .args(["--username", cluster::SUPERUSER, "--no-password"])
        .args(["--checkpoint", "fast", "--no-sync", "--no-manifest"])
        .arg("--pgdata")
        .arg(cluster::data(folder));
    cluster::run(copy)
}

/// Has the server of the cluster in `folder`, which is down, follow the one on `port` when it starts.
pub(crate) fn follow(
    folder: &Path,
    account: Option<Account>,
    port: u16,
) -> Result<(), ServerError> {
    let data = cluster::data(folder);
    let signal = data.join("standby.signal");
    File::create(&signal).map_err(ServerError::system("make a standby"))?;
    if let Some(account) = account {
        // The server opens it for writing.
        account.take(&signal)?;
    }
    // The last line counts.
    let mut settings = File::options()
        .append(true)
        .open(data.join("postgresql.auto.conf"))
        .map_err(ServerError::system("open the server's settings"))?;
    let (host, user) = ("127.0.0.1", cluster::SUPERUSER);
    writeln!(
        settings,
        "primary_conninfo = 'host={host} port={port} user={user}'"
    )
    .map_err(ServerError::system("write the server's settings"))
}

/// Asks the server of the cluster in `folder`, a standby, to become a primary.
pub(crate) fn promote(folder: &Path, account: Option<Account>) -> Result<(), ServerError> {
    let mut promote = cluster::command(&programs::postgres("pg_ctl")?, account);
    promote
        .current_dir(folder)
        .args(["promote", "--no-wait", "--silent", "--pgdata"])
        .arg(cluster::data(folder));
    cluster::run(promote)
}
