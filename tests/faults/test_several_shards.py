"""Statements over several shards: a shard is away or has another schema, a client cancels, leaves, or is slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.faults.sharded import FIRST, one_row_each
from tests.faults.test_shard_down import AWAY, away
from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.transcript import errors, session, shape
from tests.integration.waiting import wait_until
from tests.integration.wire import Wire, error_fields, query, rows

DATABASE = "down"  # as `away` has it
ALL = "SELECT id FROM customers"
SLOW = "SELECT count(*) FROM customers WHERE pg_sleep(60) IS NULL"
MANY = "SELECT repeat('x', 20000) FROM loose"


@pytest.fixture
async def proxy(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Proxy]:
    async with one_row_each(postgres, start_proxy, DATABASE, server_login_retry=0.1) as started:
        yield started


@pytest.fixture
async def wire(proxy: Proxy) -> AsyncIterator[Wire]:
    async with session(proxy, database=DATABASE) as logged_in:
        yield logged_in


async def nobody_runs(postgres: Postgres, text: str) -> None:
    """Nothing like that is left at a server."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE datname LIKE %s AND state <> 'idle' AND query LIKE %s"

    async def over() -> bool:
        return await postgres.fetch(sql, f"{DATABASE}_s_", f"%{text}%") == [(0,)]

    await wait_until(over, what=f"{text} runs nowhere")


async def test_a_shard_that_is_away_is_named_and_the_client_goes_on(postgres: Postgres, wire: Wire) -> None:
    async with away(postgres, "s1"):
        reply = await wire.query(ALL)
        assert (errors(reply), reply[-1].body) == ([AWAY], b"I")
        assert rows(await wire.query(f"{ALL} WHERE id = {FIRST}")) == [[b"%d" % FIRST]]
        assert shape(await wire.query("BEGIN")) == "CZ"
        reply = await wire.query(ALL)
        assert (errors(reply), reply[-1].body) == ([AWAY], b"E")
        assert errors(await wire.query(ALL)) == ["25P02"]
        assert [frame.body for frame in await wire.query("COMMIT")] == [b"ROLLBACK\0", b"I"]

    async def is_back() -> bool:
        return len(rows(await wire.query(ALL))) == 2

    await wait_until(is_back, what="the shard is back")


async def test_a_shard_that_goes_away_in_the_middle_is_lost_to_that_statement(postgres: Postgres, wire: Wire) -> None:
    await wire.send(query(SLOW))
    sql = "SELECT pid FROM pg_stat_activity WHERE datname LIKE %s AND query LIKE '%%pg_sleep%%' AND state <> 'idle'"
    found = await wait_until(lambda: postgres.fetch(sql, f"{DATABASE}_s_"), what="it runs at a shard")
    await postgres.fetch("SELECT pg_terminate_backend(%s)", found[0][0])
    reply = await wire.read_until("Z")
    assert (shape(reply)[-2:], reply[-1].body) == ("EZ", b"I")
    assert error_fields(reply[-2])["S"] == "ERROR"
    assert error_fields(reply[-2])["C"] in ("57P01", "08006")
    await nobody_runs(postgres, "pg_sleep")
    assert len(rows(await wire.query(ALL))) == 2


async def test_shards_of_another_schema_are_no_answer(postgres: Postgres, wire: Wire) -> None:
    assert len(rows(await wire.query("SELECT name FROM customers"))) == 2
    await postgres.fetch("ALTER TABLE customers ALTER name TYPE varchar(10)", database=f"{DATABASE}_s1")
    reply = await wire.query("SELECT name FROM customers")
    assert errors(reply) == ["0A000"]
    assert f"{DATABASE}/s1" in error_fields(reply[-2])["D"]
    await postgres.fetch("ALTER TABLE customers DROP name", database=f"{DATABASE}_s1")
    assert errors(await wire.query("SELECT name FROM customers")) == ["42703"]
    assert len(rows(await wire.query(ALL))) == 2


async def test_a_cancel_stops_it_at_every_shard(proxy: Proxy, postgres: Postgres, wire: Wire) -> None:
    sql = "SELECT 1 FROM pg_stat_activity WHERE datname LIKE %s AND query LIKE '%%pg_sleep%%' AND state <> 'idle'"
    for begin in ("", "BEGIN"):
        if begin:
            await wire.query(begin)
        await wire.send(query(SLOW))
        await wait_until(lambda: postgres.fetch(sql, f"{DATABASE}_s_"), what="it runs")
        await Wire.cancel(proxy.port, wire.backend_pid, wire.cancel_key)
        reply = await wire.read_until("Z")
        assert (errors(reply), reply[-1].body) == (["57014"], b"E" if begin else b"I")
        await wire.query("ROLLBACK")
        await nobody_runs(postgres, "pg_sleep")
    assert len(rows(await wire.query(ALL))) == 2


async def test_a_client_that_leaves_stops_it_at_every_shard(proxy: Proxy, postgres: Postgres, wire: Wire) -> None:
    for _ in range(3):
        async with session(proxy, database=DATABASE) as leaver:
            await leaver.send(query(SLOW))
            await asyncio.sleep(0)
    await nobody_runs(postgres, "pg_sleep")
    assert len(rows(await wire.query(ALL))) == 2


async def test_a_client_that_stops_reading_stops_the_shards(proxy: Proxy, postgres: Postgres, wire: Wire) -> None:
    """160 MB are asked for; the servers are not read further, so they wait to be, and another client is served."""
    for shard in ("s0", "s1"):
        await postgres.fetch("INSERT INTO loose SELECT generate_series(1, 4000)", database=f"{DATABASE}_{shard}")
    async with session(proxy, database=DATABASE) as lazy:
        await lazy.send(query(MANY))
        await lazy.read_until("D")
        sql = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname LIKE %s AND query LIKE %s"
            " AND wait_event = 'ClientWrite'"
        )

        async def both_wait() -> bool:
            return await postgres.fetch(sql, f"{DATABASE}_s_", "%repeat%") == [(2,)]

        await wait_until(both_wait, what="both servers wait for their reader")
        assert len(rows(await wire.query(ALL))) == 2
        assert len(rows(await lazy.read_until("Z"))) == 2 * 4000 - 1
        assert len(rows(await lazy.query(ALL))) == 2
