"""What a server says of its own trouble is passed on, and it is kept: rows 21, 26, 28 and 32 to 35 of section 3a.

Rows 26 and 28 are here as far as a server says them itself (25006, 40001): to go elsewhere is a matter of replicas.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.faults.fault_proxy import FaultProxy, Rate, Rule, Stall
from tests.faults.guard import expect_own_answers, log_in
from tests.faults.scripted_server import GREETING, Peer, ScriptedServer, answer
from tests.integration.conftest import replica
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.transcript import errors, shape, transact
from tests.integration.waiting import wait_until
from tests.integration.wire import SYNC, Wire, bind, describe, error_fields, execute, frame, parse, rows, text
from trunkline.demo.free_port import free_port

__all__ = ["replica"]

BACKEND = "SELECT pg_backend_pid()"


async def expect_passed(wire: Wire, sql: str, sqlstate: str, status: bytes = b"I") -> None:
    """The server's own error, once, and then its connection serves on."""
    [[before]] = rows(await wire.query(BACKEND)) if status == b"I" else [[None]]
    frames = await wire.query(sql)
    assert errors(frames) == [sqlstate], frames
    assert frames[-1].body == status
    if status == b"I":
        assert rows(await wire.query(BACKEND)) == [[before]], "the server connection was returned to its pool"


@pytest.fixture
async def pool_of_one(postgres: Postgres, start_proxy: Any) -> Proxy:
    databases = {"one": {"primary": f"postgres://127.0.0.1:{postgres.port}/postgres", "pool_size": 1}}
    proxy: Proxy = await start_proxy({"pool_mode": "transaction"}, databases=databases)
    return proxy


# --- row 21 ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def slow_line(postgres: Postgres, start_proxy: Any) -> AsyncIterator[tuple[FaultProxy, Proxy]]:
    """A pool of two servers behind a fault proxy."""
    async with FaultProxy("127.0.0.1", postgres.port) as faults:
        databases = {"one": {"primary": f"postgres://127.0.0.1:{faults.port}/postgres", "pool_size": 2}}
        proxy: Proxy = await start_proxy({"pool_mode": "transaction"}, databases=databases)
        yield faults, proxy
        await proxy.stop()


@pytest.mark.parametrize("action", [Stall(2000), Rate(400)], ids=str)
async def test_row_21_a_server_that_stalls_is_waited_for_by_its_own_client_alone(slow_line, action) -> None:
    faults, proxy = slow_line
    async with await log_in(proxy) as slow, await log_in(proxy) as quick:
        [[backend]] = rows(await slow.query(BACKEND))
        faults.add(Rule("be", "T", times=1), action)
        waiting = asyncio.create_task(slow.query(f"SELECT repeat('x', 700), {backend.decode()}"))
        await faults.happened(action.name)
        for number in range(50):
            assert rows(await quick.query(f"SELECT {number}")) == [[str(number).encode()]]
        assert not waiting.done()
        assert rows(await waiting) == [[b"x" * 700, backend]]
        await quick.query("BEGIN")  # takes the other, or the same
        await slow.query("BEGIN")
        used = {rows(await wire.query(BACKEND))[0][0] for wire in (slow, quick)}
        assert backend in used, "the slow one was returned"


# --- rows 26 and 28: what the server says itself --------------------------------------------------------------------


async def test_row_26_a_write_to_a_replica_is_refused_in_the_server_s_words(
    replica: Postgres, start_proxy: Any
) -> None:
    databases = {"one": {"primary": f"postgres://127.0.0.1:{replica.port}/postgres", "pool_size": 1}}
    proxy = await start_proxy({"pool_mode": "transaction"}, databases=databases)
    async with await log_in(proxy) as wire:
        await expect_passed(wire, "CREATE TABLE nobody (n int)", "25006")
        await wire.query("BEGIN")
        await expect_passed(wire, "CREATE TABLE nobody (n int)", "25006", b"E")
        assert errors(await wire.query("SELECT 1")) == ["25P02"]
        await wire.query("ROLLBACK")
    await expect_own_answers(proxy)


