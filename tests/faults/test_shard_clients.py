"""Clients of a database with two shards that cancel, or go away in the middle: rows 37 to 42 and 57, at each shard."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from tests.faults.conftest import unharmed
from tests.faults.fault_proxy import FaultProxy, Rule, Stall
from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.sharded import create, keys_of
from tests.integration.transcript import errors, session, shape
from tests.integration.waiting import wait_until
from tests.integration.wire import FLUSH, SYNC, Wire, bind, execute, frame, parse, query, rows

DATABASE = "shop"
FIRST, OTHER = keys_of(0, 1)[0], keys_of(1, 1)[0]
KEYS = pytest.mark.parametrize("key", [FIRST, OTHER], ids=["s0", "s1"])
HOWS = ("fin", "rst", "terminate")


@pytest.fixture
async def proxy(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Proxy]:
    """One server for each shard, so that the next client gets exactly what the last one left."""
    settings = await create(postgres, DATABASE)
    started: Proxy = await start_proxy(
        {"pool_mode": "transaction", "default_pool_size": 1}, databases={DATABASE: settings}
    )
    async with session(started, database=DATABASE) as wire:
        for key in (FIRST, OTHER):
            assert shape(await wire.query(f"INSERT INTO customers VALUES ({key}, '{key}')")) == "CZ"
    async with unharmed(started):
        yield started
    await expect_each_shard(started)


async def expect_each_shard(proxy: Proxy) -> None:
    async with session(proxy, database=DATABASE) as wire:
        for key in (FIRST, OTHER):
            assert rows(await wire.query(f"SELECT name FROM customers WHERE id = {key}")) == [[b"%d" % key]]


async def count(postgres: Postgres, condition: str) -> int:
    """Of the backends of both shards, our own question's aside."""
    [(found,)] = await postgres.fetch(
        f"SELECT count(*) FROM pg_stat_activity WHERE datname LIKE '{DATABASE}_s%%'"
        f" AND pid <> pg_backend_pid() AND {condition}"
    )
    return int(found)


async def until_runs(postgres: Postgres, marker: str) -> None:
    await wait_until(lambda: count(postgres, f"state = 'active' AND query LIKE '%%{marker}%%'"), what=f"{marker} runs")


async def until_nothing_is_open(postgres: Postgres) -> None:
    async def is_so() -> bool:
        return await count(postgres, "state <> 'idle'") == 0

    await wait_until(is_so, what="no shard has a transaction")


async def cancel(proxy: Proxy, wire: Wire) -> None:
    await Wire.cancel(proxy.port, wire.backend_pid, wire.cancel_key)


def sleep(key: int, marker: str) -> str:
    return f"SELECT pg_sleep(60), '{marker}' FROM customers WHERE id = {key}"


# --- cancel -----------------------------------------------------------------------------------------------------------


@KEYS
async def test_row_57_a_cancel_stops_its_own_query_at_the_shard_where_that_runs(
    proxy: Proxy, postgres: Postgres, key: int
) -> None:
    other = FIRST + OTHER - key
    async with session(proxy, database=DATABASE) as wire, session(proxy, database=DATABASE) as bystander:
        await bystander.send_query(sleep(other, "bystander"))
        await until_runs(postgres, "bystander")
        await wire.query(f"SELECT 1 FROM customers WHERE id = {key}")
        await wire.send_query(sleep(key, "victim"))
        await until_runs(postgres, "victim")
        await cancel(proxy, wire)
        assert errors(await wire.read_until("Z")) == ["57014"]
        assert await count(postgres, "state = 'active' AND query LIKE '%%bystander%%'") == 1
        await cancel(proxy, bystander)
        assert errors(await bystander.read_until("Z")) == ["57014"]


