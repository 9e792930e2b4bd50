"""What keeps a statement from replicas; tests/integration/test_replica_reads.py asks PostgreSQL itself."""

from __future__ import annotations

import pytest

from trunkline.routing.keys.sharding import Sharding
from trunkline.routing.planning.planner import plan
from trunkline.routing.schema.catalog import Catalog, Column, Function, Relation

COLUMNS = (Column("id", "int8"),)
RELATIONS = (
    Relation("public", "t", columns=COLUMNS),
    Relation("public", "unlogged", columns=COLUMNS, persistence="u"),
    Relation("public", "parted", "p", COLUMNS),
    Relation("public", "part_1", "r", COLUMNS, parent=("public", "parted")),
    Relation("public", "part_2", "r", COLUMNS, parent=("public", "parted"), persistence="u"),
    Relation("public", "far", "f", COLUMNS),
    Relation("public", "seq", "S"),
    Relation("pg_catalog", "pg_class", "r"),
    Relation("pg_catalog", "pg_stat_activity", "v"),
)
FUNCTIONS = (
    Function("pg_catalog", "now", volatility="s"),
    Function("pg_catalog", "lower", ("text",), volatility="i"),
    Function("pg_catalog", "count", kind="a", volatility="i"),
    Function("pg_catalog", "random"),
    Function("pg_catalog", "setseed", ("float8",)),
    Function("pg_catalog", "txid_current", volatility="s"),
    Function("public", "steady", (), "f", "s", "sql", "SELECT count(*) FROM t"),
    Function("public", "numbering", (), "f", "s", "sql", "SELECT nextval('seq')"),
    Function("public", "locking", (), "f", "s", "sql", "SELECT id FROM t FOR UPDATE"),
    Function("public", "setting", (), "f", "s", "plpgsql", "BEGIN SET work_mem = '1MB'; END"),
    Function("public", "vague", (), "f", "v", "sql", "SELECT 1"),
    Function("public", "compiled", language="c"),
    Function("public", "dynamic", (), "f", "s", "plpgsql", "BEGIN EXECUTE 'SELECT 1'; END"),
)
NO_PART = "It is no part of a READ ONLY transaction."
CATALOG = Catalog(
    {(one.schema, one.name): one for one in RELATIONS}, {(one.schema, one.name): (one,) for one in FUNCTIONS}
)


def why(sql: str) -> str:
    return plan(sql.encode(), CATALOG, Sharding(("only",), 0), ("public",)).primary


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM t",
        "SELECT lower('A'), now(), random() FROM t",
        "SELECT steady()",
        "EXPLAIN ANALYZE SELECT 1",
        "COPY t TO STDOUT",
        "COPY (SELECT id FROM t) TO STDOUT",
        "SELECT id FROM part_1",
        "VALUES (1)",
    ],
)
def test_a_replica_may_answer(sql: str) -> None:
    assert why(sql) == ""


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("INSERT INTO t VALUES (1)", "It writes public.t."),
        ("WITH d AS (DELETE FROM t RETURNING id) SELECT * FROM d", "It writes public.t."),
        ("EXPLAIN ANALYZE DELETE FROM t", "It writes public.t."),
        ("CREATE TABLE u (id int8)", "It writes public.u."),
        ("SELECT id FROM t FOR SHARE", "It locks rows."),
        ("SELECT id FROM (SELECT id FROM t FOR UPDATE) x", "It locks rows."),
        ("SELECT nextval('seq')", "It concerns a sequence, of which there is one."),
        ("SELECT pg_advisory_lock(1)", "It concerns an advisory lock, of which there is one."),
        ("SELECT setseed(1)", "It calls setseed(), which is volatile."),
        ("SELECT txid_current()", "It calls txid_current(), which tells of its own server."),
        ("SELECT pg_stat_get_numscans(1)", "It calls pg_stat_get_numscans(), which tells of its own server."),
        ("SELECT other()", "It calls other(), which is not known."),
        ("SELECT vague()", "It calls public.vague(), which is volatile."),
        ("SELECT numbering()", "It concerns a sequence, of which there is one."),
        ("SELECT locking()", "The function public.locking() locks rows."),
        ("SELECT setting()", "The function public.setting() has a statement of the session's."),
        ("SELECT dynamic()", "The function public.dynamic() is not seen through."),
        ("SELECT * FROM unlogged", "It reads public.unlogged, which is unlogged."),
        ("SELECT * FROM parted", "It reads public.part_2, which is unlogged."),
        ("SELECT * FROM far", "It reads public.far, which is a foreign table."),
        ("SELECT last_value FROM seq", "It reads public.seq, which is a sequence."),
        ("SELECT * FROM unheard_of", "It names public.unheard_of, which is not known."),
        ("SELECT relname FROM pg_class", "It reads pg_catalog.pg_class, which tells of its own server."),
        ("SELECT 1; SELECT 2", "It is more than one statement."),
        ("", "It is empty."),
        ("SELEKT", "It does not parse."),
        ("SET work_mem = '1MB'", "It is no query."),
        ("BEGIN", "It is no query."),
        ("COPY t FROM STDIN", "It writes public.t."),
        ("COPY t TO '/tmp/x'", "It is no query."),
        ("COPY t TO PROGRAM 'x'", "It is no query."),
    ],
)
def test_only_the_primary_can(sql: str, reason: str) -> None:
    assert why(sql) == reason


