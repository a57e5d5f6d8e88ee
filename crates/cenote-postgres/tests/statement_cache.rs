//! Prepared statements are prepared once per connection, kept within bounds, and replaced when stale.

mod fixture;

use cenote_postgres::PgConnection;
use fixture::{backend, connector, cut_short, single, single_of, text};

/// How many statements the server holds for this session, beside the one that asks.
async fn prepared(conn: &PgConnection) -> i64 {
    let sql =
        "SELECT count(*) FROM pg_prepared_statements WHERE statement NOT LIKE '%pg_prepared%'";
    conn.query_one(sql, &[])
        .await
        .expect("the query succeeds")
        .get(0)
}

#[tokio::test]
async fn a_statement_is_prepared_once_and_kept_across_leases() {
    let pool = single();
    for _ in 0..5 {
        let conn = pool.get().await.expect("a lease");
        for _ in 0..5 {
            let row = conn.query_one_cached("SELECT $1::int8", &[&7_i64]).await;
            assert_eq!(row.expect("the query succeeds").get::<_, i64>(0), 7);
        }
        assert_eq!(prepared(&conn).await, 1);
        assert_eq!(conn.cached_statements(), 1);
    }
}

#[tokio::test]
async fn a_statement_is_kept_across_a_reset() {
    let pool = single();
    let conn = pool.get().await.expect("a lease");
    conn.query_cached("SELECT 1", &[]).await.expect("it runs");
    conn.execute("SET work_mem = '123MB'", &[])
        .await
        .expect("it runs");
    drop(conn);
    let conn = pool.get().await.expect("the next lease");
    conn.query_cached("SELECT 1", &[]).await.expect("it runs");
    assert_eq!(prepared(&conn).await, 1);
    assert_eq!(pool.counters().resets, 1);
}

#[tokio::test]
async fn an_uncached_statement_is_not_kept() {
    let pool = single();
    let conn = pool.get().await.expect("a lease");
    conn.query("SELECT 1", &[]).await.expect("it runs");
    let mine = conn.prepare("SELECT 2").await.expect("it is prepared");
    conn.query(&mine, &[]).await.expect("it runs");
    drop(mine);
    assert_eq!(prepared(&conn).await, 0);
}

#[tokio::test]
async fn the_least_recently_used_statement_goes_first() {
    let pool = single_of(connector().statement_cache(3));
    let conn = pool.get().await.expect("a lease");
    for sql in ["SELECT 1", "SELECT 2", "SELECT 3", "SELECT 1", "SELECT 4"] {
        conn.query_cached(sql, &[]).await.expect("it runs");
    }
    let sql = "SELECT string_agg(statement, ',' ORDER BY statement) FROM pg_prepared_statements \
               WHERE statement NOT LIKE '%pg_prepared%'";
    assert_eq!(text(&conn, sql).await, "SELECT 1,SELECT 3,SELECT 4");
}

#[tokio::test]
async fn a_cache_of_none_keeps_none() {
    let pool = single_of(connector().statement_cache(0));
    let conn = pool.get().await.expect("a lease");
    conn.query_cached("SELECT 1", &[]).await.expect("it runs");
    assert_eq!(prepared(&conn).await, 0);
}

#[tokio::test]
async fn transactions_share_the_cache() {
    let pool = single();
    let mut conn = pool.get().await.expect("a lease");
    let transaction = conn.transaction().await.expect("it begins");
    transaction
        .query_cached("SELECT 1", &[])
        .await
        .expect("it runs");
    transaction.commit().await.expect("it commits");
    conn.query_cached("SELECT 1", &[]).await.expect("it runs");
    assert_eq!(prepared(&conn).await, 1);
}

#[tokio::test]
async fn a_statement_whose_result_changed_is_prepared_anew() {
    let pool = single();
    let conn = pool.get().await.expect("a lease");
    conn.execute("CREATE TABLE changing AS SELECT 1 AS a", &[])
        .await
        .expect("it runs");
    let row = conn
        .query_one_cached("SELECT * FROM changing", &[])
        .await
        .expect("it runs");
    assert_eq!(row.len(), 1);
    conn.execute("ALTER TABLE changing ADD b int", &[])
        .await
        .expect("it runs");
    drop(conn);
    let conn = pool.get().await.expect("the next lease");
    let row = conn
        .query_one_cached("SELECT * FROM changing", &[])
        .await
        .expect("it runs again");
    assert_eq!(row.len(), 2);
}