async def test_row_57_a_cancel_follows_its_client_from_shard_to_shard(proxy: Proxy, postgres: Postgres) -> None:
    async with session(proxy, database=DATABASE) as wire:
        for number, key in enumerate([FIRST, OTHER, OTHER, FIRST]):
            await wire.query("BEGIN")
            await wire.query(f"SELECT 1 FROM customers WHERE id = {key}")
            await wire.send_query(sleep(key, f"round {number}"))
            await until_runs(postgres, f"round {number}")
            await cancel(proxy, wire)
            frames = await wire.read_until("Z")
            assert (errors(frames), frames[-1].body) == (["57014"], b"E")
            await wire.query("ROLLBACK")


async def test_row_57_a_cancel_between_statements_stops_nothing(proxy: Proxy) -> None:
    async with session(proxy, database=DATABASE) as wire:
        for key in (FIRST, OTHER):
            await wire.query(f"SELECT 1 FROM customers WHERE id = {key}")
            await cancel(proxy, wire)  # idle, at no server
            assert shape(await wire.query("BEGIN")) == "CZ"
            await cancel(proxy, wire)  # in a block that no server knows of
            assert shape(await wire.query(f"SELECT 1 FROM customers WHERE id = {key}")) == "TDCZ"
            await cancel(proxy, wire)  # in a block, at a server
            assert shape(await wire.query(f"SELECT 1 FROM customers WHERE id = {key}")) == "TDCZ"
            assert [item.body for item in await wire.query("COMMIT")] == [b"COMMIT\0", b"I"]


@KEYS
async def test_row_57_a_cancel_reaches_who_waits_for_the_first_statement_of_a_block(proxy: Proxy, key: int) -> None:
    """As at PostgreSQL: the statement is cancelled, and with it the block has failed."""
    async with session(proxy, database=DATABASE) as holder, session(proxy, database=DATABASE) as wire:
        await holder.query("BEGIN")
        await holder.query(f"UPDATE customers SET name = name WHERE id = {key}")
        await wire.query("BEGIN")
        await wire.send_query(f"UPDATE customers SET name = 'never' WHERE id = {key}")
        await wait_until(lambda: is_waiting(proxy))
        await cancel(proxy, wire)
        frames = await wire.read_until("Z")
        assert (errors(frames), frames[-1].body) == (["57014"], b"E")
        assert errors(await wire.query(f"UPDATE customers SET name = 'never' WHERE id = {key}")) == ["25P02"]
        assert [item.body for item in await wire.query("COMMIT")] == [b"ROLLBACK\0", b"I"]
        await holder.query("COMMIT")


async def is_waiting(proxy: Proxy) -> bool:
    return any(int(row["cl_waiting"]) for row in await proxy.admin("SHOW POOLS"))


