"""How many clients and servers there may be, who waits for how long, and when a server is opened, tested and closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import HOST, USER, Proxy
from tests.integration.transcript import errors, session, shape, transact
from tests.integration.waiting import wait_until
from tests.integration.wire import SYNC, Wire, bind, error_fields, execute, parse, rows
from trunkline.demo.free_port import free_port

HELD = "SELECT 'got one'"


async def pid_of(wire: Wire) -> bytes:
    return rows(await wire.query("SELECT pg_backend_pid()"))[0][0] or b""


async def servers(proxy: Proxy) -> int:
    return len(await proxy.admin("SHOW SERVERS"))


async def refusal(proxy: Proxy, user: str = USER, password: str = PASSWORD, database: str = "postgres") -> str:
    """The SQLSTATE with which a login is refused."""
    async with await Wire.connect(proxy.port) as wire:
        await wire.send_startup({"user": user, "database": database})
        return errors([(await wire.login_with(user, password))[-1]])[0]


@asynccontextmanager
async def held(proxy: Proxy, count: int = 1) -> AsyncIterator[list[Wire]]:
    """So many clients in an open transaction."""
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(session(proxy)) for _ in range(count)]
        for wire in wires:
            await wire.query("BEGIN")
        yield wires


# --- clients ----------------------------------------------------------------------------------------------------


async def test_max_client_conn_refuses_one_too_many(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    """[row 59]"""
    proxy = await start_proxy({"max_client_conn": 2}, databases={"postgres": postgres})
    async with session(proxy), session(proxy) as second:
        assert await refusal(proxy) == "53300"
        assert await servers(proxy) >= 0  # the console is not counted
        await second.query("SELECT 1")
    await wait_until(lambda: proxy.log.count("left: ") >= 3)
    async with session(proxy) as wire:
        assert rows(await wire.query("SELECT 1")) == [[b"1"]]


async def test_clients_of_a_database_and_of_a_user_are_counted(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    """[row 59]"""
    url = f"postgres://{HOST}:{postgres.port}/postgres"
    databases = {"one": {"primary": url, "max_db_client_connections": 1}, "two": {"primary": url}}
    config = {"users": {"postgres": {"max_user_client_connections": 2}}}
    proxy = await start_proxy(config, databases=databases)
    async with session(proxy, database="one"):
        assert await refusal(proxy, database="one") == "53300"
        async with session(proxy, database="two"):
            assert await refusal(proxy, database="two") == "53300"


# --- servers ----------------------------------------------------------------------------------------------------


async def test_a_pool_grows_to_its_size_and_not_beyond(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"default_pool_size": 3}, databases={"postgres": postgres})
    async with held(proxy, 3) as holders, session(proxy) as waiting:
        await waiting.send_query(HELD)
        await wait_until(lambda: _waiting(proxy))
        assert await servers(proxy) == 3
        await holders[1].query("COMMIT")
        assert rows(await waiting.read_until("Z")) == [[b"got one"]]


async def _waiting(proxy: Proxy) -> bool:
    return any(row["cl_waiting"] for row in await proxy.admin("SHOW POOLS"))


async def test_max_db_connections_holds_over_users(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    await postgres.fetch("DROP ROLE IF EXISTS neighbour")
    await postgres.create_role("neighbour", "secret")
    config = {"max_db_connections": 1}
    proxy = await start_proxy(config, databases={"postgres": postgres}, users={"neighbour": "secret"})
    async with session(proxy) as first, await Wire.connect(proxy.port) as second:
        await first.query("SELECT 1")
        await second.login("neighbour", "secret")
        for _ in range(3):  # each takes the other's idle server's place
            assert rows(await second.query("SELECT current_user")) == [[b"neighbour"]]
            assert rows(await first.query("SELECT current_user")) == [[b"postgres"]]
            assert await servers(proxy) == 1
        await first.query("BEGIN")
        await second.send_query(HELD)
        await wait_until(lambda: _waiting(proxy))
        await first.query("COMMIT")
        assert rows(await second.read_until("Z")) == [[b"got one"]]


async def test_a_user_who_never_rests_starves_nobody(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    await postgres.fetch("DROP ROLE IF EXISTS neighbour")
    await postgres.create_role("neighbour", "secret")
    config = {"max_db_connections": 2}
    proxy = await start_proxy(config, databases={"postgres": postgres}, users={"neighbour": "secret"})
    done = asyncio.Event()

    async def never_rest() -> None:
        async with session(proxy) as wire:
            while not done.is_set():
                await wire.query("SELECT 1")

    noisy = [asyncio.create_task(never_rest()) for _ in range(6)]
    await wait_until(lambda: _waiting(proxy))
    async with await Wire.connect(proxy.port) as quiet:
        await quiet.login("neighbour", "secret")
        for _ in range(20):
            assert rows(await quiet.query("SELECT current_user")) == [[b"neighbour"]]
    done.set()
    await asyncio.gather(*noisy)


async def test_max_user_connections_holds_over_databases(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    url = f"postgres://{HOST}:{postgres.port}/postgres"
    proxy = await start_proxy({"max_user_connections": 1}, databases={"one": url, "two": url})
    async with session(proxy, database="one") as first, session(proxy, database="two") as second:
        for _ in range(3):
            assert rows(await first.query("SELECT 1")) == rows(await second.query("SELECT 1")) == [[b"1"]]
            assert await servers(proxy) == 1


async def test_a_reserve_is_opened_for_who_waits_too_long(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    config = {"default_pool_size": 1, "reserve_pool_size": 1, "reserve_pool_timeout": 0.2}
    proxy = await start_proxy(config, databases={"postgres": postgres})
    async with held(proxy), session(proxy) as second:
        assert rows(await second.query(HELD)) == [[b"got one"]]
        assert await servers(proxy) == 2


async def test_min_pool_size_is_kept_while_clients_are_there(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    config = {"min_pool_size": 3, "server_idle_timeout": 0.2}
    proxy = await start_proxy(config, databases={"postgres": postgres})
    async with session(proxy) as wire:
        await wire.query("SELECT 1")

        async def three() -> bool:
            return await servers(proxy) == 3

        await wait_until(three)


# --- waiting ----------------------------------------------------------------------------------------------------


async def test_a_wait_that_is_too_long_ends_in_an_error_and_the_client_stays(
    postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    """[row 60]"""
    proxy = await start_proxy({"default_pool_size": 1, "query_wait_timeout": 0.2}, databases={"postgres": postgres})
    async with session(proxy) as wire, held(proxy) as holders:
        frames = await wire.query("SELECT 1")
        assert shape(frames) == "EZ"
        assert error_fields(frames[0])["S"] == "ERROR"
        assert errors(frames) == ["53300"]
        frames = await transact(wire, parse("SELECT 1"), bind(), execute(), SYNC)
        assert shape(frames) == "EZ"
        await holders[0].query("COMMIT")
        assert rows(await wire.query("SELECT 'later'")) == [[b"later"]]


async def test_a_refused_pipeline_is_answered_unit_by_unit(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"default_pool_size": 1, "query_wait_timeout": 0.2}, databases={"postgres": postgres})
    async with session(proxy) as wire, held(proxy):
        batch = parse("SELECT 1") + bind() + execute() + SYNC
        assert shape(await transact(wire, batch, batch, units=2)) == "EZEZ"


async def test_who_waits_long_gets_a_notice(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"default_pool_size": 1, "query_wait_notify": 0.2}, databases={"postgres": postgres})
    async with session(proxy) as wire, held(proxy) as holders:
        await wire.send_query("SELECT 'waited'")
        notice = await wire.read_frame()
        assert notice.type == "N"
        assert "queued" in error_fields(notice)["M"]
        await holders[0].query("COMMIT")
        assert shape(await wire.read_until("Z")) == "TDCZ"


async def test_those_who_wait_are_served_in_their_order(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    """[row 60]"""
    proxy = await start_proxy({"default_pool_size": 1}, databases={"postgres": postgres})
    served: list[int] = []
    async with AsyncExitStack() as stack:
        holder = (await stack.enter_async_context(held(proxy)))[0]
        wires = [await stack.enter_async_context(session(proxy)) for _ in range(5)]

        async def wait(number: int, wire: Wire) -> None:
            await wire.read_until("Z")
            served.append(number)

        for number, wire in enumerate(wires):
            await wire.send_query("SELECT nextval(pg_get_serial_sequence('pg_class', 'oid')) IS NULL")

            async def in_line(count: int = number + 1) -> bool:
                return any(row["cl_waiting"] == count for row in await proxy.admin("SHOW POOLS"))

            await wait_until(in_line)
        reading = asyncio.gather(*(wait(number, wire) for number, wire in enumerate(wires)))
        await holder.query("COMMIT")
        await reading
    assert served == sorted(served)


# --- the life of a server ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["server_lifetime", "server_idle_timeout"])
async def test_an_idle_server_is_closed_after(postgres: Postgres, start_proxy: ProxyFactory, setting: str) -> None:
    proxy = await start_proxy({setting: 0.3}, databases={"postgres": postgres})
    async with session(proxy) as wire:
        await wire.query("SELECT 1")

        async def none() -> bool:
            return await servers(proxy) == 0

        await wait_until(none)
        assert setting in proxy.log
        assert rows(await wire.query("SELECT 1")) == [[b"1"]]


async def test_a_lifetime_never_ends_a_transaction(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"server_lifetime": 0}, databases={"postgres": postgres})
    async with session(proxy) as wire, session(proxy) as other:
        await wire.query("BEGIN")
        pid = await pid_of(wire)
        await other.query("SELECT pg_sleep(0.3)")
        assert await pid_of(wire) == pid
        await wire.query("COMMIT")


@pytest.mark.parametrize(("check", "same"), [("<empty>", True), ("SELECT 1", True), ("SELECT 1/0", False)])
async def test_a_server_is_tested_before_its_next_use(
    postgres: Postgres, start_proxy: ProxyFactory, check: str, same: bool
) -> None:
    config = {"default_pool_size": 1, "server_check_query": check, "server_check_delay": 0}
    proxy = await start_proxy(config, databases={"postgres": postgres}, audited=False)
    async with session(proxy) as wire:
        pids = {await pid_of(wire) for _ in range(4)}
    assert (len(pids) == 1) == same


@pytest.mark.parametrize("round_robin", [False, True])
async def test_which_idle_server_is_taken(postgres: Postgres, start_proxy: ProxyFactory, round_robin: bool) -> None:
    proxy = await start_proxy({"server_round_robin": round_robin}, databases={"postgres": postgres}, audited=False)
    async with held(proxy, 3) as wires:
        for wire in wires:
            await wire.query("COMMIT")
        assert len({await pid_of(wires[0]) for _ in range(3)}) == (3 if round_robin else 1)


async def test_a_connect_query_runs_on_every_new_server(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    config = {"connect_query": "SET work_mem = '11MB'; SET TimeZone = 'Asia/Tokyo'"}
    proxy = await start_proxy(config, databases={"postgres": postgres})
    async with held(proxy, 2) as wires:
        for wire in wires:
            assert rows(await wire.query("SHOW work_mem")) == [[b"11MB"]]
            assert wire.parameters["TimeZone"] == "Asia/Tokyo"


async def test_a_connect_query_that_fails_is_told(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"connect_query": "SELECT 1/0"}, databases={"postgres": postgres})
    assert await refusal(proxy) == "22012"


@pytest.mark.parametrize("balance", ["round-robin", "disable"])
async def test_a_dead_host_among_several_is_passed_over(
    postgres: Postgres, start_proxy: ProxyFactory, balance: str
) -> None:
    """[row 15]"""
    url = f"postgres://{HOST}:{free_port()},{HOST}:{postgres.port}/postgres"
    config = {"load_balance_hosts": balance}
    proxy = await start_proxy(config, databases={"postgres": url})
    async with held(proxy, 4) as wires:
        assert len({await pid_of(wire) for wire in wires}) == 4


async def test_hosts_take_turns(postgres: Postgres, replica: Postgres, start_proxy: ProxyFactory) -> None:
    url = f"postgres://{HOST}:{postgres.port},{HOST}:{replica.port}/postgres"
    proxy = await start_proxy(databases={"postgres": url})
    async with held(proxy, 4) as wires:
        ports = [rows(await wire.query("SELECT inet_server_port()"))[0][0] for wire in wires]
    assert len(set(ports)) == 2