def why_always(sql: str) -> str:
    return plan(sql.encode(), CATALOG, Sharding(("only",), 0), ("public",)).always_primary


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM t",
        "SELECT vague()",
        "SELECT locking()",
        "SELECT oid FROM pg_class",
        "SELECT id FROM t FOR UPDATE",
        "INSERT INTO t VALUES (1)",
        "CREATE TABLE more (id int8)",
        "SAVEPOINT a",
        "ROLLBACK TO a",
        "COMMIT AND CHAIN",
        "SHOW transaction_isolation",
        "SET LOCAL work_mem = '1MB'",
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "DECLARE c CURSOR FOR SELECT id FROM t",
        "FETCH ALL FROM c",
        "CLOSE c",
        "",
    ],
)
def test_in_a_transaction_that_only_reads_a_replica_may_answer_or_refuse(sql: str) -> None:
    assert why_always(sql) == ""


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT numbering()", "It concerns a sequence, of which there is one."),
        ("SELECT dynamic()", "The function public.dynamic() is not seen through."),
        ("SELECT setting()", "The function public.setting() has a statement of the session's."),
        ("SELECT compiled()", "It calls public.compiled(), which is volatile."),
        ("SELECT setseed(0.5)", "It calls setseed(), which is volatile."),
        ("SELECT pg_advisory_xact_lock(1)", "It concerns an advisory lock, of which there is one."),
        ("SELECT id FROM unlogged", "It reads public.unlogged, which is unlogged."),
        ("SELECT * FROM pg_stat_activity", "It reads pg_catalog.pg_stat_activity, which tells of its own server."),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", NO_PART),
        ("DECLARE c CURSOR FOR SELECT setseed(0.5)", "It calls setseed(), which is volatile."),
        ("SET TRANSACTION READ WRITE", NO_PART),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", NO_PART),
        ("SET TRANSACTION SNAPSHOT '1'", NO_PART),
        ("SET transaction_read_only = off", NO_PART),
        ("PREPARE TRANSACTION 'x'", NO_PART),
        ("LISTEN here", NO_PART),
        ("LOCK TABLE t", NO_PART),
        ("SELECT 1; SELECT 2", "It is more than one statement."),
        ("SELECT FROM WHERE", "It does not parse."),
    ],
)
def test_and_this_is_the_primarys_even_there(sql: str, reason: str) -> None:
    assert why_always(sql) == reason
