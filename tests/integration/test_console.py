"""The console of a real process with real traffic: what it shows, what it does, and every driver that talks to it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import asyncpg
import pg8000.dbapi
import pg8000.native
import psycopg
import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import HOST, USER, Proxy
from tests.integration.waiting import wait_until
from tests.integration.wire import Wire, error_fields

DATABASES = ("trunkline", "pgbouncer")


async def row_of(proxy: Proxy, command: str, **wanted: Any) -> dict[str, Any]:
    """The only row of a SHOW command with these values."""
    found = [row for row in await proxy.admin(command) if all(row[name] == value for name, value in wanted.items())]
    assert len(found) == 1, f"{command}: {found}"
    return found[0]


@pytest.fixture
async def narrow(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Proxy]:
    """A proxy with one server a pool, and two databases."""
    databases = {"postgres": postgres, "other": postgres}
    proxy: Proxy = await start_proxy({"default_pool_size": 1}, databases=databases, users={"ann": "secret"})
    yield proxy


# --- what it shows ----------------------------------------------------------------------------------------------


async def test_active_and_waiting_clients_and_their_servers_are_shown(narrow: Proxy) -> None:
    holder, waiter = await narrow.connect(), await narrow.connect()
    async with holder, waiter:
        await holder.execute("BEGIN")
        waiting = asyncio.create_task(waiter.execute("SELECT 1"))
        pool = await wait_until(lambda: _pool_with(narrow, cl_waiting=1))
        assert (pool["cl_active"], pool["sv_active"], pool["sv_idle"], pool["pool_mode"]) == (1, 1, 0, "transaction")

        states = {row["state"]: row for row in await narrow.admin("SHOW CLIENTS") if row["database"] == "postgres"}
        server = await row_of(narrow, "SHOW SERVERS", database="postgres")
        assert set(states) == {"active", "waiting"}
        assert (server["state"], server["ptr"]) == ("active", states["active"]["link"])
        assert (server["link"], states["waiting"]["link"]) == (states["active"]["ptr"], "")
        assert server["remote_pid"] == (await (await holder.execute("SELECT pg_backend_pid()")).fetchone())[0]
        assert server["local_addr"] == HOST and server["local_port"] > 0
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", server["connect_time"])

        await holder.execute("COMMIT")
        await waiting
        server = await row_of(narrow, "SHOW SERVERS", database="postgres")
        assert (server["state"], server["link"]) == ("idle", "")
        assert {row["state"] for row in await narrow.admin("SHOW CLIENTS")} == {"idle"}


async def _pool_with(proxy: Proxy, **wanted: Any) -> dict[str, Any] | None:
    for row in await proxy.admin("SHOW POOLS"):
        if row["database"] == "postgres" and all(row[name] == value for name, value in wanted.items()):
            return row
    return None


async def test_stats_count_what_was_done(narrow: Proxy) -> None:
    for _ in range(3):
        await narrow.fetch("SELECT 1")
    totals = await row_of(narrow, "SHOW STATS_TOTALS", database="postgres")
    assert totals["query_count"] >= 3 and totals["xact_count"] >= 3 and totals["client_login_count"] == 3
    stats = await row_of(narrow, "SHOW STATS", database="postgres")
    assert stats["total_query_count"] == totals["query_count"]
    assert all(isinstance(value, Decimal) for name, value in stats.items() if name != "database")


async def test_prepared_statements_and_names_are_shown(narrow: Proxy) -> None:
    async with await narrow.connect(application_name="shop") as client:
        await client.execute("SELECT 1", prepare=True)
        row = await row_of(narrow, "SHOW CLIENTS", database="postgres")
        assert (row["application_name"], row["prepared_statements"], row["addr"]) == ("shop", 1, HOST)
        assert (await row_of(narrow, "SHOW SERVERS", database="postgres"))["prepared_statements"] == 1


async def test_databases_count_their_connections(narrow: Proxy) -> None:
    async with await narrow.connect() as client:
        await client.execute("SELECT 1")
        row = await row_of(narrow, "SHOW DATABASES", name="postgres")
        assert (row["current_connections"], row["current_client_connections"], row["pool_size"]) == (1, 1, 1)
        user = await row_of(narrow, "SHOW USERS", name=USER)
        assert (user["current_connections"], user["current_client_connections"]) == (1, 1)
        lists = {row["list"]: row["items"] for row in await narrow.admin("SHOW LISTS")}
        assert (lists["used_clients"], lists["used_servers"]) == (2, 1)


# --- what it does -----------------------------------------------------------------------------------------------


async def test_pause_waits_for_transactions_and_resume_lets_clients_go_on(narrow: Proxy, postgres: Postgres) -> None:
    """[row 93]"""
    async with await narrow.connect() as holder, await narrow.connect() as other:
        await holder.execute("BEGIN")
        pause = asyncio.create_task(narrow.admin("PAUSE"))
        await wait_until(lambda: _state_is(narrow, paused="yes"))
        query = asyncio.create_task(other.execute("SELECT 1"))
        await wait_until(lambda: _pool_with(narrow, cl_waiting=1))
        assert not pause.done()
        await holder.execute("COMMIT")
        await pause
        assert await narrow.admin("SHOW SERVERS") == []
        assert not query.done()
        await narrow.admin("RESUME")
        await query
        assert await _state_is(narrow, active="yes")


async def _state_is(proxy: Proxy, **wanted: str) -> bool:
    state = {row["key"]: row["value"] for row in await proxy.admin("SHOW STATE")}
    return all(state[key] == value for key, value in wanted.items())


async def test_one_database_can_be_paused_alone(narrow: Proxy) -> None:
    await narrow.admin("PAUSE postgres")
    assert (await row_of(narrow, "SHOW DATABASES", name="postgres"))["paused"] == 1
    assert await narrow.fetch("SELECT 1", database="other") == [(1,)]
    query = asyncio.create_task(narrow.fetch("SELECT 2"))
    await wait_until(lambda: _pool_with(narrow, cl_waiting=1))
    await narrow.admin('RESUME "postgres"')
    assert await query == [(2,)]


async def test_a_client_that_leaves_during_pause_leaves_the_pool_paused(narrow: Proxy) -> None:
    """[row 93]"""
    async with await narrow.connect() as holder:
        await holder.execute("BEGIN")
        async with await Wire.connect(narrow.port) as wire:
            await wire.login(USER, PASSWORD, database="trunkline")
            await wire.send_query("PAUSE")
            await wait_until(lambda: _state_is(narrow, paused="yes"))
        await wait_until(lambda: _consoles_are(narrow, 1))
        assert await _state_is(narrow, paused="yes")
        await narrow.admin("RESUME")
        await holder.execute("COMMIT")
    assert await narrow.fetch("SELECT 1") == [(1,)]


async def test_a_cancel_request_undoes_a_pause(narrow: Proxy) -> None:
    """[row 93] As in PgBouncer: Ctrl-C at PAUSE is RESUME."""
    async with await narrow.connect() as holder, await narrow.connect("trunkline") as console:
        await holder.execute("BEGIN")
        pause = asyncio.create_task(console.execute("PAUSE"))
        await wait_until(lambda: _state_is(narrow, paused="yes"))
        await console.cancel_safe()
        with pytest.raises(psycopg.errors.QueryCanceled):
            await pause
        assert await _state_is(narrow, active="yes")
        await holder.execute("COMMIT")


async def _consoles_are(proxy: Proxy, count: int) -> bool:
    return (await row_of(proxy, "SHOW POOLS", database="pgbouncer"))["cl_active"] == count


async def test_an_unknown_database_is_an_error_and_not_the_end(narrow: Proxy) -> None:
    async with await narrow.connect("trunkline") as console:
        with pytest.raises(psycopg.errors.InvalidCatalogName):
            await console.execute("PAUSE nowhere")
        assert await (await console.execute("SHOW VERSION")).fetchone()


async def test_reload_applies_and_a_bad_file_changes_nothing(narrow: Proxy) -> None:
    text = narrow.config_path.read_text()
    assert '"default_pool_size" = 1\n' in text
    narrow.config_path.write_text(text.replace('"default_pool_size" = 1\n', '"default_pool_size" = 4\n'))
    await narrow.admin("RELOAD")
    assert (await row_of(narrow, "SHOW CONFIG", key="default_pool_size"))["value"] == "4"
    narrow.config_path.write_text(text + "\nno such line")
    async with await narrow.connect("trunkline") as console:
        with pytest.raises(psycopg.Error) as refusal:
            await console.execute("RELOAD")
        assert refusal.value.sqlstate == "F0000"
        assert await (await console.execute("SHOW VERSION")).fetchone()
    assert (await row_of(narrow, "SHOW CONFIG", key="default_pool_size"))["value"] == "4"


async def test_shutdown_answers_and_the_process_ends(narrow: Proxy) -> None:
    async with await Wire.connect(narrow.port) as wire:
        await wire.login(USER, PASSWORD, database="trunkline")
        await wire.send_query("SHUTDOWN")
        frames = await wire.read_frames_to_end()
        assert [frame.type for frame in frames] == ["C", "Z", "E"]
        assert error_fields(frames[-1])["C"] == "57P01"
        assert await narrow.wait() == 0


async def test_shutdown_can_wait_for_clients(narrow: Proxy) -> None:
    async with await narrow.connect() as holder:
        await holder.execute("BEGIN")
        await narrow.admin("SHUTDOWN WAIT_FOR_CLIENTS")
        assert await (await holder.execute("SELECT 1")).fetchone() == (1,)
        await holder.execute("COMMIT")
    assert await narrow.wait() == 0


async def test_only_admins_may_change_anything(narrow: Proxy) -> None:
    """[1b admin console]"""
    dsn = narrow.dsn("trunkline", user="ann")
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as console:
        assert await (await console.execute("SHOW POOLS")).fetchall()
        for command in ("RELOAD", "PAUSE", "RESUME", "SHUTDOWN", "SHUTDOWN WAIT_FOR_CLIENTS"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await console.execute(command)
    assert narrow.is_running


async def test_the_console_needs_a_password_as_any_database_does(narrow: Proxy) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        await psycopg.AsyncConnection.connect(narrow.dsn("trunkline", password="wrong"))


# --- who talks to it --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("database", DATABASES)
async def test_psycopg_with_transactions_prepared_and_binary(proxy: Proxy, database: str) -> None:
    async with await psycopg.AsyncConnection.connect(proxy.dsn(database)) as console:
        async with console.transaction(), console.transaction():
            cursor = await console.execute("SHOW STATE")
            assert await cursor.fetchall() == [("active", "yes"), ("paused", "no"), ("suspended", "no")]
        for _ in range(8):  # from the sixth on with a prepared statement of its own
            await console.execute("SHOW POOLS")
        binary = console.cursor(binary=True)
        (row,) = await (await binary.execute("SHOW STATS")).fetchall()
        assert row[0] == "postgres" and all(isinstance(value, Decimal) for value in row[1:])
        with pytest.raises(psycopg.errors.SyntaxError, match="use SHOW HELP"):
            await console.execute("SHOW NONSENSE")
        await console.rollback()
        assert console.info.server_version >= 0


@pytest.mark.parametrize("database", DATABASES)
async def test_asyncpg_with_cursors_and_a_pool_that_resets(proxy: Proxy, database: str) -> None:
    async with asyncpg.create_pool(proxy.dsn(database), min_size=1, max_size=1) as pool:
        for _ in range(3):
            version = await pool.fetchval("SHOW VERSION")
            assert re.search(r"\d+\.\d+\.\d+", version)
        async with pool.acquire() as console:
            for command in ("POOLS", "DATABASES", "CLIENTS", "SERVERS", "STATS", "LISTS", "USERS", "CONFIG", "TOTALS"):
                await console.fetch(f"SHOW {command}")
            async with console.transaction():
                names = [row["list"] async for row in console.cursor("SHOW LISTS", prefetch=3)]
            assert names[0] == "databases" and len(names) == 14
            assert (await console.fetchrow("SHOW LISTS"))["items"] == 2
            assert await console.execute("RELOAD") == "RELOAD"
            with pytest.raises(asyncpg.PostgresSyntaxError):
                await console.fetch("SHOW NONSENSE")


async def test_pg8000_in_both_its_faces(proxy: Proxy) -> None:
    def talk() -> None:
        native = pg8000.native.Connection(USER, host=HOST, port=proxy.port, database="trunkline", password=PASSWORD)
        assert [row[0] for row in native.run("SHOW POOLS")] == ["pgbouncer"]
        native.close()
        console = pg8000.dbapi.connect(USER, host=HOST, port=proxy.port, database="pgbouncer", password=PASSWORD)
        cursor = console.cursor()
        cursor.execute("SHOW STATE")
        assert list(cursor.fetchall()[0]) == ["active", "yes"]
        console.commit()
        console.close()

    await asyncio.to_thread(talk)


@pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not installed")
async def test_psql_shows_help_and_several_results(proxy: Proxy) -> None:
    psql = await asyncio.create_subprocess_exec(
        "psql", "-X", "-At", proxy.dsn("trunkline"), "-c", "SHOW HELP", "-c", "SHOW STATE; SHOW NONSENSE",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=os.environ | {"LC_ALL": "C"},
    )  # fmt: skip
    out, err = await psql.communicate()
    assert out.decode().splitlines() == ["SHOW", "active|yes", "paused|no", "suspended|no"]
    assert "NOTICE:  Console usage" in err.decode() and "PAUSE [db]" in err.decode()
    assert "ERROR:  invalid command 'SHOW NONSENSE', use SHOW HELP;" in err.decode()


async def test_monitors_that_send_odd_startup_parameters_get_in(proxy: Proxy) -> None:
    async with await Wire.connect(proxy.port) as wire:
        await wire.login(USER, PASSWORD, database="pgbouncer", extra_float_digits="2", search_path="x")
        assert [frame.type for frame in await wire.query("SHOW STATS")] == ["T", "D", "C", "Z"]
