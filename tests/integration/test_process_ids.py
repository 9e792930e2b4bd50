"""The process id that a client is told: in session pooling its server's own, else an id that no server has."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import USER, Proxy
from tests.integration.transcript import errors, session
from tests.integration.waiting import wait_until
from tests.integration.wire import PROTOCOL_3_0, PROTOCOL_3_2, Frame, Wire, error_fields, rows

PID_MAX = 1 << 22


@pytest.fixture
async def sessions(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    return await start_proxy({"pool_mode": "session", "default_pool_size": 2}, databases={"postgres": postgres})


async def backend_of(wire: Wire) -> int:
    return int(rows(await wire.query("SELECT pg_backend_pid()"))[0][0] or 0)


async def notified(wire: Wire) -> Frame:
    return (await wire.read_until("A"))[-1]


def sender(notification: Frame) -> int:
    return int.from_bytes(notification.body[:4], "big")


async def test_a_session_is_told_its_servers_process_id(sessions: Proxy) -> None:
    async with session(sessions) as first, session(sessions) as second:
        for wire in (first, second):
            assert wire.backend_pid == await backend_of(wire)
        assert first.backend_pid != second.backend_pid


@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_elsewhere_the_id_is_nobody_elses(postgres: Postgres, start_proxy: ProxyFactory, mode: str) -> None:
    proxy = await start_proxy({"pool_mode": mode}, databases={"postgres": postgres})
    async with session(proxy) as first, session(proxy) as second:
        assert first.backend_pid != second.backend_pid
        assert min(first.backend_pid, second.backend_pid) >= PID_MAX


async def test_a_session_can_be_terminated_by_the_id_that_it_was_told(postgres: Postgres, sessions: Proxy) -> None:
    async with session(sessions) as wire:
        assert await postgres.fetch("SELECT pg_terminate_backend(%s)", wire.backend_pid) == [(True,)]
        [last] = await wire.read_frames_to_end()
        assert error_fields(last)["C"] == "57P01"


async def test_a_sessions_query_can_be_canceled_at_the_server_by_that_id(postgres: Postgres, sessions: Proxy) -> None:
    async with session(sessions) as wire:
        await wire.send_query("SELECT pg_sleep(60)")
        canceling = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = %s AND state = 'active'"

        async def canceled() -> bool:
            return await postgres.fetch(canceling, wire.backend_pid) == [(True,)]

        await wait_until(canceled)
        assert errors(await wire.read_until("Z")) == ["57014"]


async def test_the_sender_of_a_notification_is_the_session_that_sent_it(sessions: Proxy) -> None:
    async with session(sessions) as listener, session(sessions) as talker:
        await listener.query("LISTEN news")
        await talker.query("NOTIFY news, 'from a neighbour'")
        assert sender(await notified(listener)) == talker.backend_pid
        frames = await listener.query("NOTIFY news, 'from myself'")
        [own] = [frame for frame in frames if frame.type == "A"]
        assert sender(own) == listener.backend_pid


@pytest.mark.parametrize("version", [PROTOCOL_3_0, PROTOCOL_3_2], ids=["3.0", "3.2"])
async def test_the_key_is_never_the_servers(postgres: Postgres, sessions: Proxy, version: int) -> None:
    """So a session's cancel request is no use at the server, and one that is over stops nobody."""
    async with await Wire.connect(sessions.port) as first:
        await first.login(USER, PASSWORD, version=version)
        old = (first.backend_pid, first.cancel_key)
    async with await Wire.connect(sessions.port) as second:
        await second.login(USER, PASSWORD, version=version)
        assert (second.backend_pid, second.cancel_key != old[1]) == (old[0], True)
        sql = "SELECT pg_sleep(0.3), 'whole'"
        await second.send_query(sql)
        for port in (sessions.port, postgres.port):
            await Wire.cancel(port, *old)
        await Wire.cancel(postgres.port, second.backend_pid, second.cancel_key)
        assert rows(await second.read_until("Z"))[0][1] == b"whole"
        await second.send_query("SELECT pg_sleep(60)")
        reading = asyncio.create_task(second.read_until("Z"))
        while not reading.done():
            await Wire.cancel(sessions.port, second.backend_pid, second.cancel_key)
        assert errors(await reading) == ["57014"]


async def test_a_login_waits_for_a_server_and_is_told_when_there_is_none(
    postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    config = {"pool_mode": "session", "default_pool_size": 1, "query_wait_timeout": 0.3, "client_login_timeout": 0.2}
    proxy = await start_proxy(config, databases={"postgres": postgres})
    async with session(proxy) as first, await Wire.connect(proxy.port) as late:
        await late.send_startup({"user": USER, "database": "postgres"})
        last = (await late.login_with(USER, PASSWORD))[-1]
        assert (error_fields(last)["S"], error_fields(last)["C"]) == ("FATAL", "53300")
        assert rows(await first.query("SELECT 1")) == [[b"1"]]


async def test_a_login_that_waits_counts_and_gives_its_place_up_when_it_leaves(
    postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    config = {"pool_mode": "session", "default_pool_size": 1, "max_client_conn": 2}
    proxy = await start_proxy(config, databases={"postgres": postgres})

    async def waiting() -> int:
        return int(sum(row["cl_waiting"] for row in await proxy.admin("SHOW POOLS")))

    async with session(proxy):
        async with await Wire.connect(proxy.port) as second, await Wire.connect(proxy.port) as third:
            logging_in = asyncio.create_task(second.login(USER, PASSWORD))
            await wait_until(waiting)
            await third.send_startup({"user": USER, "database": "postgres"})
            assert errors([(await third.login_with(USER, PASSWORD))[-1]]) == ["53300"]
            logging_in.cancel()
        await wait_until(lambda: _none(waiting))
        assert [row["database"] for row in await proxy.admin("SHOW CLIENTS")].count("postgres") == 1
    async with session(proxy) as next_one:
        assert rows(await next_one.query("SELECT 1")) == [[b"1"]]


async def _none(count: object) -> bool:
    return await count() == 0  # type: ignore[operator]


async def test_a_replication_client_is_told_its_servers_process_id(postgres: Postgres, proxy: Proxy) -> None:
    async with session(proxy, replication="database") as wire:
        assert await backend_of(wire) == wire.backend_pid
