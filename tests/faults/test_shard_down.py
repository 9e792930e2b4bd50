"""A shard that is away concerns its own statements only, whatever their clients were in the middle of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.faults.sharded import FIRST, OTHER, one_row_each
from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.sharded import SHARDS
from tests.integration.transcript import errors, session, shape
from tests.integration.waiting import wait_until
from tests.integration.wire import SYNC, Frame, Wire, bind, execute, parse, rows

DATABASE = "down"
AWAY = "55000"  # the database does not accept connections


@pytest.fixture
async def proxy(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Proxy]:
    async with one_row_each(postgres, start_proxy, DATABASE, server_login_retry=0.1) as started:
        yield started


@pytest.fixture
async def wire(proxy: Proxy) -> AsyncIterator[Wire]:
    async with session(proxy, database=DATABASE) as logged_in:
        yield logged_in


def name_of(key: int) -> str:
    return f"SELECT name FROM customers WHERE id = {key}"


async def bound(wire: Wire, name: str, key: int) -> list[Frame]:
    await wire.send(bind(name, [b"%d" % key]) + execute() + SYNC)
    return await wire.read_until("Z")


@asynccontextmanager
async def away(postgres: Postgres, shard: str) -> AsyncIterator[None]:
    """Nobody is let in there, and who was is sent away."""
    name = f"{DATABASE}_{shard}"
    await postgres.fetch(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
    await postgres.fetch("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", name)
    try:
        yield
    finally:
        await postgres.fetch(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")


async def back(wire: Wire, key: int) -> None:
    """It comes back by itself: its statements are tried again, and nothing else is done about it."""

    async def is_back() -> bool:
        return rows(await wire.query(name_of(key))) == [[b"%d" % key]]

    await wait_until(is_back, what="the shard is back")


async def test_prepared_statements_go_on_at_the_shards_that_are_there(postgres: Postgres, wire: Wire) -> None:
    await wire.send(parse("SELECT name FROM customers WHERE id = $1", "by_key") + SYNC)
    await wire.read_until("Z")
    for key in (FIRST, OTHER):
        assert rows(await bound(wire, "by_key", key)) == [[b"%d" % key]]
    async with away(postgres, "s1"):
        for _ in range(3):
            frames = await bound(wire, "by_key", OTHER)
            assert (errors(frames), frames[-1].body) == ([AWAY], b"I")
            assert rows(await bound(wire, "by_key", FIRST)) == [[b"%d" % FIRST]]
    await back(wire, OTHER)
    assert rows(await bound(wire, "by_key", OTHER)) == [[b"%d" % OTHER]]


async def test_what_comes_before_it_in_a_pipeline_is_done(postgres: Postgres, wire: Wire) -> None:
    async with away(postgres, "s1"):
        one, other = (
            parse("SELECT name FROM customers WHERE id = $1") + bind("", [b"%d" % key]) + execute() + SYNC
            for key in (FIRST, OTHER)
        )
        await wire.send(one, other, one)
        assert rows(await wire.read_until("Z")) == [[b"%d" % FIRST]]
        assert errors(await wire.read_until("Z")) == [AWAY]
        assert rows(await wire.read_until("Z")) == [[b"%d" % FIRST]]


async def test_a_transaction_on_another_shard_goes_on_and_commits(postgres: Postgres, wire: Wire) -> None:
    await wire.query("BEGIN")
    await wire.query(f"UPDATE customers SET name = 'kept' WHERE id = {FIRST}")
    async with away(postgres, "s1"):
        assert rows(await wire.query(name_of(FIRST))) == [[b"kept"]]
        await wire.query("SAVEPOINT before")
        assert errors(await wire.query(name_of(OTHER))) == [AWAY]
        await wire.query("ROLLBACK TO before")
        assert [frame.body for frame in await wire.query("COMMIT")] == [b"COMMIT\0", b"I"]
        assert rows(await wire.query(name_of(FIRST))) == [[b"kept"]]
        await wire.query(f"UPDATE customers SET name = '{FIRST}' WHERE id = {FIRST}")
    await back(wire, OTHER)


async def test_a_block_that_has_no_shard_yet_fails_with_its_first_statement(postgres: Postgres, wire: Wire) -> None:
    async with away(postgres, "s1"):
        for begin in ("BEGIN", "BEGIN ISOLATION LEVEL SERIALIZABLE"):
            assert shape(await wire.query(begin)) == "CZ"
            frames = await wire.query(name_of(OTHER))
            assert (errors(frames), frames[-1].body) == ([AWAY], b"E")
            assert errors(await wire.query(name_of(FIRST))) == ["25P02"]
            assert [frame.body for frame in await wire.query("COMMIT")] == [b"ROLLBACK\0", b"I"]
        assert shape(await wire.query("BEGIN")) == "CZ"
        assert rows(await wire.query(name_of(FIRST))) == [[b"%d" % FIRST]]
        assert shape(await wire.query("COMMIT")) == "CZ"
    await back(wire, OTHER)


async def test_a_transaction_that_is_there_is_lost_and_its_client_goes_on(postgres: Postgres, wire: Wire) -> None:
    await wire.query("BEGIN")
    await wire.query(f"UPDATE customers SET name = 'lost' WHERE id = {OTHER}")
    async with away(postgres, "s1"):
        frames = await wire.query(name_of(OTHER))
        assert (errors(frames), frames[-1].body) == (["57P01"], b"E")
        assert errors(await wire.query(name_of(FIRST))) == ["25P02"]
        assert [frame.body for frame in await wire.query("COMMIT")] == [b"ROLLBACK\0", b"I"]
        assert rows(await wire.query(name_of(FIRST))) == [[b"%d" % FIRST]]
    await back(wire, OTHER)


@pytest.mark.parametrize("shard", SHARDS)
async def test_reference_tables_are_read_whatever_shard_is_away(postgres: Postgres, wire: Wire, shard: str) -> None:
    key = {"s0": FIRST, "s1": OTHER}[shard]
    there = FIRST + OTHER - key
    async with away(postgres, shard):
        assert errors(await wire.query(name_of(key))) == [AWAY]
        for sql in ("SELECT name FROM countries WHERE code = 'de'", "SELECT 'Germany'"):
            assert rows(await wire.query(sql)) == [[b"Germany"]]
            await wire.send(parse(sql) + bind() + execute() + SYNC)
            assert rows(await wire.read_until("Z")) == [[b"Germany"]]
        joined = f"SELECT c.name FROM customers c, countries n WHERE n.code = 'de' AND c.id = {there}"
        assert rows(await wire.query(joined)) == [[b"%d" % there]]
        await wire.query("BEGIN")
        await wire.query(name_of(there))
        assert rows(await wire.query("SELECT name FROM countries WHERE code = 'fr'")) == [[b"France"]]
        await wire.query("COMMIT")
    await back(wire, key)
