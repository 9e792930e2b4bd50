"""What the console's commands do to real clients and servers, KILL, DISABLE, RECONNECT, SUSPEND, SET; and rights."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import USER, Proxy
from tests.integration.test_console import row_of
from tests.integration.waiting import wait_until
from tests.integration.wire import Wire
from trunkline.admin.commands import COMMANDS

USERS = {"stat": "secret", "ann": "secret"}


@pytest.fixture
async def narrow(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Proxy]:
    """A proxy with one server a pool, two databases, and a user for each kind of rights."""
    config = {"default_pool_size": 1, "stats_users": ["stat"]}
    proxy: Proxy = await start_proxy(config, databases={"postgres": postgres, "other": postgres}, users=USERS)
    yield proxy


async def backend(connection: psycopg.AsyncConnection) -> int:
    row = await (await connection.execute("SELECT pg_backend_pid()")).fetchone()
    assert row is not None
    return int(row[0])


async def state_of(proxy: Proxy) -> str:
    (state,) = [row["key"] for row in await proxy.admin("SHOW STATE") if row["value"] == "yes"]
    return str(state)


# --- KILL ---------------------------------------------------------------------------------------------------------


async def test_kill_ends_clients_and_servers_and_newcomers_wait_for_resume(narrow: Proxy) -> None:
    """[row 93]"""
    async with (
        await narrow.connect() as busy,
        await narrow.connect() as waiting,
        await narrow.connect("other") as other,
    ):
        await backend(other)
        await busy.execute("BEGIN")
        pid = await backend(busy)
        queued = asyncio.create_task(waiting.execute("SELECT 1"))
        await wait_until(lambda: _waiting(narrow, 1))
        await narrow.admin("KILL postgres")
        for ended in (queued, asyncio.create_task(busy.execute("SELECT 1"))):
            with pytest.raises(psycopg.errors.AdminShutdown, match="admin forced disconnect"):
                await ended
        assert (await row_of(narrow, "SHOW DATABASES", name="postgres"))["paused"] == 1
        assert [row["database"] for row in await narrow.admin("SHOW SERVERS")] == ["other"]
        await backend(other)

        newcomer = asyncio.create_task(narrow.fetch("SELECT pg_backend_pid()"))
        await wait_until(lambda: _waiting(narrow, 1))
        await narrow.admin("RESUME postgres")
        assert await newcomer != [(pid,)]


async def _waiting(proxy: Proxy, count: int) -> bool:
    rows = await proxy.admin("SHOW POOLS")
    return sum(row["cl_waiting"] for row in rows if row["database"] == "postgres") == count


async def test_kill_of_everything_leaves_the_console(narrow: Proxy) -> None:
    async with (
        await narrow.connect() as one,
        await narrow.connect("other") as two,
        await narrow.connect("trunkline") as console,
    ):
        await backend(one)
        await backend(two)
        await console.execute("KILL")
        for client in (one, two):
            with pytest.raises(psycopg.errors.AdminShutdown):
                await client.execute("SELECT 1")
        assert await (await console.execute("SHOW SERVERS")).fetchall() == []
        await console.execute("RESUME")
    assert await narrow.fetch("SELECT 1") == [(1,)]


async def test_kill_client_ends_one_in_the_middle_of_its_query(narrow: Proxy) -> None:
    async with await narrow.connect() as victim, await narrow.connect("other") as other:
        await backend(other)
        sleeping = asyncio.create_task(victim.execute("SELECT pg_sleep(60)"))
        await wait_until(lambda: _states(narrow, "postgres", ["active"]))
        number = (await row_of(narrow, "SHOW CLIENTS", database="postgres"))["id"]
        await narrow.admin(f"KILL_CLIENT {number}")
        with pytest.raises(psycopg.errors.AdminShutdown, match="admin forced disconnect"):
            await sleeping
        await backend(other)
        with pytest.raises(psycopg.errors.UndefinedObject, match="client not found"):
            await narrow.admin(f"KILL_CLIENT {number}")
    await wait_until(lambda: _states(narrow, "postgres", []))
    assert await narrow.fetch("SELECT 1") == [(1,)]


async def _states(proxy: Proxy, database: str, wanted: list[str]) -> bool:
    return [row["state"] for row in await proxy.admin("SHOW CLIENTS") if row["database"] == database] == wanted


# --- DISABLE ------------------------------------------------------------------------------------------------------


async def test_a_disabled_database_refuses_newcomers_only(narrow: Proxy) -> None:
    async with await narrow.connect() as client:
        await narrow.admin("DISABLE postgres")
        assert (await row_of(narrow, "SHOW DATABASES", name="postgres"))["disabled"] == 1
        await backend(client)
        with pytest.raises(psycopg.OperationalError, match='database "postgres" is disabled'):
            await narrow.connect()
        assert await narrow.fetch("SELECT 1", database="other") == [(1,)]
        await narrow.admin("ENABLE postgres")
        assert await narrow.fetch("SELECT 1") == [(1,)]


# --- RECONNECT ----------------------------------------------------------------------------------------------------


async def test_reconnect_renews_servers_when_they_are_free_and_wait_close_waits(narrow: Proxy) -> None:
    async with await narrow.connect() as client, await narrow.connect("trunkline") as console:
        await client.execute("BEGIN")
        before = await backend(client)
        await console.execute("RECONNECT postgres")
        assert (await row_of(narrow, "SHOW SERVERS", database="postgres"))["close_needed"] == 1
        waiting = asyncio.create_task(console.execute("WAIT_CLOSE postgres"))
        assert await backend(client) == before
        assert not waiting.done()
        await client.execute("COMMIT")
        await waiting
        assert await backend(client) != before
        idle = await backend(client)
        await console.execute("RECONNECT")
        await console.execute("WAIT_CLOSE")
        assert await backend(client) != idle


async def test_who_leaves_while_waiting_for_closes_leaves_nothing(narrow: Proxy) -> None:
    """[row 93]"""
    async with await narrow.connect() as client:
        await client.execute("BEGIN")
        await backend(client)
        async with await Wire.connect(narrow.port) as wire:
            await wire.login(USER, PASSWORD, database="trunkline")
            await wire.query("RECONNECT")
            await wire.send_query("WAIT_CLOSE")
            await wait_until(lambda: _consoles(narrow, 2))
        await wait_until(lambda: _consoles(narrow, 1))
        await client.execute("COMMIT")
        await backend(client)
    assert "Traceback" not in narrow.log


async def _consoles(proxy: Proxy, count: int) -> bool:
    return (await row_of(proxy, "SHOW POOLS", database="pgbouncer"))["cl_active"] == count


# --- SUSPEND ------------------------------------------------------------------------------------------------------


async def test_while_suspended_everything_stands_still_until_resume(narrow: Proxy) -> None:
    async with await narrow.connect() as client, await narrow.connect("trunkline") as console:
        before = await backend(client)
        await console.execute("SUSPEND")
        assert ("suspended", "yes") in await (await console.execute("SHOW STATE")).fetchall()
        query = asyncio.create_task(client.execute("SELECT pg_backend_pid()"))
        newcomer = asyncio.create_task(narrow.fetch("SELECT 1"))
        for command in ("SUSPEND", "PAUSE", "KILL postgres"):
            with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="already suspended/paused"):
                await console.execute(command)
        assert not query.done() and not newcomer.done()
        await console.execute("RESUME")
        assert await (await query).fetchone() == (before,)
        assert await newcomer == [(1,)]


async def test_who_suspends_and_leaves_undoes_it(narrow: Proxy) -> None:
    """[row 93]"""
    async with await narrow.connect() as client:
        async with await narrow.connect("trunkline") as console:
            await console.execute("SUSPEND")
        await backend(client)
    assert await state_of(narrow) == "active"


async def test_suspend_and_resume_know_what_is_paused(narrow: Proxy) -> None:
    async with await narrow.connect("trunkline") as console:

        async def refused(command: str) -> str:
            with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as error:
                await console.execute(command)
            return str(error.value.diag.message_primary)

        assert await refused("RESUME") == "pooler is not paused/suspended"
        assert await refused("RESUME postgres") == "database postgres is not paused"
        await console.execute("PAUSE postgres")
        assert await refused("SUSPEND") == "cannot suspend with paused databases"
        await console.execute("RESUME postgres")
        await console.execute("PAUSE")
        assert await refused("PAUSE") == "already suspended/paused"
        await console.execute("RESUME")


# --- under load ---------------------------------------------------------------------------------------------------


async def test_nobody_is_lost_while_an_operator_tries_everything(narrow: Proxy) -> None:
    """[row 93] Clients get each of their answers, in order, whatever is paused, suspended or renewed meanwhile."""

    async def client(number: int) -> None:
        async with await narrow.connect() as connection:
            for turn in range(25):
                cursor = await connection.execute("SELECT %s::int, %s::int", (number, turn))
                assert await cursor.fetchone() == (number, turn)

    running = [asyncio.create_task(client(number)) for number in range(12)]
    cycles = 0
    async with await narrow.connect("trunkline") as console:
        while not all(task.done() for task in running):
            for command in (
                "SUSPEND", "RESUME", "PAUSE", "RESUME", "RECONNECT", "WAIT_CLOSE", "DISABLE other", "ENABLE other",
                "PAUSE postgres", "RESUME postgres", "SET default_pool_size = 3", "RELOAD",
            ):  # fmt: skip
                await console.execute(command)
            cycles += 1
    await asyncio.gather(*running)
    assert cycles
    assert "Traceback" not in narrow.log
    assert await narrow.fetch("SELECT 1") == [(1,)]


# --- SET ----------------------------------------------------------------------------------------------------------


async def test_set_takes_effect_at_once_and_until_reload(narrow: Proxy) -> None:
    async with (
        await narrow.connect() as one,
        await narrow.connect() as two,
        await narrow.connect("trunkline") as console,
    ):
        await one.execute("BEGIN")
        waiting = asyncio.create_task(two.execute("SELECT 1"))
        await wait_until(lambda: _waiting(narrow, 1))
        cursor = await console.execute("SET default_pool_size = 2")
        assert cursor.statusmessage == "SET default_pool_size=2"
        await waiting
        await one.execute("COMMIT")
        await console.execute("RELOAD")
        assert (await row_of(narrow, "SHOW CONFIG", key="default_pool_size"))["value"] == "1"


# --- rights -------------------------------------------------------------------------------------------------------

HARMLESS = {"SHUTDOWN": "SHUTDOWN never", "KILL_CLIENT": "KILL_CLIENT 0", "SUSPEND": "SUSPEND now"}
"""What an admin says to see that he may, where the command itself would end this test."""


def _sayings() -> list[tuple[str, bool]]:
    """Each command, and whether it is for admins alone."""
    told = [(" ".join(c.words), c.admin) for c in COMMANDS.values() if c.listed and c.words != ("SWITCH", "DATABASE")]
    return [
        *told,
        ("SET default_pool_size = 1", True),
        ("SELECT count(*) FROM pools", False),
        ("SELECT * FROM fds", True),
    ]


async def test_each_command_is_for_whom_it_is(narrow: Proxy) -> None:
    """[CVE-2026-6667] Every command by an admin, and by a user who may look."""
    async with await narrow.connect("trunkline") as admin, await _as(narrow, "stat") as stat:
        for text, for_admins in _sayings():
            assert await _said(admin, HARMLESS.get(text, text)) != "42501", text
            assert (await _said(stat, text) == "42501") == for_admins, text
            await _said(admin, "RESUME")
    assert narrow.is_running


async def _as(proxy: Proxy, user: str, **options: Any) -> psycopg.AsyncConnection:
    dsn = proxy.dsn("trunkline", user=user, **options)
    return await psycopg.AsyncConnection.connect(dsn, autocommit=True)


async def _said(connection: psycopg.AsyncConnection, text: str) -> str:
    try:
        await connection.execute(text)
    except psycopg.Error as error:
        return error.sqlstate or "lost"
    return ""


async def test_others_are_turned_away(narrow: Proxy) -> None:
    with pytest.raises(psycopg.OperationalError, match="not allowed"):
        await _as(narrow, "ann")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        await _as(narrow, "nobody", password="secret")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        await _as(narrow, USER, password="wrong")


async def test_who_runs_the_process_is_an_admin_on_its_unix_socket(
    postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    """PgBouncer's own way in: the user `pgbouncer`, without a password, and only to the console."""
    with TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        config = {"unix_socket_dir": directory, "stats_users": []}
        proxy = await start_proxy(config, databases={"postgres": postgres})
        dsn = f"host={directory} port={proxy.port} user=pgbouncer dbname=pgbouncer"
        if os.stat(f"{directory}/.s.PGSQL.{proxy.port}").st_uid != os.geteuid():
            pytest.skip("the process runs as another user")
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as console:
            await console.execute("RELOAD")
            assert await (await console.execute("SHOW FDS")).fetchall()
        for other in (
            dsn.replace("dbname=pgbouncer", "dbname=postgres"),
            dsn.replace(f"host={directory}", "host=127.0.0.1"),
        ):
            with pytest.raises(psycopg.OperationalError, match=r"no password|authentication failed"):
                await psycopg.AsyncConnection.connect(other)


async def test_who_loses_his_rights_loses_them_at_once(narrow: Proxy) -> None:
    async with await _as(narrow, "stat") as stat:
        await stat.execute("SHOW POOLS")
        await narrow.admin("SET stats_users = ''")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="not allowed"):
            await stat.execute("SHOW POOLS")
