"""Transactions of clients over several shards: they commit everywhere or nowhere, and are read whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.sharded import create, keys_of
from tests.integration.transcript import errors, messages, session, shape
from tests.integration.waiting import wait_until
from tests.integration.wire import Wire, rows

DATABASE = "two_phases"
FIRST, OTHER = keys_of(0, 1)[0], keys_of(1, 1)[0]
BOTH = (FIRST, OTHER)


@pytest.fixture
async def proxy(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Proxy]:
    settings = await create(postgres, DATABASE)
    started = await start_proxy({"pool_mode": "transaction", "default_pool_size": 10}, databases={DATABASE: settings})
    yield started
    assert await prepared(postgres) == []


@pytest.fixture
async def wire(proxy: Proxy) -> AsyncIterator[Wire]:
    async with session(proxy, database=DATABASE) as logged_in:
        for key in BOTH:
            assert shape(await logged_in.query(f"INSERT INTO customers VALUES ({key}, 'before')")) == "CZ"
        yield logged_in


async def prepared(postgres: Postgres) -> list[str]:
    found = await postgres.fetch("SELECT gid FROM pg_prepared_xacts WHERE database LIKE %s", f"{DATABASE}_s_")
    return [str(gid) for (gid,) in found]


async def names(wire: Wire) -> list[bytes | None]:
    return sorted(name for (name,) in rows(await wire.query("SELECT name FROM customers")))


async def change(wire: Wire, *keys: int, begin: str = "BEGIN") -> None:
    assert shape(await wire.query(begin)) == "CZ"
    for key in keys:
        assert shape(await wire.query(f"UPDATE customers SET name = 'changed' WHERE id = {key}")) == "CZ"


async def test_a_commit_is_one_of_both_shards(wire: Wire) -> None:
    await change(wire, *BOTH)
    assert [frame.body for frame in await wire.query("COMMIT")] == [b"COMMIT\0", b"I"]
    assert await names(wire) == [b"changed", b"changed"]


async def test_a_rollback_is_one_of_both_shards(wire: Wire) -> None:
    await change(wire, *BOTH)
    assert [frame.body for frame in await wire.query("ROLLBACK")] == [b"ROLLBACK\0", b"I"]
    assert await names(wire) == [b"before", b"before"]


async def test_one_query_of_several_statements_is_one_transaction(wire: Wire) -> None:
    updates = [f"UPDATE customers SET name = 'changed' WHERE id = {key}" for key in BOTH]
    reply = await wire.query("; ".join(updates))
    if errors(reply):  # a query that is relayed whole concerns one shard
        assert errors(reply) == ["0A000"]
        return
    assert shape(reply) == "CCZ"
    assert await names(wire) == [b"changed", b"changed"]


async def test_an_error_in_one_shard_undoes_the_other(wire: Wire) -> None:
    await change(wire, *BOTH)
    assert errors(await wire.query(f"INSERT INTO customers VALUES ({OTHER}, 'twice')")) == ["23505"]
    assert errors(await wire.query("SELECT 1")) == ["25P02"]
    assert [frame.body for frame in await wire.query("COMMIT")] == [b"ROLLBACK\0", b"I"]
    assert await names(wire) == [b"before", b"before"]


async def test_a_savepoint_is_one_of_both_shards(wire: Wire) -> None:
    await change(wire, FIRST)
    assert shape(await wire.query("SAVEPOINT a")) == "CZ"
    assert shape(await wire.query(f"UPDATE customers SET name = 'changed' WHERE id = {OTHER}")) == "CZ"
    assert errors(await wire.query(f"INSERT INTO customers VALUES ({OTHER}, 'twice')")) == ["23505"]
    assert shape(await wire.query("ROLLBACK TO a")) == "CZ"
    await wire.query("COMMIT")
    assert await names(wire) == [b"before", b"changed"]


async def test_a_deferred_constraint_fails_the_commit_at_both(wire: Wire, postgres: Postgres) -> None:
    for shard in ("s0", "s1"):
        sql = "ALTER TABLE customers ADD CONSTRAINT one UNIQUE (name) DEFERRABLE INITIALLY DEFERRED"
        await postgres.fetch(sql, database=f"{DATABASE}_{shard}")
    await postgres.fetch("INSERT INTO customers VALUES (0, 'changed')", database=f"{DATABASE}_s1")
    await change(wire, *BOTH)
    reply = await wire.query("COMMIT")
    assert errors(reply) == ["23505"]
    assert reply[-1].body == b"I"
    assert await names(wire) == [b"before", b"before", b"changed"]


# --- modes ----------------------------------------------------------------------------------------------------------


async def test_the_mode_single_refuses_a_second_shard_when_it_is_written(wire: Wire) -> None:
    assert shape(await wire.query("SET trunkline.transaction_mode = 'single'")) == "CZ"
    await change(wire, FIRST)
    assert rows(await wire.query(f"SELECT name FROM customers WHERE id = {OTHER}")) == [[b"before"]]
    reply = await wire.query(f"UPDATE customers SET name = 'changed' WHERE id = {OTHER}")
    assert (errors(reply), reply[-1].body) == (["0A000"], b"E")
    await wire.query("ROLLBACK")
    await wire.query("RESET trunkline.transaction_mode")
    await change(wire, *BOTH)
    assert shape(await wire.query("COMMIT")) == "CZ"


async def test_the_mode_best_effort_prepares_nothing(wire: Wire, postgres: Postgres) -> None:
    await wire.query("SET trunkline.transaction_mode TO best_effort")
    await change(wire, *BOTH)
    assert shape(await wire.query("COMMIT")) == "CZ"
    assert await names(wire) == [b"changed", b"changed"]
    assert await postgres.fetch("SELECT to_regclass('trunkline.decisions')", database=f"{DATABASE}_s0") == [(None,)]


async def test_a_mode_that_there_is_not_is_refused(wire: Wire) -> None:
    for name in ("transaction_mode", "cross_shard_snapshot"):
        reply = await wire.query(f"SET trunkline.{name} = 'perhaps'")
        assert errors(reply) == ["22023"]
        assert messages(reply) == [f'invalid value for parameter "trunkline.{name}": "perhaps"']


# --- snapshots ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
async def test_a_snapshot_of_one_shard_is_none_of_both(wire: Wire, level: str) -> None:
    await wire.query(f"BEGIN ISOLATION LEVEL {level}")
    assert shape(await wire.query(f"SELECT name FROM customers WHERE id = {FIRST}")) == "TDCZ"
    reply = await wire.query("SELECT name FROM customers")
    assert (errors(reply), reply[-1].body) == (["0A000"], b"E")
    await wire.query("ROLLBACK")


async def test_one_snapshot_of_all_shards_is_that_of_the_whole_block(proxy: Proxy, wire: Wire) -> None:
    await wire.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
    assert await names(wire) == [b"before", b"before"]
    async with session(proxy, database=DATABASE) as other:
        await change(other, *BOTH)
        await other.query("COMMIT")
        assert await names(other) == [b"changed", b"changed"]
    assert await names(wire) == [b"before", b"before"]
    assert rows(await wire.query(f"SELECT name FROM customers WHERE id = {OTHER}")) == [[b"before"]]
    await wire.query("COMMIT")
    assert await names(wire) == [b"changed", b"changed"]


async def test_serializable_transactions_are_of_one_shard(wire: Wire) -> None:
    await wire.query("BEGIN ISOLATION LEVEL SERIALIZABLE")
    assert errors(await wire.query("SELECT name FROM customers")) == ["0A000"]
    await wire.query("ROLLBACK")


# --- deadlocks ------------------------------------------------------------------------------------------------------


async def test_row_76_a_deadlock_over_two_shards_ends_the_younger_one(proxy: Proxy, wire: Wire) -> None:
    async with session(proxy, database=DATABASE) as younger:
        await change(wire, FIRST)
        assert shape(await wire.query("SELECT name FROM customers")) == "TDDCZ"
        await change(younger, OTHER)
        assert shape(await younger.query("SELECT name FROM customers")) == "TDDCZ"
        loop = asyncio.get_running_loop()
        begun_at = loop.time()
        elder = loop.create_task(wire.query(f"UPDATE customers SET name = 'elder' WHERE id = {OTHER}"))
        victim = await younger.query(f"UPDATE customers SET name = 'younger' WHERE id = {FIRST}")
        assert errors(victim) == ["40P01"]
        assert messages(victim) == ["deadlock detected"]
        assert loop.time() - begun_at < 10
        await younger.query("ROLLBACK")
        assert shape(await elder) == "CZ"
        assert shape(await wire.query("COMMIT")) == "CZ"
        assert await names(wire) == [b"changed", b"elder"]


# --- cancels and clients that go ------------------------------------------------------------------------------------

CHECKED_SLOWLY = """
CREATE FUNCTION check_slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON customers DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION check_slowly()
"""


async def test_row_58_a_cancel_before_the_decision_undoes_both_shards(
    proxy: Proxy, wire: Wire, postgres: Postgres
) -> None:
    await postgres.fetch(CHECKED_SLOWLY, database=f"{DATABASE}_s1")
    await change(wire, *BOTH)
    commit = asyncio.get_running_loop().create_task(wire.query("COMMIT"))

    async def sleeps() -> bool:
        return bool(await postgres.fetch("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))

    await wait_until(sleeps, what="the constraint is being checked")
    await Wire.cancel(proxy.port, wire.backend_pid, wire.cancel_key)
    reply = await commit
    assert (errors(reply), reply[-1].body) == (["57014"], b"I")
    assert await names(wire) == [b"before", b"before"]


async def test_a_client_that_leaves_in_its_block_has_committed_nothing(proxy: Proxy, wire: Wire) -> None:
    async with session(proxy, database=DATABASE) as leaving:
        await change(leaving, *BOTH)

    async def undone() -> bool:
        with contextlib.suppress(AssertionError):
            return await names(wire) == [b"before", b"before"]
        return False

    await wait_until(undone)


# --- what operators see ---------------------------------------------------------------------------------------------