async def test_row_28_a_serialization_failure_is_passed_on(postgres: Postgres, start_proxy: Any) -> None:
    """40001 from the server: the transaction has failed, the client and the server go on."""
    await postgres.fetch("DROP TABLE IF EXISTS contended; CREATE TABLE contended AS SELECT 1 AS n")
    databases = {"one": {"primary": f"postgres://127.0.0.1:{postgres.port}/postgres", "pool_size": 2}}
    proxy = await start_proxy({"pool_mode": "transaction"}, databases=databases)
    async with await log_in(proxy) as first, await log_in(proxy) as second:
        for wire in (first, second):
            await wire.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
            await wire.query("SELECT * FROM contended")
        await first.query("UPDATE contended SET n = 2")
        await first.query("COMMIT")
        await expect_passed(second, "UPDATE contended SET n = 3", "40001", b"E")
        frames = await second.query("COMMIT")
        assert (shape(frames), frames[0].body) == ("CZ", b"ROLLBACK\0")
        assert rows(await second.query("SELECT n FROM contended")) == [[b"2"]]
    await postgres.fetch("DROP TABLE contended")


# --- row 32 ---------------------------------------------------------------------------------------------------------


async def test_row_32_a_server_of_another_version_is_reported_to_the_client(start_proxy: Any) -> None:
    """What the server says of itself at its login is news to clients who knew the one before."""
    upgraded = GREETING.replace(frame("S", text("server_version", "18.0")), frame("S", text("server_version", "19.1")))
    assert upgraded != GREETING

    async def script(peer: Peer) -> None:
        await peer.startup()
        await peer.send(GREETING if peer.number == 0 else upgraded)
        while peer.number == 0:
            asked = await peer.request()
            if b"the end" in asked.body:
                return
            await peer.send(answer(asked.body[:-1]))
        await peer.serve()

    port = free_port()
    databases = {"one": {"host": "127.0.0.1", "port": port, "pool_size": 1}}
    proxy = await start_proxy({"pool_mode": "transaction", "server_login_retry": 1}, databases=databases)
    async with ScriptedServer(port, script) as server:
        async with await log_in(proxy) as wire, await log_in(proxy) as victim:
            assert wire.parameters["server_version"] == "18.0"
            await victim.send_query("SELECT 'the end'")
            await victim.read_until("E")
            await wait_until(lambda: server.ended == 1)
            frames = await wire.query("SELECT 'after the upgrade'")
            reported = [item.body for item in frames if item.type == "S"]
            assert text("server_version", "19.1") in reported
            assert rows(frames) == [[b"SELECT 'after the upgrade'"]]
            assert not [item for item in await wire.query("again") if item.type == "S"], "it was told once"
        async with await log_in(proxy) as newcomer:
            assert newcomer.parameters["server_version"] == "19.1"


# --- row 33 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["named", ""])
async def test_row_33_a_plan_that_ddl_has_spoiled_fails_once(pool_of_one: Proxy, postgres: Postgres, name: str) -> None:
    """0A000 is passed on; parsed anew, the statement works, for this client and for others with the same text."""
    await postgres.fetch("DROP TABLE IF EXISTS altered; CREATE TABLE altered (n int)")
    await postgres.fetch("INSERT INTO altered VALUES (1)")
    prepare = parse("SELECT * FROM altered", name) + SYNC
    run = bind(name) + describe("P") + execute() + SYNC
    async with await log_in(pool_of_one) as wire, await log_in(pool_of_one) as other:
        for client in (wire, other):
            assert shape(await transact(client, prepare)) == "1Z"
            assert rows(await transact(client, run)) == [[b"1"]]
        await postgres.fetch("ALTER TABLE altered ADD COLUMN extra text DEFAULT 'new'")
        for client in (wire, other):
            frames = await transact(client, run)
            assert errors(frames) == ["0A000"] or (not name and not errors(frames)), frames
            again = (parse("SELECT * FROM altered", name) if not name else b"") + run
            if errors(frames) and name:
                assert shape(await transact(client, frame("C", b"S" + text(name)), prepare)) == "31Z"
            assert rows(await transact(client, again)) == [[b"1", b"new"]]
    await expect_own_answers(pool_of_one)
    await postgres.fetch("DROP TABLE altered")


# --- row 34 ---------------------------------------------------------------------------------------------------------