async def test_row_57_a_cancel_while_the_server_hears_of_the_block_stops_what_waits_for_that(
    postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    settings = await create(postgres, "slow")
    async with FaultProxy("127.0.0.1", postgres.port, before_postgres=True) as faults:
        settings["shards"][1]["primary"] = f"postgres://127.0.0.1:{faults.port}/slow_s1"
        proxy = await start_proxy({"pool_mode": "transaction"}, databases={"slow": settings})
        async with session(proxy, database="slow") as wire:
            await wire.query(f"INSERT INTO customers VALUES ({OTHER}, 'there')")
            stalled = faults.add(Rule("be", "C", re="^BEGIN"), Stall(300))
            await wire.query("BEGIN")
            await wire.send_query(sleep(OTHER, "first of its block"))
            await wait_until(lambda: stalled.done)
            await cancel(proxy, wire)
            frames = await wire.read_until("Z")
            assert (errors(frames), frames[-1].body) == (["57014"], b"E")
            await wire.query("ROLLBACK")


# --- going away -------------------------------------------------------------------------------------------------------


async def leave(wire: Wire, how: str) -> None:
    if how == "terminate":
        await wire.send(frame("X"))
    if how == "rst":
        wire.abort()
    await wire.close()


def places(key: int) -> dict[str, bytes]:
    """What a client has said at one shard when it goes away."""
    update = f"UPDATE customers SET name = 'half done' WHERE id = {key}"
    extended = parse(update) + bind() + execute()
    return {
        "a block": query("BEGIN") + query(update),
        "a failed block": query("BEGIN") + query(update) + query("SELECT 1/0"),
        "an extended block": parse("BEGIN") + bind() + execute() + SYNC + extended + SYNC,
        "a pipeline without its Sync": extended + extended + FLUSH,
        "a block's pipeline": query("BEGIN") + extended * 50 + FLUSH,
        "COPY in": query("BEGIN") + query(update) + query(f"/* trunkline: key={key} */ COPY loose FROM STDIN"),
        "COPY in with rows": query("BEGIN")
        + query(update)
        + query(f"/* trunkline: key={key} */ COPY loose FROM STDIN")
        + frame("d", b"%d\n" % key) * 3,
        "COPY out": query("BEGIN")
        + query(update)
        + query(f"COPY (SELECT repeat('x', 9999) FROM customers, generate_series(1, 500) WHERE id = {key}) TO STDOUT"),
    }


@pytest.mark.parametrize("place", places(0))
async def test_row_37_39_and_40_a_client_that_goes_away_leaves_nothing_open_on_either_shard(
    proxy: Proxy, postgres: Postgres, place: str
) -> None:
    for key, how in itertools.product((FIRST, OTHER), HOWS):
        wire = await Wire.connect(proxy.port)
        await wire.login("postgres", proxy.users["postgres"], database=DATABASE)
        await wire.send(places(key)[place])
        await until_half_done(postgres)
        await leave(wire, how)
        await until_nothing_is_open(postgres)


async def until_half_done(postgres: Postgres) -> None:
    half_done = "(backend_xid IS NOT NULL OR state = 'idle in transaction (aborted)')"
    await wait_until(lambda: count(postgres, half_done), what="something is open")


async def test_row_41_who_goes_away_with_a_block_that_nobody_knows_of_was_never_there(
    proxy: Proxy, postgres: Postgres
) -> None:
    async with session(proxy, database=DATABASE) as wire:
        await wire.query("BEGIN")
        await wire.query("SAVEPOINT one")
    async with session(proxy, database=DATABASE) as holder:
        await holder.query("BEGIN")
        await holder.query(f"UPDATE customers SET name = name WHERE id = {OTHER}")
        async with session(proxy, database=DATABASE) as wire:
            await wire.query("BEGIN")
            await wire.send_query(f"UPDATE customers SET name = 'never' WHERE id = {OTHER}")
            await wait_until(lambda: is_waiting(proxy))
        await holder.query("COMMIT")
    await until_nothing_is_open(postgres)


@KEYS
async def test_row_38_a_query_whose_client_went_away_stops_at_its_shard(
    proxy: Proxy, postgres: Postgres, key: int
) -> None:
    wire = await Wire.connect(proxy.port)
    await wire.login("postgres", proxy.users["postgres"], database=DATABASE)
    await wire.send_query(sleep(key, "orphan"))
    await until_runs(postgres, "orphan")
    await leave(wire, "rst")
    await until_nothing_is_open(postgres)


async def test_row_42_a_bind_that_never_ends_reaches_neither_shard(proxy: Proxy, postgres: Postgres) -> None:
    """Cut at every byte, behind a statement whose shard only the Bind says."""
    update = "UPDATE customers SET name = 'half a Bind' WHERE id = $1"
    for key in (FIRST, OTHER):
        said = bind("", [b"%d" % key])
        for size in range(len(said)):
            async with session(proxy, database=DATABASE) as wire:
                await wire.send(parse(update) + said[:size])
    await until_nothing_is_open(postgres)


async def test_a_bind_in_pieces_is_the_bind(proxy: Proxy) -> None:
    for key in (FIRST, OTHER):
        said = parse("SELECT name FROM customers WHERE id = $1") + bind("", [b"%d" % key]) + execute() + SYNC
        async with session(proxy, database=DATABASE) as wire:
            for size in range(1, len(said)):
                await wire.send(said[:size])
                await asyncio.sleep(0)  # each piece is a segment of its own
                await wire.send(said[size:])
                frames = await wire.read_until("Z")
                assert (shape(frames), rows(frames)) == ("12DCZ", [[b"%d" % key]])
