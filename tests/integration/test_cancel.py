"""Cancel requests: they stop the query they were meant for, wherever it is, or nothing.

[1c cancel race] [row 57]
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.integration.certificates import Authority
from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import USER, Proxy
from tests.integration.transcript import errors, session, shape
from tests.integration.waiting import wait_until
from tests.integration.wire import PROTOCOL_3_0, PROTOCOL_3_2, Wire, rows

SLEEP = "SELECT pg_sleep(60)"
ROUNDS = 60


@pytest.fixture
async def pool_of_one(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    return await start_proxy({"default_pool_size": 1}, databases={"postgres": postgres})


async def runs(postgres: Postgres, sql: str = SLEEP) -> None:
    """Until the server executes this statement."""

    async def active() -> bool:
        return bool(await postgres.fetch("SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query = %s", sql))

    await wait_until(active)


async def cancel(proxy: Proxy, wire: Wire) -> None:
    await Wire.cancel(proxy.port, wire.backend_pid, wire.cancel_key)


@pytest.mark.parametrize(("version", "key_bytes"), [(PROTOCOL_3_0, 4), (PROTOCOL_3_2, 32)], ids=["3.0", "3.2"])
async def test_a_running_query_is_canceled(
    postgres: Postgres, pool_of_one: Proxy, version: int, key_bytes: int
) -> None:
    async with await Wire.connect(pool_of_one.port) as wire:
        await wire.login(USER, PASSWORD, version=version)
        assert len(wire.cancel_key) == key_bytes
        await wire.send_query(SLEEP)
        await runs(postgres)
        await cancel(pool_of_one, wire)
        assert errors(await wire.read_until("Z")) == ["57014"]
        assert rows(await wire.query("SELECT 1")) == [[b"1"]]


async def test_a_query_in_a_transaction_is_canceled(postgres: Postgres, pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as wire:
        await wire.query("BEGIN")
        await wire.send_query(SLEEP)
        await runs(postgres)
        await cancel(pool_of_one, wire)
        frames = await wire.read_until("Z")
        assert errors(frames) == ["57014"]
        assert frames[-1].body == b"E"
        assert shape(await wire.query("ROLLBACK")) == "CZ"


async def test_a_query_that_waits_for_a_server_is_canceled_at_once(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as holder, session(pool_of_one) as wire:
        await holder.query("BEGIN")
        await wire.send_query("SELECT 'never'")
        pending = asyncio.create_task(wire.read_until("Z"))
        while not pending.done():
            await cancel(pool_of_one, wire)
        assert errors(await pending) == ["57014"]
        assert rows(await holder.query("SELECT 'mine'")) == [[b"mine"]]
        await holder.query("COMMIT")
        assert rows(await wire.query("SELECT 'later'")) == [[b"later"]]


async def test_an_idle_client_is_left_alone(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as wire:
        await cancel(pool_of_one, wire)
        assert rows(await wire.query("SELECT 1")) == [[b"1"]]
        await wire.query("BEGIN")
        await cancel(pool_of_one, wire)
        assert rows(await wire.query("SELECT 2")) == [[b"2"]]


async def test_a_wrong_key_cancels_nothing(postgres: Postgres, pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as wire:
        sql = "SELECT pg_sleep(0.3), 'whole'"
        await wire.send_query(sql)
        await runs(postgres, sql)
        for key in (b"\0\0\0\0", wire.cancel_key + b"\0", wire.cancel_key[::-1], b"x" * 256):
            await Wire.cancel(pool_of_one.port, wire.backend_pid, key)
        await Wire.cancel(pool_of_one.port, wire.backend_pid ^ 1, wire.cancel_key)
        assert rows(await wire.read_until("Z"))[0][1] == b"whole"


async def test_a_servers_own_key_is_not_the_clients(postgres: Postgres, pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as wire:
        backend = int(rows(await wire.query("SELECT pg_backend_pid()"))[0][0] or 0)
        assert backend != wire.backend_pid


async def test_a_cancel_request_comes_over_tls(
    postgres: Postgres, start_proxy: ProxyFactory, authority: Authority, tmp_path: Path
) -> None:
    issued = authority.issue("localhost")
    (tmp_path / "server.crt").write_bytes(issued.certificate)
    (tmp_path / "server.key").write_bytes(issued.key)
    config = {
        "default_pool_size": 1,
        "client_tls_sslmode": "require",
        "client_tls_cert_file": str(tmp_path / "server.crt"),
        "client_tls_key_file": str(tmp_path / "server.key"),
    }
    proxy = await start_proxy(config, databases={"postgres": postgres})
    async with await Wire.connect(proxy.port) as wire:
        assert await wire.request_tls() == b"S"
        await wire.login(USER, PASSWORD)
        await wire.send_query(SLEEP)
        await runs(postgres)
        await Wire.cancel(proxy.port, wire.backend_pid, wire.cancel_key, tls=True)
        assert errors(await wire.read_until("Z")) == ["57014"]


async def test_cancel_never_reaches_the_next_client(pool_of_one: Proxy) -> None:
    """One client cancels queries that are about to end; the other uses the same server right behind it."""
    async with session(pool_of_one) as victim, session(pool_of_one) as other:
        stop = asyncio.Event()

        async def use() -> int:
            count = 0
            while not stop.is_set():
                frames = await other.query(f"SELECT pg_sleep(0.002), {count}")
                assert errors(frames) == []
                assert rows(frames)[0][1] == b"%d" % count
                count += 1
            return count

        using = asyncio.create_task(use())
        outcomes = set()
        for number in range(ROUNDS):
            await victim.send_query(f"SELECT pg_sleep({number % 7 / 1000})")
            await cancel(pool_of_one, victim)
            outcomes.add(shape(await victim.read_until("Z")))
        stop.set()
        assert await using > 0
        assert outcomes <= {"TDCZ", "EZ", "TEZ"}


async def test_crowds_of_cancel_requests_harm_nobody_else(pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as victim, session(pool_of_one) as other:
        for _ in range(10):
            await victim.send_query("SELECT pg_sleep(0.01)")
            canceling = asyncio.gather(*(cancel(pool_of_one, victim) for _ in range(20)))
            await other.send_query("SELECT 'whole'")
            await victim.read_until("Z")
            assert rows(await other.read_until("Z")) == [[b"whole"]]
            await canceling


async def test_cancel_works_for_a_session_pool(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"pool_mode": "session"}, databases={"postgres": postgres})
    async with session(proxy) as wire:
        for _ in range(3):
            await wire.send_query(SLEEP)
            await runs(postgres)
            await cancel(proxy, wire)
            assert errors(await wire.read_until("Z")) == ["57014"]


async def test_a_client_that_vanishes_stops_its_query(postgres: Postgres, pool_of_one: Proxy) -> None:
    async with session(pool_of_one) as wire:
        await wire.send_query(SLEEP)
        await runs(postgres)
        wire.abort()

    async def stopped() -> bool:
        return await postgres.fetch("SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query = %s", SLEEP) == []

    await wait_until(stopped)
