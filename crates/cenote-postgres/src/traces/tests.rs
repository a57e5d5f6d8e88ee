use super::*;

fn of(sql: &str) -> Traces {
    Judge::default().of_statement(sql)
}

#[test]
fn statements_on_rows_leave_nothing() {
    for sql in [
        "SELECT 1",
        "  select * from orders where id = $1 for update",
        "insert into orders (id) values ($1) returning id",
        "insert into shop.orders as o (id) values ($1) on conflict (id) do update set (a, b) = (1, 2)",
        "UPDATE orders SET paid = true",
        "UPDATE orders SET (a, b) = (SELECT 1, 2)",
        "DELETE FROM orders",
        "WITH due AS (SELECT 1) SELECT * FROM due",
        "WITH RECURSIVE a (x) AS (VALUES (1)), b(y, z) AS MATERIALIZED (SELECT 1, 2), \"C\"(v) AS (TABLE b) SELECT 1",
        "-- the answer\n/* of /* all */ */ SELECT 42",
        "(SELECT 1) UNION (SELECT 2)",
        "VALUES (1)",
        "SELECT temperature, template FROM attempts",
        "SELECT pg_advisory_xact_lock(1)",
        "SELECT 10 / 2 - 3",
        "SELECT temp FROM readings",
        "INSERT INTO readings (temp) VALUES ($1)",
        "SELECT 'set_config(1)', $$ pg_advisory_lock(1) $$ -- set_config()",
        "SELECT count(*) FILTER (WHERE a IN (1, 2)), row_number() OVER (PARTITION BY (a) ORDER BY (b)) FROM t",
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t GROUP BY GROUPING SETS ((a), (b))",
        "SELECT a::numeric(10, 2), CAST(b AS varchar(3)), COALESCE(a, NULLIF(b, 1)), EXTRACT(year FROM c) FROM t",
        "SELECT * FROM a LEFT JOIN (b JOIN (c CROSS JOIN d) ON (true)) USING (id), LATERAL (SELECT 1) AS x (y)",
        "SELECT * FROM unnest($1, $2) AS t (a, b), generate_series(1, 2) u(v)",
        "SELECT DISTINCT ON (a) lower(b) FROM t WHERE EXISTS (SELECT 1) AND NOT (a BETWEEN (1) AND (2))",
        "SELECT PG_CATALOG.Lower(a), \"lower\"(b) FROM t WHERE a = ANY ($1) OR a LIKE (b)",
        "MERGE INTO a USING b ON (a.x = b.x) WHEN NOT MATCHED THEN INSERT (x) VALUES (b.x)",
        "SELECT setting FROM pg_settings",
        "SELECT x AT TIME ZONE (y) FROM t",
        "SELECT currval('ids'), lastval(), pg_advisory_unlock_all()",
        "SELECT nextval('ids')",
        "",
        "--",
    ] {
        assert_eq!(of(sql), Traces::None, "{sql}");
    }
}

#[test]
fn what_is_known_to_outlive_the_statement_leaves_state() {
    for sql in [
        "SELECT set_config('search_path', 'other', false)",
        "select pg_catalog.SET_CONFIG('a.b', 'c', false)",
        "SELECT \"set_config\"('a.b', 'c', false)",
        "SELECT pg_catalog /* a */ . -- b\n set_config /* c */ ('a.b', 'c', false)",
        "SELECT pg_advisory_lock(42)",
        "SELECT pg_try_advisory_lock_shared(42)",
        "SELECT 1 AS a INTO TEMP kept",
        "SELECT 1 AS a INTO TEMPORARY TABLE kept",
        "SELECT 1 AS a INTO LOCAL TEMP kept",
        "SELECT 1 AS a INTO /* a */ TEMP kept",
        "INSERT INTO pg_temp.kept VALUES (1)",
        "INSERT INTO \"pg_temp_3\".kept VALUES (1)",
        "SELECT '--', pg_advisory_lock(42)",
        "UPDATE pg_settings SET setting = '1' WHERE name = 'work_mem'",
        "update PG_CATALOG.Pg_Settings as s set setting = '1'",
        "UPDATE \"pg_catalog\".\"pg_settings\" SET setting = '1'",
        "WITH changed AS (UPDATE/**/pg_settings SET setting = '1' RETURNING 1) SELECT 1",
        "SELECT query_to_xml('SELECT 1', true, true, '')",
        "SELECT * FROM ts_stat('SELECT 1')",
        "SELECT lo_create(0)",
    ] {
        assert_eq!(of(sql), Traces::State, "{sql}");
    }
}