#[tokio::test]
async fn in_a_transaction_a_stale_statement_fails_once_and_is_forgotten() {
    let pool = single();
    let mut conn = pool.get().await.expect("a lease");
    conn.execute("CREATE TABLE shifting AS SELECT 1 AS a", &[])
        .await
        .expect("it runs");
    conn.query_one_cached("SELECT * FROM shifting", &[])
        .await
        .expect("it runs");
    conn.execute("ALTER TABLE shifting ADD b int", &[])
        .await
        .expect("it runs");
    drop(conn);
    conn = pool.get().await.expect("the next lease");
    let transaction = conn.transaction().await.expect("it begins");
    let error = transaction
        .query_one_cached("SELECT * FROM shifting", &[])
        .await;
    assert_eq!(
        error
            .expect_err("it is stale")
            .code()
            .map(|code| code.code()),
        Some("0A000")
    );
    transaction.rollback().await.expect("it is rolled back");
    let transaction = conn.transaction().await.expect("it begins");
    let row = transaction
        .query_one_cached("SELECT * FROM shifting", &[])
        .await;
    assert_eq!(row.expect("it runs").len(), 2);
}

#[tokio::test]
async fn a_session_that_lost_its_prepared_statements_is_replaced() {
    for sql in ["DISCARD ALL", "DEALLOCATE ALL"] {
        let pool = single();
        let conn = pool.get().await.expect("a lease");
        let session = backend(&conn).await;
        conn.query_cached("SELECT 1", &[]).await.expect("it runs");
        conn.execute(sql, &[]).await.expect("it runs");
        // Even now the cached statement works: it is prepared anew.
        conn.query_cached("SELECT 1", &[]).await.expect("it runs");
        drop(conn);
        let next = pool.get().await.expect("the next lease");
        assert_ne!(backend(&next).await, session, "{sql}");
    }
}

#[tokio::test]
async fn statements_lost_behind_the_connections_back_are_found_by_the_reset() {
    let pool = single();
    let conn = pool.get().await.expect("a lease");
    let session = backend(&conn).await;
    conn.query_cached("SELECT 1", &[]).await.expect("it runs");
    let client: &tokio_postgres::Client = &conn;
    client
        .batch_execute("DEALLOCATE ALL")
        .await
        .expect("it runs");
    drop(conn);
    let next = pool.get().await.expect("the next lease");
    assert_ne!(backend(&next).await, session);
}

/// Runs statements on another session, as a migration does.
async fn migrate(sql: &str) {
    let pool = single();
    let conn = pool.get().await.expect("a lease");
    conn.batch_execute(sql).await.expect("it runs");
}

/// However it was prepared, a statement that its user holds is renewed, once for all its runs.
#[tokio::test]
async fn a_statement_in_its_users_hand_is_prepared_anew_when_its_table_changed() {
    let pool = single();
    migrate("CREATE TABLE held AS SELECT 1 AS a").await;
    let conn = pool.get().await.expect("a lease");
    let sql = "SELECT * FROM held";
    let cached = conn.prepare_cached(sql).await.expect("it is prepared");
    let own = conn.prepare(sql).await.expect("it is prepared");
    for statement in [&cached, &own] {
        let row = conn.query_one(statement, &[]).await;
        assert_eq!(row.expect("it runs").len(), 1);
    }
    migrate("ALTER TABLE held ADD b int").await;
    for statement in [&cached, &own, &cached, &own] {
        let row = conn.query_one(statement, &[]).await;
        assert_eq!(row.expect("it runs").len(), 2);
    }
    // Beside the two that are held, one was prepared in the place of each.
    assert_eq!(prepared(&conn).await, 4);
    assert_eq!(
        conn.query_one_cached(sql, &[])
            .await
            .expect("it runs")
            .len(),
        2
    );
    assert_eq!(prepared(&conn).await, 4);
}

#[tokio::test]
async fn in_a_transaction_a_statement_in_its_users_hand_fails_once() {
    let pool = single();
    migrate("CREATE TABLE grown AS SELECT 1 AS a").await;
    let mut conn = pool.get().await.expect("a lease");
    let statement = conn
        .prepare_cached("SELECT * FROM grown")
        .await
        .expect("it is prepared");
    migrate("ALTER TABLE grown ADD b int").await;
    let transaction = conn.transaction().await.expect("it begins");
    let stale = transaction
        .query_one(&statement, &[])
        .await
        .expect_err("it is stale");
    assert_eq!(stale.code().map(|code| code.code()), Some("0A000"));
    transaction.rollback().await.expect("it is rolled back");
    let transaction = conn.transaction().await.expect("it begins");
    let row = transaction.query_one(&statement, &[]).await;
    assert_eq!(row.expect("it runs").len(), 2);
}

