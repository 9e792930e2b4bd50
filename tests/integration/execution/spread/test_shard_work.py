"""Locks, cancel requests, clients that leave and servers that die, while shards do what no transaction holds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg

from tests.integration.conftest import ProxyFactory
from tests.integration.job_shards import DATABASE, SCHEMA, TABLES, at, indexes, jobs
from tests.integration.postgres import Postgres
from tests.integration.sharded import SHARDS, create, create_database, keys_of
from tests.integration.spread_pair import Pair
from tests.integration.transcript import errors, session
from tests.integration.waiting import wait_until
from tests.integration.wire import Wire, error_fields

CREATE = "CREATE INDEX CONCURRENTLY by_name ON customers (name)"
WRITE = f"INSERT INTO customers VALUES ({keys_of(1, 1)[0]}, 'x', 1) ON CONFLICT DO NOTHING"
LOCK = "LOCK TABLE customers IN SHARE UPDATE EXCLUSIVE MODE"


@asynccontextmanager
async def held(pair: Pair, sql: str) -> AsyncIterator[None]:
    """A transaction at shard s1 that has done this and does not end."""
    connection = await pair.postgres.connect(f"{DATABASE}_s1")
    async with connection, connection.transaction():
        await connection.execute(sql.encode())
        yield


async def is_so(pair: Pair, **wanted: Any) -> bool:
    """Of the part of shard s1."""
    part = (await jobs(pair)).get("s1", {})
    return all(part.get(name) == value for name, value in wanted.items())


async def waits_at_s1(pair: Pair) -> bool:
    return await is_so(pair, state="running") and bool(
        await pair.postgres.fetch(
            "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'", f"{DATABASE}_s1"
        )
    )


async def test_a_lock_that_is_held_too_long_is_tried_again_and_what_it_left_goes(job_pair: Pair) -> None:
    """The session's own lock_timeout holds at every shard."""
    await job_pair.sharded.query("SET lock_timeout = '100ms'")
    async with held(job_pair, WRITE):
        await job_pair.sharded.send_query(CREATE)
        await wait_until(lambda: is_so(job_pair, tries=2))
        found = await jobs(job_pair)
        assert (found["s0"]["state"], found["s1"]["error"][:5]) == ("done", "55P03")
    reply = await job_pair.sharded.read_until("Z")
    assert [item.body for item in reply if item.type in "CE"] == [b"CREATE INDEX\0"]
    await job_pair.whole.query(CREATE)
    assert ("by_name", True) in await indexes(job_pair)
    assert await is_so(job_pair, state="done")


async def test_a_lock_that_is_never_given_is_told_with_its_shard(job_pair: Pair) -> None:
    await job_pair.sharded.query("SET lock_timeout = '10ms'")
    async with held(job_pair, LOCK):
        (told,) = [error_fields(item) for item in await job_pair.sharded.query(CREATE) if item.type == "E"]
    assert (told["C"], told["M"]) == ("55P03", "canceling statement due to lock timeout")
    assert told["D"] == "Not done on shard s1; done on shard s0."
    assert (await jobs(job_pair))["s1"]["tries"] == 5
    reply = await job_pair.sharded.query(CREATE)
    assert [item.type for item in reply if item.type in "NCE"] == ["N", "C"]


async def test_a_cancel_request_reaches_all_shards_and_those_that_wait_to_try_again(job_pair: Pair) -> None:
    wire = job_pair.sharded

    async def cancelled(sql: str, reached: Callable[[], Awaitable[bool]]) -> None:
        async with held(job_pair, LOCK):
            await wire.send_query(sql)
            await wait_until(reached)
            await Wire.cancel(job_pair.proxy.port, wire.backend_pid, wire.cancel_key)
            assert errors(await wire.read_until("Z")) == ["57014"]
        assert (await at(job_pair, "s1", "SELECT to_regclass('by_name')")) == [(None,)]

    await cancelled(CREATE, lambda: waits_at_s1(job_pair))
    await cancelled("VACUUM customers", lambda: waits_at_s1(job_pair))
    await wire.query("SET lock_timeout = '10ms'")
    await cancelled(CREATE, lambda: is_so(job_pair, state="to be tried again"))


async def test_it_goes_on_without_its_client(job_pair: Pair) -> None:
    async with session(job_pair.proxy, database=DATABASE) as wire, held(job_pair, LOCK):
        await wire.send_query(CREATE)
        await wait_until(lambda: waits_at_s1(job_pair))
        wire.abort()
    await wait_until(lambda: is_so(job_pair, state="done"))
    await job_pair.whole.query(CREATE)
    assert ("by_name", True) in await indexes(job_pair)


