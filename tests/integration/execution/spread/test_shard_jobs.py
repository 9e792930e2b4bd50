"""What PostgreSQL runs in no transaction, at each of two shards: the answers of one PostgreSQL, and equal shards."""

from __future__ import annotations

import pytest

from tests.integration.job_shards import at, drifts, indexes
from tests.integration.sharded import SHARDS, keys_of
from tests.integration.spread_pair import Pair, readable
from tests.integration.transcript import errors
from tests.integration.waiting import wait_until
from tests.integration.wire import SYNC, Wire, bind, error_fields, execute, parse


@pytest.mark.parametrize("values", [None, ()], ids=["simple", "extended"])
async def test_indexes_are_made_and_dropped_while_others_write(job_pair: Pair, values: tuple[()] | None) -> None:
    for sql in (
        "CREATE INDEX CONCURRENTLY by_name ON customers (name)",
        "CREATE INDEX CONCURRENTLY by_name ON customers (name)",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS by_name ON customers (name)",
        "create unique index concurrently ON public.customers (id, lower(name)) INCLUDE (region) WHERE region > 3",
        "CREATE INDEX CONCURRENTLY ON customers (lower(name))",
        "CREATE INDEX CONCURRENTLY ON customers (lower(name))",
        "CREATE INDEX CONCURRENTLY ON customers (nothing)",
        "CREATE INDEX CONCURRENTLY i ON parts (n)",
        "REINDEX INDEX CONCURRENTLY by_name",
        "REINDEX (VERBOSE false, CONCURRENTLY) TABLE customers",
        "REINDEX TABLE customers",
        "REINDEX TABLE parts",
        "CLUSTER customers USING by_name",
        "CLUSTER",
        "ALTER INDEX by_name RENAME TO by_names",
        "ALTER INDEX by_names SET (fillfactor = 60)",
        "COMMENT ON INDEX by_names IS 'x'",
        "DROP INDEX CONCURRENTLY by_name",
        "DROP INDEX CONCURRENTLY IF EXISTS by_name",
        "DROP INDEX CONCURRENTLY by_names, customers_lower_idx",
        "DROP INDEX CONCURRENTLY by_names",
        "DROP INDEX customers_lower_idx",
    ):
        await job_pair.both(sql, values)
        await indexes(job_pair)
    assert [name for name, _ in await indexes(job_pair)] == [
        "customers_id_lower_region_idx",
        "customers_lower_idx1",
        "customers_pkey",
    ]


@pytest.mark.parametrize("values", [None, ()], ids=["simple", "extended"])
async def test_tables_are_vacuumed_where_they_are(job_pair: Pair, values: tuple[()] | None) -> None:
    for sql in (
        "VACUUM",
        "VACUUM customers",
        "VACUUM (FULL, ANALYZE) customers (name), countries",
        "VACUUM ANALYZE notes, customers, countries (code)",
        "ANALYZE",
        "ANALYZE notes, customers (name)",
        "VACUUM pg_class",
    ):
        await job_pair.both(sql, values)
    for table, counts in (("customers", [3, 3]), ("notes", [2, 1])):  # VACUUM FULL is none to these counters
        sql = f"SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = '{table}'"
        assert [(await at(job_pair, shard, sql))[0][0] for shard in SHARDS] == counts, table
    for sql in ("VACUUM customers, nothing", "VACUUM (ANALYZE) customers (nothing)", "VACUUM (nonsense) customers"):
        await job_pair.both(sql, values)


async def test_a_block_does_not_hold_them(job_pair: Pair) -> None:
    for sql in (
        "CREATE INDEX CONCURRENTLY by_name ON customers (name)",
        "DROP INDEX CONCURRENTLY by_name",
        "REINDEX TABLE CONCURRENTLY customers",
        "VACUUM customers",
        "CLUSTER",
    ):
        for begin in ("BEGIN", "BEGIN; SELECT count(*) FROM customers", "BEGIN; SELECT FROM customers WHERE id = 1"):
            for one in begin.split("; "):
                await job_pair.both(one)
            for one in (sql, "SELECT 1", "COMMIT"):
                await job_pair.both(one)
        await job_pair.both(f"{sql}; SELECT 1")
        await job_pair.both(f"SELECT 1; {sql}")
    for one in ("BEGIN", "ANALYZE customers, notes", "INSERT INTO notes VALUES (1)", "COMMIT"):
        await job_pair.both(one)
    assert [name for name, _ in await indexes(job_pair)] == ["customers_pkey"]


async def test_no_shard_can_keep_an_index_unique_without_the_key(job_pair: Pair) -> None:
    sql = "CREATE UNIQUE INDEX CONCURRENTLY by_name ON customers (name)"
    assert errors(await job_pair.sharded.query(sql)) == ["0A000"]
    assert [name for name, _ in await indexes(job_pair)] == ["customers_pkey"]


async def test_what_one_shard_cannot_keep_is_told_and_completed_by_the_same_statement(job_pair: Pair) -> None:
    (key,) = keys_of(1, 1)
    for shard in ("s1", "whole"):
        await at(job_pair, shard, "ALTER TABLE customers DROP CONSTRAINT customers_pkey")
        await at(job_pair, shard, f"INSERT INTO customers VALUES ({key}, 'a', 1), ({key}, 'a', 2)")
    sql = "CREATE UNIQUE INDEX CONCURRENTLY once ON customers (id, name)"
    (seen,) = [item for item in await job_pair.sharded.query(sql) if item.type == "E"]
    (meant,) = [item for item in await job_pair.whole.query(sql) if item.type == "E"]
    told, wanted = error_fields(seen), error_fields(meant)
    assert (told["C"], told["M"], told["n"]) == (wanted["C"], wanted["M"], wanted["n"]) and told["C"] == "23505"
    assert told["D"] == f"{wanted['D']} Not done on shard s1; done on shard s0."
    assert "again" in told["H"]
    once = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('once')"
    assert [await at(job_pair, shard, once) for shard in SHARDS] == [[(True,)], []]
    rows = await job_pair.proxy.admin("SHOW JOBS")
    assert [(row["shard"], row["state"], row["tries"], row["error"][:5]) for row in rows] == [
        ("s0", "done", 1, ""),
        ("s1", "failed", 1, "23505"),
    ]
    await wait_until(lambda: drifts(job_pair, "s1", "has no index once"))
    await at(job_pair, "s1", "DELETE FROM customers WHERE region = 2")
    reply = await job_pair.sharded.query(sql)
    assert [item.type for item in reply if item.type in "NCE"] == ["N", "C"]
    assert [await at(job_pair, shard, once) for shard in SHARDS] == [[(True,)], [(True,)]]
    assert errors(await job_pair.sharded.query(sql)) == ["42P07"]
    await at(job_pair, "s0", "DROP INDEX once")
    assert errors(await job_pair.sharded.query(sql.replace("(id, name)", "(name, id)"))) == ["42P07"]
    reply = await job_pair.sharded.query("DROP INDEX CONCURRENTLY once")
    assert [item.type for item in reply if item.type in "NCE"] == ["N", "C"]


async def test_a_pipeline_does_not_hold_them_either(job_pair: Pair) -> None:
    async def told(wire: Wire, *texts: str) -> list[object]:
        await wire.send(*(parse(sql) + bind() + execute() for sql in texts), SYNC)
        return readable(await wire.read_until("Z"), in_order=True)

    vacuum = "VACUUM customers"
    for texts in ((vacuum,), ("SELECT count(*) FROM customers", vacuum), ("INSERT INTO notes VALUES (1)", vacuum)):
        assert await told(job_pair.sharded, *texts) == await told(job_pair.whole, *texts), texts
