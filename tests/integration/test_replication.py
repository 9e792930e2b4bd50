"""Replication connections: a server of their own, physical and logical, with COPY both ways."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Farm, Postgres
from tests.integration.proxy import HOST, Proxy
from tests.integration.transcript import errors, session, shape
from tests.integration.waiting import wait_until
from tests.integration.wire import Wire, frame, rows


@pytest.fixture
async def publisher(farm: Farm, flavour: str) -> AsyncIterator[Postgres]:
    server = farm.prepare(flavour, settings={"wal_level": "logical"})
    async with server:
        yield server
    server.remove()


@pytest.fixture
async def proxy_of_publisher(publisher: Postgres, start_proxy: ProxyFactory) -> Proxy:
    return await start_proxy({"default_pool_size": 1}, databases={"postgres": publisher})


@pytest.mark.parametrize("replication", ["database", "true", "on", "1"])
async def test_a_replication_client_is_told_who_the_system_is(
    postgres: Postgres, proxy: Proxy, replication: str
) -> None:
    answers = []
    for server in (postgres, proxy):
        async with session(server, replication=replication) as wire:
            answers.append(rows(await wire.query("IDENTIFY_SYSTEM"))[0])
            answers[-1][2:3] = errors(await wire.query("NO_SUCH_COMMAND"))  # in place of the moving WAL position
    assert answers[0] == answers[1]


async def test_false_is_an_ordinary_connection(proxy: Proxy) -> None:
    async with session(proxy, replication="false") as wire:
        assert rows(await wire.query("SELECT 1")) == [[b"1"]]
        assert errors(await wire.query("IDENTIFY_SYSTEM")) == ["42601"]


async def test_a_replication_client_takes_no_server_of_the_pool(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await start_proxy({"default_pool_size": 1}, databases={"postgres": postgres})
    async with session(proxy, replication="database") as wire, session(proxy) as ordinary:
        await wire.query("SELECT 1")
        pids = [rows(await client.query("SELECT pg_backend_pid()")) for client in (wire, ordinary, wire)]
        assert pids[0] == pids[2] != pids[1]


async def test_its_server_ends_with_it(postgres: Postgres, proxy: Proxy) -> None:
    async with session(proxy, replication="database") as wire:
        pid = int(rows(await wire.query("SELECT pg_backend_pid()"))[0][0] or 0)

    async def gone() -> bool:
        return await postgres.fetch("SELECT 1 FROM pg_stat_activity WHERE pid = %s", pid) == []

    await wait_until(gone)


async def test_a_logical_slot_streams_changes(publisher: Postgres, proxy_of_publisher: Proxy) -> None:
    await publisher.fetch("CREATE TABLE changed (n int)")
    async with session(proxy_of_publisher, replication="database") as wire:
        created = await wire.query("CREATE_REPLICATION_SLOT watched TEMPORARY LOGICAL test_decoding")
        assert rows(created)[0][0] == b"watched"
        await wire.send_query("START_REPLICATION SLOT watched LOGICAL 0/0")
        assert shape(await wire.read_until("W")) == "W"
        async with session(proxy_of_publisher) as writer:
            await writer.query("INSERT INTO changed SELECT generate_series(1, 3)")
        seen = b""
        while b"COMMIT" not in seen:
            message = await wire.read_frame()
            assert message.type == "d"
            if message.body[:1] == b"w":  # XLogData: type, three 64-bit fields, the change
                seen += message.body[25:]
        assert seen.count(b"table public.changed: INSERT: n[integer]:") == 3
        await wire.send(frame("d", b"r" + struct.pack("!qqqqb", 0, 0, 0, 0, 1)))  # standby status, asks for an answer
        while (await wire.read_frame()).body[:1] != b"k":
            pass
        await wire.send(frame("c"))
        frames = await wire.read_until("Z")
        assert shape(frames).replace("d", "") == "cCCZ"
        assert rows(await wire.query("SELECT 'after'")) == [[b"after"]]


@pytest.mark.parametrize("method", ["fetch", "stream"])
async def test_a_base_backup_runs_through_the_proxy(
    publisher: Postgres, start_proxy: ProxyFactory, tmp_path: Path, method: str
) -> None:
    """Before version 17 pg_basebackup asks for a database named replication, whatever it is told."""
    proxy = await start_proxy(databases={"*": f"postgres://{HOST}:{publisher.port}"})
    program = str(publisher.launcher.binaries.tool("pg_basebackup"))
    target = tmp_path / "backup"
    command = [program, "-d", proxy.dsn(), "-D", str(target), "-X", method, "-c", "fast"]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    complaints = (await process.communicate())[1].decode()
    assert process.returncode == 0, complaints
    assert (target / "PG_VERSION").read_text().strip() == str(publisher.launcher.binaries.major)
    assert (target / "backup_manifest").stat().st_size > 1000


async def test_a_replication_client_is_cancelable(proxy: Proxy) -> None:
    async with session(proxy, replication="database") as wire:
        await wire.send_query("SELECT pg_sleep(60)")
        pending = asyncio.create_task(wire.read_until("Z"))
        while not pending.done():
            await Wire.cancel(proxy.port, wire.backend_pid, wire.cancel_key)
        assert errors(await pending) == ["57014"]


async def test_a_user_without_the_right_hears_the_servers_words(postgres: Postgres, start_proxy: ProxyFactory) -> None:
    await postgres.fetch("DROP ROLE IF EXISTS plain_user")
    await postgres.create_role("plain_user", "secret")
    proxy = await start_proxy(databases={"postgres": postgres}, users={"plain_user": "secret"})
    async with await Wire.connect(proxy.port) as wire:
        await wire.send_startup({"user": "plain_user", "database": "postgres", "replication": "true"})
        refusal = (await wire.login_with("plain_user", "secret"))[-1]
        assert errors([refusal]) == ["42501"]
