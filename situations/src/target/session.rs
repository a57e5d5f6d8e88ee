//! What a PostgreSQL session must be like for each user: as it was made.

use cenote_postgres::tokio_postgres::Row;

use crate::trouble::Trouble;

/// One row of what users leave in a session.
pub const LOOK: &str = "SELECT current_setting('application_name'), current_setting('search_path'), \
     coalesce(current_setting('cenote.trace', true), ''), \
     pg_current_xact_id_if_assigned() IS NOT NULL, \
     (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory')";

/// Whether nobody's traces are in that row.
pub fn judge(row: &Row) -> Result<(), Trouble> {
    let read = || {
        Some((
            row.try_get::<_, String>(0).ok()?,
            row.try_get::<_, String>(1).ok()?,
            row.try_get::<_, String>(2).ok()?,
            row.try_get::<_, bool>(3).ok()?,
            row.try_get::<_, i64>(4).ok()?,
        ))
    };
    let Some((application, path, trace, in_transaction, locks)) = read() else {
        return Err(Trouble::Leak(
            "the answer to another question than what the session is like".into(),
        ));
    };
    let found = match (&*application, &*path, &*trace, in_transaction, locks) {
        ("", "\"$user\", public", "", false, 0) => return Ok(()),
        (_, _, _, true, _) => "an open transaction of another user".to_owned(),
        (_, _, _, _, 1..) => format!("{locks} advisory locks of another user"),
        _ => format!("settings of another user: {application:?}, {path:?}, {trace:?}"),
    };
    Err(Trouble::Leak(found))
}

/// The SQLSTATE of a statement in a transaction that has failed: somebody else's, for one who began none.
pub const IN_FAILED_TRANSACTION: &str = "25P02";
