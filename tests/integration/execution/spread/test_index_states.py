"""What a failed attempt has left of an index, and the names that PostgreSQL gives."""

from __future__ import annotations

from tests.integration.job_shards import at, drifts, indexes
from tests.integration.sharded import SHARDS
from tests.integration.spread_pair import Pair
from tests.integration.transcript import errors
from tests.integration.waiting import wait_until

INVALID = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'by_name'::regclass"
CREATE = "CREATE INDEX CONCURRENTLY by_name ON customers (name)"


async def test_what_was_left_half_built_is_told_and_built_anew(job_pair: Pair) -> None:
    await job_pair.both(CREATE)
    await at(job_pair, "s0", INVALID)
    await job_pair.proxy.reload()
    await wait_until(lambda: drifts(job_pair, "s0", "has an index by_name that is not valid"))
    assert errors(await job_pair.sharded.query(CREATE)) == []
    assert ("by_name", True) in await indexes(job_pair)
    await at(job_pair, "s1", INVALID)
    assert errors(await job_pair.sharded.query(CREATE.replace("by_name", "IF NOT EXISTS by_name"))) == []
    assert ("by_name", True) in await indexes(job_pair)
    await job_pair.proxy.reload()
    await wait_until(lambda: is_alike(job_pair))


async def is_alike(pair: Pair) -> bool:
    return not await pair.proxy.admin("SHOW DRIFT")


async def test_what_somebody_is_at_is_not_taken_for_left(job_pair: Pair) -> None:
    """Nor is an index of another table, or a table of that name."""
    await at(job_pair, "s1", "CREATE INDEX by_name ON notes (body)")
    assert errors(await job_pair.sharded.query(CREATE)) == ["42P07"]
    await at(job_pair, "s1", f"{INVALID}")
    assert errors(await job_pair.sharded.query(CREATE)) == ["42P07"]
    await at(job_pair, "s1", "DROP INDEX by_name")
    await at(job_pair, "s1", "CREATE TABLE by_name ()")
    assert errors(await job_pair.sharded.query(CREATE)) == ["42P07"]
    await at(job_pair, "s1", "DROP TABLE by_name")
    await job_pair.both(CREATE)
    await at(job_pair, "s1", INVALID)
    connection = await job_pair.postgres.connect("shard_jobs_s1")
    async with connection, connection.transaction():
        await connection.execute("LOCK TABLE ONLY customers IN ACCESS SHARE MODE")
        await connection.execute("ALTER INDEX by_name SET (fillfactor = 50)")
        assert errors(await job_pair.sharded.query(CREATE)) == ["42P07"]


async def test_a_name_is_chosen_that_is_free_on_all_shards_or_was_begun_with(job_pair: Pair) -> None:
    await at(job_pair, "s1", "CREATE TABLE customers_name_idx ()")
    sql = "CREATE INDEX CONCURRENTLY ON customers (name)"
    assert errors(await job_pair.sharded.query(sql)) == []
    for shard in SHARDS:
        assert await at(job_pair, shard, "SELECT to_regclass('customers_name_idx1') IS NULL") == [(False,)]
    await at(job_pair, "s0", "DROP INDEX customers_name_idx1")
    assert errors(await job_pair.sharded.query(sql)) == []
    for shard in SHARDS:
        found = await at(job_pair, shard, "SELECT count(*) FROM pg_index WHERE indrelid = 'customers'::regclass")
        assert found == [(2,)]