#[test]
fn a_call_of_a_function_that_is_not_known_leaves_state_wherever_it_stands() {
    for sql in [
        "SELECT f()",
        "SELECT F ()",
        "SELECT a.f(1)",
        "SELECT a.lower('A')",
        "SELECT \"Lower\"('A')",
        "SELECT * FROM f(1)",
        "SELECT * FROM f(1) AS (a int)",
        "SELECT * FROM lower('a') AS (a int), f(1)",
        "WITH a AS (SELECT 1) SELECT * FROM lower('a') AS (a int), f(1)",
        "WITH a AS (SELECT f(1)), b(x) AS (SELECT 1) SELECT 1",
        "SELECT CASE WHEN true THEN f(1) END",
        "SELECT a[1:f(2)] FROM t",
        "SELECT DISTINCT ON (a) f(b) FROM t",
        "SELECT 1 OPERATOR(pg_catalog.+) f(1)",
        "SELECT set(1), by(2), over(3)",
        "SELECT -f(1)",
        "INSERT INTO t (a) SELECT f(1)",
        "INSERT INTO t (a) VALUES (f(1))",
        "DELETE FROM t WHERE f(a)",
        "VALUES (f(1))",
        "UPDATE t SET a = f(a)",
        "SELECT 1 WHERE 1 IN (f(1))",
        "SELECT $1::timestamp with time zone, f(1)",
    ] {
        assert_eq!(of(sql), Traces::State, "{sql}");
    }
}

#[test]
fn a_function_is_trusted_by_its_name_in_any_schema_or_in_one() {
    let mut judge = Judge::default();
    judge.trust("f");
    judge.trust("app.g");
    judge.trust("Mixed");
    for sql in [
        "SELECT f()",
        "SELECT any.F(1)",
        "SELECT app.g()",
        "SELECT \"Mixed\"()",
    ] {
        assert_eq!(judge.of_statement(sql), Traces::None, "{sql}");
        assert_eq!(judge.entanglement(sql), None, "{sql}");
    }
    for sql in [
        "SELECT g()",
        "SELECT other.g()",
        "SELECT mixed()",
        "SELECT \"F\"()",
    ] {
        assert_eq!(judge.of_statement(sql), Traces::State, "{sql}");
    }
}

#[test]
fn every_other_statement_may_leave_anything() {
    for sql in [
        "SET search_path = other",
        "LISTEN news",
        "CREATE TEMP TABLE t (a int)",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "DO $$ BEGIN END $$",
        "CALL procedure()",
        "COPY t FROM STDIN",
        "EXPLAIN ANALYZE SELECT 1",
        "/* SELECT */ LOCK TABLE t",
        "é",
    ] {
        assert_eq!(of(sql), Traces::Anything, "{sql}");
    }
}

#[test]
fn a_transaction_may_be_left_by_the_statements_that_begin_or_end_one() {
    for sql in [
        "BEGIN",
        "start transaction",
        "-- a\nCOMMIT AND CHAIN",
        "ROLLBACK",
        "END",
        "ABORT",
        "PREPARE TRANSACTION 'a'",
    ] {
        assert_eq!(of(sql), Traces::Transaction, "{sql}");
    }
}

#[test]
fn a_text_that_can_be_read_in_two_ways_may_leave_anything() {
    for sql in [
        "SELECT U&\"set\\005fconfig\"('a.b', 'c', false)",
        "SELECT '\\' OR set_config('a.b', 'c', false) --'",
        "/* SELECT",
        "SELECT $a$ 1",
    ] {
        assert_eq!(of(sql), Traces::Transaction, "{sql}");
        let first = Judge::default().entanglement(sql);
        assert!(
            matches!(first, Some(Entanglement::Opaque | Entanglement::Word(""))),
            "{sql}"
        );
    }
}