/// The server's "cache lookup failed for type", and the driver's own memory of types.
#[tokio::test]
async fn a_type_that_was_dropped_and_made_anew_is_looked_up_again() {
    let make = "CREATE TYPE mood AS ENUM ('happy', 'sad'); CREATE TABLE moods (n int, m mood)";
    migrate(make).await;
    let pool = single();
    let conn = pool.get().await.expect("a lease");
    let (insert, select) = (
        "INSERT INTO moods VALUES ($1, $2::text::mood)",
        "SELECT n FROM moods WHERE m = ANY (ARRAY[$1::text::mood])",
    );
    let by_type = "SELECT n FROM moods WHERE m = $1";
    let held = conn.prepare_cached(by_type).await.expect("it is prepared");
    for turn in 0..3 {
        conn.execute_cached(insert, &[&turn, &"sad"])
            .await
            .expect("it inserts");
        let row = conn.query_one_cached(select, &[&"sad"]).await;
        assert_eq!(row.expect("it runs").get::<_, i32>(0), turn);
        let row = conn.query_one(&held, &[&Mood("sad")]).await;
        assert_eq!(row.expect("it runs").get::<_, i32>(0), turn);
        migrate(&format!("DROP TABLE moods; DROP TYPE mood; {make}")).await;
    }
}

