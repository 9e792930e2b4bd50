"""Reads through a replica that fails are answered all the same, if nothing of the answer had been given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from tests.integration.postgres import PASSWORD, Farm
from tests.integration.proxy import Proxy
from tests.integration.replicas import SETTINGS, Replicated
from tests.integration.test_replica_routing import queries
from tests.integration.transcript import errors, session, shape
from tests.integration.waiting import wait_until
from tests.integration.wire import SYNC, Wire, bind, describe, execute, parse, rows

pytestmark = pytest.mark.asyncio(loop_scope="session")

Send = Callable[[Wire, str], Awaitable[None]]
ON_REPLICA = "WHEN current_setting('in_hot_standby') = 'on' THEN 30 ELSE 0"
SLOW = f"SELECT count(*), pg_sleep(CASE {ON_REPLICA} END) FROM notes"
EARLY = {"max_standby_streaming_delay": "0", "hot_standby_feedback": "off"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(farm: Farm) -> AsyncIterator[Replicated]:
    async with Replicated(farm, 1, settings=EARLY) as made:
        await made.primary.fetch("CREATE TABLE notes (id int8 PRIMARY KEY, body text)")
        await made.primary.fetch("INSERT INTO notes SELECT n, repeat('x', 1000) FROM generate_series(1, 1000) n")
        await made.primary.fetch(f"CREATE ROLE strict LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
        await made.primary.fetch("ALTER ROLE strict SET default_transaction_isolation = 'serializable'")
        await made.primary.fetch("CREATE FUNCTION sly() RETURNS int8 STABLE LANGUAGE internal AS 'pg_current_xact_id'")
        await made.primary.wait_for_replicas(1)
        yield made


@asynccontextmanager
async def proxy_of(cluster: Replicated, **settings: object) -> AsyncIterator[Proxy]:
    database = cluster.database(reads="replica", health_check_user="postgres")
    everything = {**SETTINGS, "pool_mode": "transaction", "server_login_retry": 1, **settings}
    async with Proxy(everything, databases={"app": database}, users={"strict": PASSWORD}) as started:

        async def up() -> bool:
            shown = await started.admin("SHOW REPLICAS")
            return [row["state"] for row in shown] == ["up"] * len(cluster.servers)

        await wait_until(up)
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(cluster: Replicated) -> AsyncIterator[Proxy]:
    async with proxy_of(cluster) as started:
        yield started


async def running(cluster: Replicated, sql: str = SLOW) -> None:
    """Until the replica runs this."""

    async def runs() -> bool:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = %s"
        return bool((await cluster.replicas[0].fetch(asked, sql))[0][0])

    await wait_until(runs)


async def terminate(cluster: Replicated, sql: str = SLOW) -> None:
    asked = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'active' AND query = %s"
    assert await cluster.replicas[0].fetch(asked, sql) == [(True,)]


async def send_simple(wire: Wire, sql: str) -> None:
    await wire.send_query(sql)


async def send_unnamed(wire: Wire, sql: str) -> None:
    await wire.send(parse(sql) + bind() + describe("P") + execute() + SYNC)


async def send_named(wire: Wire, sql: str) -> None:
    await wire.send(parse(sql, "named") + bind("named") + describe("P") + execute() + SYNC)


SEND = pytest.mark.parametrize("send", [send_simple, send_unnamed, send_named])


@SEND
async def test_a_conflict_with_recovery_is_not_seen(cluster: Replicated, proxy: Proxy, send: Send) -> None:
    """[row 28]"""
    async with session(proxy, database="app") as wire:
        await cluster.primary.fetch("INSERT INTO notes VALUES (0, '')")
        await cluster.primary.wait_for_replicas(1)
        await send(wire, SLOW)
        await running(cluster)
        await cluster.primary.fetch("DELETE FROM notes WHERE id = 0")
        await cluster.primary.fetch("VACUUM notes")
        assert rows(await wire.read_until("Z")) == [[b"1000", b""]]


@SEND
async def test_a_terminated_read_is_not_seen_and_its_statement_stays(
    cluster: Replicated, proxy: Proxy, send: Send
) -> None:
    async with session(proxy, database="app") as wire:
        for again in range(2):
            if again and send is send_named:
                await wire.send(bind("named") + describe("P") + execute() + SYNC)
            else:
                await send(wire, SLOW)
            await running(cluster)
            await terminate(cluster)
            frames = await wire.read_until("Z")
            assert (errors(frames), rows(frames)) == ([], [[b"1000", b""]])


@SEND
async def test_of_one_with_many_columns_nothing_is_seen_before_its_rows(
    cluster: Replicated, proxy: Proxy, send: Send
) -> None:
    """What describes them is longer than what PostgreSQL sends in one piece, so some of the answer comes at once."""
    columns = ", ".join(f"1 AS {'c' * 50}{number}" for number in range(300))
    wide = f"SELECT count(*), pg_sleep(CASE {ON_REPLICA} END), {columns} FROM notes"
    async with session(proxy, database="app") as wire:
        await send(wire, wide)
        shown = wide[:1023]  # as long as pg_stat_activity has it
        await running(cluster, shown)
        await terminate(cluster, shown)
        frames = await wire.read_until("Z")
        assert errors(frames) == []
        assert rows(frames) == [[b"1000", b"", *[b"1"] * 300]]


async def test_with_rows_given_the_error_is_told(cluster: Replicated, proxy: Proxy) -> None:
    slow = f"SELECT body, pg_sleep(CASE WHEN id < 900 THEN 0 {ON_REPLICA} END) FROM notes"
    async with session(proxy, database="app") as wire:
        await wire.send_query(slow)
        await wire.read_until("D")
        await running(cluster, slow)
        await terminate(cluster, slow)
        assert errors(await wire.read_until("Z")) == ["57P01"]
        assert rows(await wire.query("SELECT count(*) FROM notes")) == [[b"1000"]]


async def test_what_a_replica_refuses_is_the_primarys_from_then_on(cluster: Replicated, proxy: Proxy) -> None:
    """A function that says of itself that it is stable, and is not."""
    async with session(proxy, database="app") as wire:
        assert rows(await wire.query("EXPLAIN (ROUTE) SELECT sly() > 0 FROM notes LIMIT 1"))[0] == [b"Route: a replica"]
        for _ in range(3):
            assert errors(await wire.query("SELECT sly() > 0 FROM notes LIMIT 1")) == []
        assert (await queries(proxy))["replica1"] == 1
        said = rows(await wire.query("EXPLAIN (ROUTE) SELECT sly() > 0 FROM notes LIMIT 1"))
        assert said == [[b"Route: the primary"], [b"  Reason: A replica has refused to answer it."]]


async def test_a_role_that_is_serializable_reads_from_the_primary(cluster: Replicated, proxy: Proxy) -> None:
    async with await Wire.connect(proxy.port) as wire:
        await wire.login("strict", PASSWORD, database="app")
        for sql in ("SELECT count(*) FROM notes", "SELECT min(id) + 999 FROM notes"):
            assert rows(await wire.query(sql)) == [[b"1000"]]
        assert (await queries(proxy))["replica1"] == 1
    async with session(proxy, database="app") as wire:
        assert rows(await wire.query("EXPLAIN (ROUTE) SELECT count(*) FROM notes"))[0] == [b"Route: a replica"]


async def test_a_replica_that_is_killed_under_reads_fails_none_of_them(farm: Farm) -> None:
    async with Replicated(farm, 2) as made:
        await made.primary.fetch("CREATE TABLE notes AS SELECT n AS id FROM generate_series(1, 10) n")
        await made.primary.wait_for_replicas(2)
        async with proxy_of(made) as proxy:
            stop = asyncio.Event()
            answered = [0] * 8
            clients = [asyncio.create_task(read_until(proxy, stop, answered, n)) for n in range(8)]
            for replica in made.replicas:
                await some_more(answered)
                await replica.stop("immediate")
            await some_more(answered)
            stop.set()
            assert await asyncio.gather(*clients) == [[]] * 8


async def read_until(proxy: Proxy, stop: asyncio.Event, answered: list[int], number: int) -> list[str]:
    """Read and read, every other one in pipelines; the errors."""
    found: list[str] = []
    one = parse("SELECT count(*) FROM notes", "") + bind() + execute() + SYNC
    async with session(proxy, database="app") as wire:
        while not stop.is_set():
            count = 1 if number % 2 else 5
            await wire.send(one * count)
            units = [await wire.read_until("Z") for _ in range(count)]
            first = next((one for one in units if rows(one) != [[b"10"]]), None)
            # a server that is stopped at once sends what it has so far: what has begun is told, and not asked again
            if first is not None and not (errors(first) and shape(first)[0] != "E"):
                found += errors(first) or ["no rows"]
            answered[number] += count
    return found


async def some_more(answered: list[int]) -> None:
    """Until everybody has had twenty more answers: a read that is asked a second time is not asked a third time."""
    before = list(answered)
    await wait_until(lambda: all(now > then + 20 for now, then in zip(answered, before, strict=True)))