#[test]
fn what_no_reset_undoes_is_told_apart() {
    for sql in [
        "DISCARD ALL",
        "deallocate s1",
        "LOAD 'auto_explain'",
        "SELECT setseed(0.5)",
        "SELECT ext.dblink_connect('a', 'b')",
        "SELECT pg_backup_start('nightly')",
        "SELECT pg_create_physical_replication_slot('a', false, true)",
        "SET SESSION seed TO 0.5",
        "SELECT set_config('SEED', '0.5', false)",
        "UPDATE pg_settings SET setting = '0.5' WHERE name = 'seed'",
        "DO $$ BEGIN PERFORM setseed(0.5); END $$",
        "EXPLAIN ANALYZE SELECT setseed(0.5)",
        "CREATE TABLE t AS SELECT dblink_connect('a', 'b')",
    ] {
        assert_eq!(of(sql), Traces::Lasting, "{sql}");
    }
    let judge = Judge::default();
    assert_eq!(judge.of_batch("SELECT 1; DEALLOCATE ALL"), Traces::Lasting);
    assert_eq!(
        judge.of_batch("SELECT 1 /* ; */; DISCARD ALL"),
        Traces::Lasting
    );
    assert_eq!(
        judge.of_batch("SELECT 1 /* ; DISCARD ALL */"),
        Traces::Anything
    );
    assert_eq!(judge.of_batch("SELECT setseed(0.5)"), Traces::Lasting);
    assert_eq!(of("SELECT f(seed) FROM seeds"), Traces::State);
}

#[test]
fn batches_may_leave_anything_and_a_transaction_if_they_name_one() {
    let judge = Judge::default();
    assert_eq!(judge.of_batch("SELECT 1; SELECT 2"), Traces::Anything);
    assert_eq!(
        judge.of_batch("SELECT 1; begin; SELECT 2"),
        Traces::Transaction
    );
    assert_eq!(judge.of_batch("SELECT '; begin'"), Traces::Anything);
}

#[test]
fn statements_that_read_or_change_what_a_session_keeps_do_not_stand_alone() {
    use Entanglement::{Function, Word};
    for (sql, why) in [
        ("BEGIN", Word("BEGIN")),
        ("-- mine\nset search_path = other", Word("set")),
        ("DO $$ BEGIN END $$", Word("DO")),
        ("CALL f()", Word("CALL")),
        ("UPDATE pg_settings SET setting = '1'", Word("pg_settings")),
        (
            "SELECT set_config('a.b', 'c', false)",
            Function("set_config"),
        ),
        (
            "SELECT pg_advisory_unlock_all()",
            Function("pg_advisory_unlock_all"),
        ),
        ("SELECT lastval()", Function("lastval")),
        ("SELECT pg_catalog.currval('ids')", Function("currval")),
        ("SELECT setseed(0.5)", Function("setseed")),
        ("SELECT app.\"My f\"()", Function("My f")),
        ("", Word("")),
    ] {
        assert_eq!(Judge::default().entanglement(sql), Some(why), "{sql}");
    }
    assert_eq!(Judge::default().entanglement("SELECT nextval('ids')"), None);
}

/// A call of an unknown function is found behind anything that a statement may be made of.
#[test]
fn no_context_hides_a_call() {
    let before = [
        "SELECT a",
        "SELECT lower(a)",
        "SELECT 'f'",
        "SELECT (SELECT 1 AS x)",
        "SELECT a::int",
        "SELECT $1",
        "WITH a (b) AS (SELECT 1) SELECT b",
        "SELECT a[1:2]",
        "SELECT count(*) FILTER (WHERE true)",
        "SELECT \"a\"",
    ];
    let between = [
        ",",
        "+",
        "AND",
        "OR",
        "=",
        "IN (1) AND",
        "BETWEEN 1 AND",
        "|| (",
        ", ARRAY[1,",
        "::text ||",
        ", NOT",
        "LIKE",
        "IS NULL OR",
        ", CASE WHEN",
        "/* , */ ,",
        "-- a\n,",
        ", - ",
        "FROM",
        "FROM t JOIN u ON",
        "FROM t WHERE",
        "FROM a,",
        "FROM t GROUP BY",
        "FROM t ORDER BY a,",
        "UNION SELECT",
        "UNION ALL SELECT",
        "LIMIT",
        "FROM ROWS FROM (",
        "FROM t CROSS JOIN LATERAL",
    ];
    for head in before {
        for middle in between {
            for call in ["f(1)", "s.f (1)", "\"f\"(1)", "F/**/(1)"] {
                let sql = format!("{head} {middle} {call}");
                assert_eq!(of(&sql), Traces::State, "{sql}");
            }
        }
    }
}