/// A value of the enum.
#[derive(Debug)]
struct Mood(&'static str);

impl tokio_postgres::types::ToSql for Mood {
    fn to_sql(
        &self,
        _: &tokio_postgres::types::Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(tokio_postgres::types::IsNull::No)
    }

    fn accepts(kind: &tokio_postgres::types::Type) -> bool {
        // As derived code does, it knows its own labels only.
        let labels = ["happy", "sad", "calm"];
        match kind.kind() {
            tokio_postgres::types::Kind::Enum(known) => {
                known.iter().all(|label| labels.contains(&label.as_str()))
                    && (kind.name() != "temper" || known.len() == 3)
            }
            _ => false,
        }
    }

    tokio_postgres::types::to_sql_checked!();
}

/// What the driver remembers of a type has not the new label: the parameter does not fit, and nothing is sent.
#[tokio::test]
async fn an_enum_that_gained_a_label_is_looked_up_again() {
    migrate("CREATE TYPE temper AS ENUM ('happy', 'sad')").await;
    let pool = single();
    let conn = pool.get().await.expect("a lease");
    let sql = "SELECT $1::temper::text";
    conn.prepare_cached(sql).await.expect("it is prepared");
    migrate("ALTER TYPE temper ADD VALUE 'calm'").await;
    let row = conn.query_one_cached(sql, &[&Mood("calm")]).await;
    assert_eq!(row.expect("it fits now").get::<_, String>(0), "calm");
}

/// Tenants with a schema each: also in a transaction, where a statement of another tenant's could not be retried.
#[tokio::test]
async fn tenants_with_a_search_path_each_have_statements_of_their_own() {
    migrate(
        "CREATE SCHEMA tenant_a; CREATE SCHEMA tenant_b; \
         CREATE TABLE tenant_a.orders AS SELECT 'a' AS whose, 1 AS id; \
         CREATE TABLE tenant_b.orders AS SELECT 2::int8 AS id, 'b' AS whose",
    )
    .await;
    let pool = single();
    let sql = "SELECT whose FROM orders WHERE id::text = $1 AND $2 = (SELECT id FROM orders)";
    for turn in 0..4 {
        let (tenant, id) = if turn % 2 == 0 {
            ("a", "1")
        } else {
            ("b", "2")
        };
        let mut conn = pool.get().await.expect("a lease");
        let transaction = conn.transaction().await.expect("it begins");
        let path = format!("SET LOCAL search_path = tenant_{tenant}");
        transaction.execute(&path, &[]).await.expect("it runs");
        let row = if tenant == "a" {
            transaction.query_one_cached(sql, &[&id, &1_i32]).await
        } else {
            transaction.query_one_cached(sql, &[&id, &2_i64]).await
        };
        assert_eq!(row.expect("it runs").get::<_, String>(0), tenant);
        transaction.commit().await.expect("it commits");
    }
    let conn = pool.get().await.expect("a lease");
    assert_eq!(prepared(&conn).await, 2, "each was prepared once");
}

/// The server itself does not prepare anew what a temporary table has come before.
#[tokio::test]
async fn a_temporary_table_comes_before_the_table_that_a_cached_statement_knows() {
    migrate("CREATE TABLE covered AS SELECT 'table' AS kind").await;
    let pool = single();
    let conn = pool.get().await.expect("a lease");
    let kind = async |conn: &PgConnection| {
        let row = conn.query_one_cached("SELECT kind FROM covered", &[]).await;
        row.expect("it runs").get::<_, String>(0)
    };
    assert_eq!(kind(&conn).await, "table");
    conn.execute(
        "CREATE TEMP TABLE covered AS SELECT 'temporary' AS kind",
        &[],
    )
    .await
    .expect("it runs");
    assert_eq!(kind(&conn).await, "temporary");
    drop(conn);
    let conn = pool.get().await.expect("the next lease");
    assert_eq!(kind(&conn).await, "table");
}

#[tokio::test]
async fn texts_that_never_come_again_do_not_fill_the_cache() {
    let pool = single_of(connector().statement_cache(64));
    let conn = pool.get().await.expect("a lease");
    for number in 0..200 {
        conn.query_cached(&format!("SELECT {number}"), &[])
            .await
            .expect("it runs");
    }
    assert_eq!(conn.cached_statements(), 16);
    assert_eq!(prepared(&conn).await, 16);
}

#[tokio::test]
async fn the_texts_of_a_cache_are_bounded_in_bytes() {
    let pool = single_of(connector().statement_cache_bytes(20_000));
    let conn = pool.get().await.expect("a lease");
    let text = |length: usize| format!("SELECT '{}'", "x".repeat(length));
    conn.query_cached(&text(20_000), &[])
        .await
        .expect("it runs");
    assert_eq!(conn.cached_statements(), 0, "too long to be kept");
    for length in 8_000..8_010 {
        for _ in 0..2 {
            conn.query_cached(&text(length), &[])
                .await
                .expect("it runs");
        }
    }
    assert_eq!(conn.cached_statements(), 2);
}

/// The names of statements are unique to a connection, so that none is taken for another's.
#[tokio::test]
async fn a_statement_of_another_connection_is_prepared_where_it_is_run() {
    let (pool, elsewhere) = (single(), single());
    let (conn, other) = (
        pool.get().await.expect("a lease"),
        elsewhere.get().await.expect("a lease"),
    );
    let statement = conn
        .prepare_cached("SELECT 1")
        .await
        .expect("it is prepared");
    for _ in 0..3 {
        other
            .query_one(&statement, &[])
            .await
            .expect("it runs there");
        conn.query_one(&statement, &[]).await.expect("it runs here");
    }
    assert_eq!((prepared(&conn).await, prepared(&other).await), (1, 1));
}

/// The driver forgets a statement whose preparation is cut short, and the server keeps it until the session ends.
#[tokio::test]
async fn a_statement_whose_preparation_is_cut_short_does_not_outlive_the_lease() {
    const SQL: &str = "SELECT $1::int8";
    let pool = single();
    let mut conn = pool.get().await.expect("a lease");
    conn.query_cached("SELECT 1", &[]).await.expect("it runs");
    let session = backend(&conn).await;
    for turn in 0..21 {
        let polls = 1 + turn / 3 % 3;
        match turn % 3 {
            0 => drop(cut_short(conn.prepare(SQL), polls).await),
            1 => drop(cut_short(conn.prepare_cached(SQL), polls).await),
            _ => drop(cut_short(conn.query(SQL, &[&1_i64]), polls).await),
        }
        conn.clear_statement_cache();
        conn.query_cached("SELECT 1", &[]).await.expect("it runs");
        drop(conn);
        conn = pool.get().await.expect("the next lease");
        assert_eq!(prepared(&conn).await, 1, "turn {turn}, {polls} polls");
    }
    assert_eq!(backend(&conn).await, session);
    let kept = "SELECT statement FROM pg_prepared_statements WHERE statement NOT LIKE '%pg_prep%'";
    assert_eq!(text(&conn, kept).await, "SELECT 1");
}
