"""Transactions that say that they only read are a replica's, as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import psycopg
import pytest
import pytest_asyncio

from tests.integration.postgres import PASSWORD, Farm, Postgres
from tests.integration.proxy import HOST, Proxy
from tests.integration.replicas import SETTINGS, Replicated
from tests.integration.test_replica_routing import queries
from tests.integration.transcript import errors, messages, session, shape
from tests.integration.waiting import wait_until
from tests.integration.wire import SYNC, Frame, Wire, bind, describe, execute, parse, query, rows

pytestmark = pytest.mark.asyncio(loop_scope="session")

WHERE = "SELECT current_setting('port')"
BEGINS = (
    "BEGIN READ ONLY",
    "START TRANSACTION READ ONLY",
    "begin transaction isolation level repeatable read, read only;",
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(farm: Farm) -> AsyncIterator[Replicated]:
    async with Replicated(farm, 1) as made:
        await made.primary.fetch("CREATE TABLE notes (id int8 PRIMARY KEY, body int8)")
        await made.primary.fetch("INSERT INTO notes SELECT n, n FROM generate_series(1, 3) n")
        await made.primary.fetch(
            "CREATE FUNCTION total() RETURNS numeric LANGUAGE plpgsql AS"
            " $$ BEGIN RETURN (SELECT sum(body) FROM notes); END $$"
        )
        await made.primary.fetch(
            "CREATE FUNCTION writes() RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO notes VALUES (9, 9); END $$"
        )
        await made.primary.fetch("CREATE SEQUENCE numbers")
        await made.primary.wait_for_replicas(1)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def proxy(cluster: Replicated) -> AsyncIterator[Proxy]:
    database = cluster.database(reads="replica", health_check_user="postgres")
    async with Proxy({**SETTINGS, "pool_mode": "transaction"}, databases={"app": database}) as started:

        async def up() -> bool:
            return [row["state"] for row in await started.admin("SHOW REPLICAS")] == ["up"] * 2

        await wait_until(up)
        yield started


def is_at(cluster: Replicated, frames: list[Frame]) -> str:
    """Who has answered WHERE."""
    ((port,),) = rows(frames)
    assert port is not None
    return "primary" if int(port) == cluster.primary.port else "replica"


async def ask(wire: Wire, sql: str, *, extended: bool) -> list[Frame]:
    if not extended:
        return await wire.query(sql)
    await wire.send(parse(sql) + bind() + describe("P") + execute() + SYNC)
    return await wire.read_until("Z")


EXTENDED = pytest.mark.parametrize("extended", [False, True])


@EXTENDED
@pytest.mark.parametrize("begin", BEGINS)
async def test_a_block_that_only_reads_is_a_replicas(
    cluster: Replicated, proxy: Proxy, begin: str, extended: bool
) -> None:
    async with session(proxy, database="app") as wire:
        for sql in (begin, "SET LOCAL work_mem = '1MB'", "SAVEPOINT a"):
            frames = await ask(wire, sql, extended=extended)
            assert errors(frames) == []
            assert frames[-1].body == b"T"
        assert is_at(cluster, await ask(wire, WHERE, extended=extended)) == "replica"
        assert rows(await ask(wire, "SELECT total()", extended=extended)) == [[b"6"]]
        assert rows(await ask(wire, "SELECT oid FROM pg_type WHERE typname = 'int8'", extended=extended)) == [[b"20"]]
        assert (await ask(wire, "COMMIT", extended=extended))[-1].body == b"I"
        assert is_at(cluster, await ask(wire, "SELECT current_setting('port') FROM notes LIMIT 1", extended=extended))
        before = await queries(proxy)
        await ask(wire, "INSERT INTO notes VALUES (50, 0)", extended=extended)
        await ask(wire, "DELETE FROM notes WHERE id = 50", extended=extended)
        assert (await queries(proxy))["app"] > before["app"]


@EXTENDED
@pytest.mark.parametrize("begin", ["BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY", "BEGIN READ WRITE", "BEGIN"])
async def test_any_other_block_is_the_primarys(cluster: Replicated, proxy: Proxy, begin: str, extended: bool) -> None:
    async with session(proxy, database="app") as wire:
        await ask(wire, begin, extended=extended)
        assert is_at(cluster, await ask(wire, WHERE, extended=extended)) == "primary"
        await ask(wire, "COMMIT", extended=extended)


DEFAULTS = (
    "SET default_transaction_read_only = on",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
)


@pytest.mark.parametrize("setting", DEFAULTS)
async def test_so_is_any_block_of_a_session_that_only_reads(cluster: Replicated, proxy: Proxy, setting: str) -> None:
    async with session(proxy, database="app") as wire:
        await wire.query(setting)
        for begin, expected in (("BEGIN", "replica"), ("BEGIN READ WRITE", "primary"), ("BEGIN", "replica")):
            await wire.query(begin)
            assert is_at(cluster, await wire.query(WHERE)) == expected
            await wire.query("COMMIT")
        await wire.query("RESET default_transaction_read_only")
        await wire.query("BEGIN")
        assert is_at(cluster, await wire.query(WHERE)) == "primary"
    async with session(proxy, database="app", options="-c default_transaction_read_only=on") as wire:
        await wire.query("BEGIN")
        assert is_at(cluster, await wire.query(WHERE)) == "replica"


AT_THE_PRIMARY = (
    "SELECT pg_advisory_xact_lock_shared(1)",
    "LISTEN here",
    "SET TRANSACTION READ WRITE",
    "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SET transaction_read_only = off",
    "SELECT pg_export_snapshot() IS NULL",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "SELECT 1; SELECT 2",
    "LOCK TABLE notes IN ACCESS SHARE MODE",
    "PREPARE one AS SELECT 1",
    "SELECT count(*) > 0 FROM pg_stat_activity",
)


@EXTENDED
@pytest.mark.parametrize("sql", AT_THE_PRIMARY)
async def test_what_a_replica_would_do_otherwise_begins_the_block_at_the_primary(
    cluster: Replicated, proxy: Proxy, sql: str, extended: bool
) -> None:
    async with session(proxy, database="app") as wire:
        await ask(wire, "BEGIN READ ONLY", extended=extended)
        await ask(wire, "SET LOCAL work_mem = '1MB'", extended=extended)
        assert errors(await ask(wire, sql, extended=extended and ";" not in sql)) == []
        assert is_at(cluster, await ask(wire, WHERE, extended=extended)) == "primary"
        assert rows(await ask(wire, "SHOW work_mem", extended=extended)) == [[b"1MB"]]
        await ask(wire, "ROLLBACK", extended=extended)


@EXTENDED
@pytest.mark.parametrize("sql", AT_THE_PRIMARY)
async def test_and_fails_where_something_was_asked_before(proxy: Proxy, sql: str, extended: bool) -> None:
    async with session(proxy, database="app") as wire:
        extended = extended and ";" not in sql
        await ask(wire, "BEGIN READ ONLY", extended=extended)
        assert rows(await ask(wire, "SELECT count(*) FROM notes WHERE id < 4", extended=extended)) == [[b"3"]]
        frames = await ask(wire, sql, extended=extended)
        assert errors(frames) == ["0A000"]
        assert "at a replica" in messages(frames)[0]
        assert errors(await ask(wire, "SELECT 1", extended=extended)) == ["25P02"]
        assert errors(await ask(wire, "ROLLBACK", extended=extended)) == []
        assert errors(await ask(wire, "LISTEN here", extended=extended)) == []


SCRIPT = (
    "BEGIN READ ONLY",
    "SHOW transaction_read_only",
    "SHOW transaction_isolation",
    "DECLARE c CURSOR FOR SELECT id FROM notes WHERE id < 4 ORDER BY id",
    "FETCH 2 FROM c",
    "SAVEPOINT a",
    "INSERT INTO notes VALUES (7, 7)",
    "SELECT 1",
    "ROLLBACK TO a",
    "FETCH 2 FROM c",
    "CLOSE c",
    "SAVEPOINT b",
    "SELECT writes()",
    "ROLLBACK TO b",
    "SELECT id FROM notes WHERE id < 4 FOR UPDATE",
    "ROLLBACK TO b",
    "CREATE TABLE never (id int8)",
    "ROLLBACK TO b",
    "TRUNCATE notes",
    "ROLLBACK",
    "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "SELECT total()",
    "BEGIN",
    "SELECT 1/0",
    "SELECT 1",
    "COMMIT",
    "SELECT count(*) FROM notes WHERE id < 4",
    "START TRANSACTION READ ONLY",
    "COMMIT AND CHAIN",
    "SHOW transaction_read_only",
    "COMMIT",
    "SHOW transaction_read_only",
)


@EXTENDED
async def test_a_block_at_a_replica_says_what_postgresql_says(
    cluster: Replicated, proxy: Proxy, extended: bool
) -> None:
    async def play(server: Postgres | Proxy, database: str) -> list[tuple[str, object, list[str], bytes]]:
        async with session(server, database=database) as wire:
            found = []
            for sql in SCRIPT:
                frames = await ask(wire, sql, extended=extended)
                found.append((sql, rows(frames) or shape(frames), messages(frames), frames[-1].body))
            return found

    assert await play(proxy, "app") == await play(cluster.primary, "postgres")


async def test_a_pipelined_block_is_a_replicas_and_what_comes_behind_it_is_not(
    cluster: Replicated, proxy: Proxy
) -> None:
    def one(sql: str) -> bytes:
        return parse(sql) + bind() + execute()

    async with session(proxy, database="app") as wire:
        await wire.send(
            query("BEGIN READ ONLY"), query(WHERE), query("COMMIT"), query("INSERT INTO notes VALUES (60, 0)")
        )
        answers = [await wire.read_until("Z") for _ in range(4)]
        assert is_at(cluster, answers[1]) == "replica"
        assert [errors(frames) for frames in answers] == [[]] * 4
        await wire.send(
            one("BEGIN READ ONLY") + one(WHERE) + SYNC,
            one("COMMIT") + SYNC,
            one("DELETE FROM notes WHERE id = 60") + SYNC,
        )
        answers = [await wire.read_until("Z") for _ in range(3)]
        assert is_at(cluster, answers[0]) == "replica"
        assert [errors(frames) for frames in answers] == [[]] * 3
        await wire.send(
            one("BEGIN READ ONLY") + one("SELECT pg_advisory_xact_lock(2)") + one(WHERE) + SYNC, one("COMMIT") + SYNC
        )
        answers = [await wire.read_until("Z") for _ in range(2)]
        assert errors(answers[0]) == []
        assert rows(answers[0])[-1] == [b"%d" % cluster.primary.port]
        await wire.send(
            query("BEGIN READ ONLY"), query("SELECT 1/0"), query("ROLLBACK"), query("INSERT INTO notes VALUES (61, 0)")
        )
        answers = [await wire.read_until("Z") for _ in range(4)]
        assert [errors(frames) for frames in answers] == [[], ["22012"], [], []]
        await wire.query("DELETE FROM notes WHERE id = 61")


async def test_a_block_reads_what_its_client_has_written(cluster: Replicated, proxy: Proxy) -> None:
    async with session(proxy, database="app") as wire:
        await cluster.replicas[0].fetch("SELECT pg_wal_replay_pause()")
        try:
            await wire.query("INSERT INTO notes VALUES (70, 0)")
            await wire.query("BEGIN READ ONLY")
            assert rows(await wire.query("SELECT id FROM notes WHERE id = 70")) == [[b"70"]]
            assert is_at(cluster, await wire.query(WHERE)) == "primary"
            await wire.query("COMMIT")
        finally:
            await cluster.replicas[0].fetch("SELECT pg_wal_replay_resume()")
        await cluster.primary.wait_for_replicas(1)
        await wire.query("BEGIN READ ONLY")
        assert rows(await wire.query("SELECT id FROM notes WHERE id = 70")) == [[b"70"]]
        assert is_at(cluster, await wire.query(WHERE)) == "replica"
        await wire.query("COMMIT")
        await wire.query("DELETE FROM notes WHERE id = 70")


async def test_a_block_whose_replica_is_lost_is_lost(cluster: Replicated, proxy: Proxy) -> None:
    async with session(proxy, database="app") as wire:
        await wire.query("BEGIN READ ONLY")
        assert rows(await wire.query("SELECT count(*) FROM notes WHERE id < 4")) == [[b"3"]]
        await cluster.replicas[0].fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'"
        )
        assert errors(await wire.query("SELECT 1")) == ["57P01"]
        assert errors(await wire.query("SELECT 1")) == ["25P02"]
        assert errors(await wire.query("ROLLBACK")) == []
        assert rows(await wire.query("SELECT count(*) FROM notes WHERE id < 4")) == [[b"3"]]


async def test_drivers_read_there(cluster: Replicated, proxy: Proxy) -> None:
    there = await asyncpg.connect(host=HOST, port=proxy.port, user="postgres", password=PASSWORD, database="app")
    try:
        async with there.transaction(readonly=True):
            assert int(await there.fetchval(WHERE)) == cluster.replicas[0].port
            assert await there.fetchval("SELECT body FROM notes WHERE id = $1", 2) == 2
        await there.execute("UPDATE notes SET body = body")
    finally:
        await there.close()
    dsn = f"host={HOST} port={proxy.port} user=postgres password='{PASSWORD}' dbname=app"
    async with await psycopg.AsyncConnection.connect(dsn) as here:
        await here.set_read_only(True)
        found = await here.execute(WHERE)
        assert await found.fetchone() == (str(cluster.replicas[0].port),)
        await here.commit()
        await here.set_read_only(False)
        await here.execute("UPDATE notes SET body = body")


async def test_who_asks_is_told(proxy: Proxy) -> None:
    async with session(proxy, database="app") as wire:
        assert rows(await wire.query("EXPLAIN (ROUTE) BEGIN READ ONLY"))[0] == [b"Route: a replica"]
        assert rows(await wire.query("EXPLAIN (ROUTE) SELECT total()")) == [
            [b"Route: the primary"],
            [b"  Reason: It calls public.total(), which is volatile."],
            [b"  In a READ ONLY transaction: a replica may answer it."],
        ]
