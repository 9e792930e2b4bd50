"""Limits and timers: rows 59 to 64 of section 3b. Each has its SQLSTATE; who keeps within them notices nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.faults.conftest import unharmed
from tests.faults.guard import expect_own_answers, log_in
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.wire import SYNC, Wire, bind, error_fields, execute, parse, query, rows


async def limited(start_proxy: Any, postgres: Postgres, **settings: Any) -> Proxy:
    """A proxy with one server and these settings."""
    databases = {"one": {"primary": f"postgres://127.0.0.1:{postgres.port}/postgres", "pool_size": 1}}
    proxy: Proxy = await start_proxy({"pool_mode": "transaction", **settings}, databases=databases)
    return proxy


async def refused_login(proxy: Proxy) -> str:
    async with await Wire.connect(proxy.port) as wire:
        await wire.send_startup({"user": "postgres", "database": "one"})
        frames = await wire.login_with("postgres", proxy.users["postgres"])
        return error_fields(frames[-1])["C"]


@pytest.mark.parametrize("limit", ["max_client_conn", "max_db_client_connections", "max_user_client_connections"])
async def test_row_59_one_client_too_many_is_told_so_and_the_console_stays_open(start_proxy, postgres, limit) -> None:
    proxy = await limited(start_proxy, postgres, **{limit: 2})
    async with unharmed(proxy, "one"):
        wires = [await log_in(proxy) for _ in range(2)]
        assert await refused_login(proxy) == "53300"
        assert await proxy.admin("SHOW VERSION")
        await wires.pop().close()
        wires.append(await log_in(proxy))
        for wire in wires:
            assert rows(await wire.query("SELECT 1")) == [[b"1"]]
            await wire.close()


@pytest.mark.parametrize(
    "requests", [query("SELECT 1"), parse("SELECT 1") + bind() + execute() + SYNC], ids=["simple", "extended"]
)
async def test_row_60_who_waits_too_long_gets_one_error_and_is_kept(start_proxy, postgres, requests: bytes) -> None:
    proxy = await limited(start_proxy, postgres, query_wait_timeout=0.4)
    async with unharmed(proxy, "one"), await log_in(proxy) as holder, await log_in(proxy) as waiter:
        await holder.query("BEGIN")
        await waiter.send(requests + query("SELECT 'next'"))
        frames = await waiter.read_until("Z")
        assert [error_fields(item)["C"] for item in frames if item.type == "E"] == ["53300"]
        await waiter.read_until("Z")
        await holder.query("COMMIT")
        assert rows(await waiter.query("SELECT 'served'")) == [[b"served"]]
        await holder.close()
        await waiter.close()


TIMERS = [
    ("query_timeout", query("SELECT pg_sleep(60)"), "57014"),
    ("query_timeout", parse("SELECT pg_sleep(60)") + bind() + execute() + SYNC, "57014"),
    ("idle_transaction_timeout", query("BEGIN"), "25P03"),
    ("idle_transaction_timeout", query("SELECT 1/0; BEGIN") + query("BEGIN"), "25P03"),
    ("transaction_timeout", query("BEGIN"), "25P04"),
    ("transaction_timeout", query("BEGIN") + query("SELECT pg_sleep(60)"), "25P04"),
    ("client_idle_timeout", query("SELECT 1"), "57P05"),
    ("client_idle_timeout", b"", "57P05"),
]


@pytest.mark.parametrize("timer, requests, sqlstate", TIMERS, ids=[f"{t[0]} {n}" for n, t in enumerate(TIMERS)])
async def test_row_61_each_timer_ends_its_client_with_its_own_code(start_proxy, postgres, timer, requests, sqlstate):
    proxy = await limited(start_proxy, postgres, **{timer: 0.4})
    async with unharmed(proxy, "one"):
        async with await log_in(proxy) as wire:
            await wire.send(requests)
            frames = await wire.read_frames_to_end()
            fatal = [error_fields(item) for item in frames if item.type == "E"]
            assert (fatal[-1]["S"], fatal[-1]["C"]) == ("FATAL", sqlstate)
        async with await log_in(proxy) as quick:
            assert rows(await quick.query("SELECT 'in time'")) == [[b"in time"]]


async def test_row_62_a_storm_of_connects_and_resets_harms_nobody_who_is_in(proxy: Proxy) -> None:
    async def come_and_go(number: int) -> None:
        wire = await Wire.connect(proxy.port)
        if number % 3 == 0:
            await wire.send_startup({"user": "postgres", "database": "one"})
        wire.abort()
        await wire.close()

    async with await log_in(proxy) as inside:
        for _ in range(5):
            storm = asyncio.gather(*(come_and_go(number) for number in range(100)))
            for number in range(20):
                assert rows(await inside.query(f"SELECT {number}")) == [[str(number).encode()]]
            await storm


async def test_row_64_statement_pooling_refuses_a_transaction_block(start_proxy: Any, postgres: Postgres) -> None:
    proxy = await limited(start_proxy, postgres, pool_mode="statement")
    async with unharmed(proxy, "one"):
        async with await log_in(proxy) as wire:
            await wire.send_query("BEGIN")
            frames = await wire.read_frames_to_end()
            assert [error_fields(item)["C"] for item in frames if item.type == "E"] == ["0A000"]
        await expect_own_answers(proxy)


async def test_row_64_session_pooling_leaks_no_session_state(proxy: Proxy) -> None:
    """Settings, roles, temporary tables, locks, cursors, statements and channels end with their client."""
    async with await log_in(proxy, "session") as wire:
        await wire.query("SET work_mem = '1MB'; SET ROLE pg_monitor; RESET ROLE; CREATE TEMP TABLE leaked (n int)")
        await wire.query("SELECT pg_advisory_lock(42), set_config('my.secret', 'leaked', false)")
        await wire.query("DECLARE held CURSOR WITH HOLD FOR SELECT 1; PREPARE ready AS SELECT 1; LISTEN channel")
        await wire.send(parse("SELECT 'leaked'", "mine") + parse("SELECT 'leaked'") + SYNC)
        await wire.read_until("Z")
    async with await log_in(proxy, "session") as heir:
        frames = await heir.query(
            "SELECT (SELECT count(*) FROM pg_settings WHERE source = 'session' AND name = 'work_mem'),"
            " (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_cursors),"
            " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),"
            " (SELECT count(*) FROM pg_listening_channels()), to_regclass('leaked') IS NULL,"
            " coalesce(current_setting('my.secret', true), '')"
        )
        assert rows(frames) == [[b"0", b"0", b"0", b"0", b"0", b"t", b""]]