EXHAUSTED = {
    "53200": "SELECT count(pg_advisory_xact_lock(n)) FROM generate_series(1, 10000000) n",
    "53100": "DO $$ BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$",
    "53400": "SET LOCAL temp_file_limit = '64kB'; SET LOCAL work_mem = '64kB';"
    " SELECT * FROM generate_series(1, 100000) n ORDER BY n DESC",
}


@pytest.mark.parametrize("sqlstate", EXHAUSTED)
async def test_row_34_a_server_without_memory_or_space_says_so_itself(pool_of_one: Proxy, sqlstate: str) -> None:
    async with await log_in(pool_of_one) as wire:
        await expect_passed(wire, EXHAUSTED[sqlstate], sqlstate)
    await expect_own_answers(pool_of_one)


# --- row 35 ---------------------------------------------------------------------------------------------------------


async def last_error(wire: Wire, sql: str) -> str:
    """The SQLSTATE that a query ends with, whether the client is kept or not."""
    await wire.send_query(sql)
    return error_fields((await wire.read_until("E"))[-1])["C"]


async def test_row_35_a_database_that_was_dropped_is_unknown_until_it_is_there_again(postgres, start_proxy) -> None:
    await postgres.fetch("DROP DATABASE IF EXISTS dropped WITH (FORCE)")
    await postgres.fetch("CREATE DATABASE dropped")
    databases = {"one": {"primary": f"postgres://127.0.0.1:{postgres.port}/dropped", "pool_size": 2}}
    proxy = await start_proxy({"pool_mode": "transaction", "server_login_retry": 1}, databases=databases)
    async with await log_in(proxy) as idle, await log_in(proxy) as busy:
        await idle.query("SELECT 1")
        await busy.query("BEGIN")
        await postgres.fetch("DROP DATABASE dropped WITH (FORCE)")
        assert await last_error(busy, "SELECT 1") in ("57P01", "08006")
        assert await last_error(idle, "SELECT 1") == "3D000"
    assert await postgres.fetch("SELECT count(*) FROM pg_stat_activity WHERE datname = 'dropped'") == [(0,)]
    await postgres.fetch("CREATE DATABASE dropped")
    await wait_until(lambda: is_served(proxy), what="the database is there again")
    await expect_own_answers(proxy)
    await proxy.stop()
    await postgres.fetch("DROP DATABASE dropped")


async def test_row_35_a_role_that_was_dropped_gets_no_new_servers(postgres: Postgres, start_proxy: Any) -> None:
    """PostgreSQL lets the sessions of a dropped role live on; the next login is refused."""
    await postgres.fetch("DROP ROLE IF EXISTS shortlived")
    await postgres.create_role("shortlived", "secret")
    url = f"postgres://shortlived:secret@127.0.0.1:{postgres.port}/postgres"
    databases = {"one": {"primary": url, "pool_size": 1}}
    proxy = await start_proxy({"pool_mode": "transaction", "server_login_retry": 1}, databases=databases)
    async with await log_in(proxy) as wire:
        assert rows(await wire.query("SELECT current_user")) == [[b"shortlived"]]
        await postgres.fetch("DROP ROLE shortlived")
        assert shape(await wire.query("SELECT 1")) == "TDCZ"
        await postgres.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name <> ''"
            " OR (backend_type = 'client backend' AND pid <> pg_backend_pid())"
        )
        told = await last_error(wire, "SELECT pg_sleep(60)")  # 57P01, if the signal came later than the statement
        if told in ("57P01", "08006"):
            told = await last_error(wire, "SELECT 1")
        assert told in ("08001", "28000", "28P01")
    assert "28P01" in proxy.log or "28000" in proxy.log
    await postgres.create_role("shortlived", "secret")
    await wait_until(lambda: is_served(proxy), what="the role is there again")
    await proxy.stop()
    await postgres.fetch("DROP ROLE shortlived")


async def is_served(proxy: Proxy) -> bool:
    async with await Wire.connect(proxy.port) as wire:
        await wire.send_startup({"user": "postgres", "database": "one"})
        if (await wire.login_with("postgres", proxy.users["postgres"]))[-1].type != "Z":
            return False
        await wire.send_query("SELECT 1")
        return (await wire.read_frame()).type == "T"