async def test_a_server_that_goes_away_is_asked_again(job_pair: Pair) -> None:
    """What it has left half built is dropped first, and REINDEX leaves nothing of what it began either."""
    for sql in (CREATE, "REINDEX TABLE CONCURRENTLY customers"):
        async with held(job_pair, WRITE):
            await job_pair.sharded.send_query(sql)
            await wait_until(lambda: waits_at_s1(job_pair))
            await job_pair.postgres.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND query = %s",
                f"{DATABASE}_s1",
                sql,
            )
            await wait_until(lambda: is_so(job_pair, tries=2))
        assert errors(await job_pair.sharded.read_until("Z")) == []
        await job_pair.whole.query(sql)
        assert ("by_name", True) in await indexes(job_pair)


async def test_a_shard_that_is_killed_and_comes_back_has_the_index_too(
    postgres: Postgres, own_postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    settings = await create(postgres, DATABASE, SCHEMA, TABLES)
    await create_database(own_postgres, f"{DATABASE}_s1", SCHEMA)
    settings["shards"][1]["primary"] = f"postgres://127.0.0.1:{own_postgres.port}/{DATABASE}_s1"
    proxy = await start_proxy({"pool_mode": "transaction"}, databases={DATABASE: settings})
    async with session(proxy, database=DATABASE) as wire:
        pair = Pair(proxy, own_postgres, DATABASE, wire, wire)
        with suppress(psycopg.OperationalError):  # of who holds it up
            async with held(pair, WRITE):
                await wire.send_query(CREATE)
                await wait_until(lambda: waits_at_s1(pair))
                await own_postgres.kill()
    await own_postgres.start()
    await wait_until(lambda: is_so(pair, state="done"), 30)
    for server, shard in zip((postgres, own_postgres), SHARDS, strict=True):
        sql = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('by_name')"
        assert await server.fetch(sql, database=f"{DATABASE}_{shard}") == [(True,)]


async def test_it_is_done_in_the_name_of_the_sessions_role(job_pair: Pair) -> None:
    await job_pair.postgres.fetch("DROP ROLE IF EXISTS job_nobody")
    await job_pair.postgres.fetch("CREATE ROLE job_nobody")
    rebuild = "REINDEX TABLE CONCURRENTLY customers"
    for sql in ("SET ROLE job_nobody", CREATE, "VACUUM customers", rebuild, "RESET ROLE"):
        await job_pair.both(sql)
    await job_pair.both(CREATE)
    await indexes(job_pair)
    await job_pair.postgres.fetch("DROP ROLE job_nobody")


async def test_a_shard_that_stays_away_is_named(
    postgres: Postgres, own_postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    """An index is begun nowhere then; what is idempotent is done at the others."""
    settings = await create(postgres, DATABASE, SCHEMA, TABLES)
    await create_database(own_postgres, f"{DATABASE}_s1", SCHEMA)
    settings["shards"][1]["primary"] = f"postgres://127.0.0.1:{own_postgres.port}/{DATABASE}_s1"
    proxy = await start_proxy({"pool_mode": "transaction", "query_wait_timeout": 2}, databases={DATABASE: settings})
    async with session(proxy, database=DATABASE) as wire:
        pair = Pair(proxy, own_postgres, DATABASE, wire, wire)
        assert errors(await wire.query("VACUUM customers")) == []
        await own_postgres.kill()
        for sql, states, detail in (
            ("VACUUM customers", ["done", "failed"], "Not done on shard s1; done on shard s0."),
            (CREATE, ["not begun", "not begun"], None),
        ):
            (told,) = [error_fields(item) for item in await wire.query(sql) if item.type == "E"]
            assert (told["C"], told.get("D")) == ("53300", detail)
            found = await jobs(pair)
            assert [found[shard]["state"] for shard in SHARDS] == states
            assert [found[shard]["error"][:5] for shard in SHARDS] == ["", "53300"]


async def test_all_workers_show_what_any_of_them_does(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    settings = await create(postgres, DATABASE, SCHEMA, TABLES)
    settings["cross_shard_snapshot"] = "shard"
    proxy = await start_proxy({"pool_mode": "transaction", "workers": 2}, databases={DATABASE: settings})
    async with session(proxy, database=DATABASE) as one, session(proxy, database=DATABASE) as other:
        for wire in (one, other):
            assert errors(await wire.query("VACUUM customers")) == []
        rows = await proxy.admin("SHOW JOBS")
    assert [(row["shard"], row["state"]) for row in rows] == [(shard, "done") for shard in SHARDS] * 2
    assert len({row["id"] for row in rows}) == 2


async def test_each_shard_says_what_it_has_done(job_pair: Pair) -> None:
    reply = await job_pair.sharded.query("VACUUM (VERBOSE) customers")
    told = [error_fields(item)["M"] for item in reply if item.type == "N"]
    for shard in SHARDS:
        assert [text for text in told if f'"{DATABASE}_{shard}.public.customers"' in text]
