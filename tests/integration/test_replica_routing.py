"""Reads go to replicas, and never miss what their client has written."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.postgres import Farm, Postgres
from tests.integration.proxy import Proxy
from tests.integration.replicas import SETTINGS, Replicated
from tests.integration.transcript import errors, session
from tests.integration.waiting import wait_until
from tests.integration.wire import SYNC, Wire, bind, describe, execute, parse, query, rows

pytestmark = pytest.mark.asyncio(loop_scope="session")

CLIENTS = 16
PAIRS = int(os.environ.get("TRUNKLINE_CAUSALITY_PAIRS", "2000"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(farm: Farm) -> AsyncIterator[Replicated]:
    async with Replicated(farm, 2) as made:
        await made.primary.fetch("CREATE TABLE notes (id int8 PRIMARY KEY, body int8)")
        await made.primary.wait_for_replicas(2)
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(cluster: Replicated) -> AsyncIterator[Proxy]:
    database = cluster.database(reads="replica", health_check_user="postgres")
    async with Proxy({**SETTINGS, "pool_mode": "transaction"}, databases={"app": database}) as started:
        await all_up(started)
        yield started


async def all_up(proxy: Proxy) -> None:
    async def up() -> bool:
        return [row["state"] for row in await proxy.admin("SHOW REPLICAS")] == ["up"] * 3

    await wait_until(up)


async def queries(proxy: Proxy) -> dict[str, int]:
    """How many each server has answered."""
    found = {row["database"]: int(row["total_query_count"]) for row in await proxy.admin("SHOW STATS")}
    return {name.rpartition("/")[2]: count for name, count in found.items() if name.startswith("app")}


async def test_reads_are_spread_over_replicas_and_all_else_is_the_primarys(proxy: Proxy) -> None:
    async with session(proxy, database="app") as wire:
        for _ in range(20):
            assert rows(await wire.query("SELECT count(*) FROM notes WHERE id < 0")) == [[b"0"]]
        counts = await queries(proxy)
        assert counts == {"app": 0, "replica1": 10, "replica2": 10}


CARRIED = pytest.mark.parametrize("carried", [False, True], ids=["one connection", "two connections"])


async def write_and_read(proxy: Proxy, number: int, pairs: int, *, carried: bool) -> int:
    """Each reads what it has just written, in one way or another; returns how often that was wrong. If it is carried,
    another connection reads, which gets no more than the token."""
    choice, stale = random.Random(number), 0
    async with session(proxy, database="app") as wire, session(proxy, database="app") as other:
        reader = other if carried else wire
        await wire.query(f"INSERT INTO notes VALUES ({number}, 0) ON CONFLICT (id) DO UPDATE SET body = 0")
        for value in range(1, pairs + 1):
            update = f"UPDATE notes SET body = {value} WHERE id = {number}"
            kind = choice.randrange(3)
            if kind == 0:
                await wire.query(update)
            elif kind == 1:
                for sql in ("BEGIN", update, "COMMIT"):
                    await wire.query(sql)
            else:
                await wire.send(parse(update) + bind() + execute() + SYNC)
                await wire.read_until("Z")
            if carried:
                await carry(wire, reader, extended=choice.random() < 0.5)
            if choice.random() < 0.5:
                found = rows(await reader.query(f"SELECT body FROM notes WHERE id = {number}"))
            else:
                asked = parse("SELECT body FROM notes WHERE id = $1::int8") + bind("", [b"%d" % number])
                await reader.send(asked + describe("P") + execute() + SYNC)
                found = rows(await reader.read_until("Z"))
            stale += found != [[b"%d" % value]]
    return stale


async def carry(writer: Wire, reader: Wire, *, extended: bool) -> None:
    """What the one has written, the other is told to read behind."""
    ((token,),) = rows(await writer.query("SHOW trunkline.lsn"))
    assert token
    taking = f"SET trunkline.min_lsn = '{token.decode()}'"
    await reader.send(parse(taking) + bind() + execute() + SYNC if extended else query(taking))
    assert not errors(await reader.read_until("Z"))


async def disturb(replica: Postgres, seed: int) -> None:
    """Replay stops and goes on at random."""
    choice = random.Random(seed)
    while True:
        await replica.fetch("SELECT pg_wal_replay_pause()")
        await asyncio.sleep(choice.random() * 0.3)
        await replica.fetch("SELECT pg_wal_replay_resume()")
        await asyncio.sleep(choice.random() * 0.3)


async def every_client(proxy: Proxy, carried: bool) -> list[int]:
    pairs = PAIRS // CLIENTS
    return await asyncio.gather(*(write_and_read(proxy, n, pairs, carried=carried) for n in range(CLIENTS)))


@CARRIED
async def test_no_client_misses_what_it_has_written(proxy: Proxy, cluster: Replicated, carried: bool) -> None:
    trouble = [asyncio.create_task(disturb(replica, seed)) for seed, replica in enumerate(cluster.replicas)]
    try:
        stale = await every_client(proxy, carried)
    finally:
        for task in trouble:
            task.cancel()
        for replica in cluster.replicas:
            await replica.fetch("SELECT pg_wal_replay_resume()")
    assert stale == [0] * CLIENTS
    assert "Traceback" not in proxy.log, proxy.log[-3000:]


@CARRIED
async def test_most_reads_are_the_replicas_while_they_are_prompt(proxy: Proxy, carried: bool) -> None:
    stale = await every_client(proxy, carried)
    counts = await queries(proxy)
    print(f"{counts['replica1'] + counts['replica2']} of {PAIRS} reads were the replicas'")
    assert stale == [0] * CLIENTS
    assert counts["replica1"] + counts["replica2"] > 0.8 * PAIRS


async def test_a_replica_that_goes_away_costs_nobody_a_read(farm: Farm) -> None:
    """Nor when all of them have gone. [row 29]"""
    async with Replicated(farm, 2) as made:
        await made.primary.fetch("CREATE TABLE notes (id int8 PRIMARY KEY, body int8)")
        await made.primary.wait_for_replicas(2)
        database = made.database(reads="replica", health_check_user="postgres")
        settings = {**SETTINGS, "pool_mode": "transaction", "server_login_retry": 1}
        async with Proxy(settings, databases={"app": database}) as proxy, session(proxy, database="app") as wire:
            await all_up(proxy)
            for stopped, servers in ((0, {"replica2"}), (1, {"app"})):
                await made.replicas[stopped].stop("immediate")
                before = await queries(proxy)
                for _ in range(10):
                    assert rows(await wire.query("SELECT count(*) FROM notes")) == [[b"0"]]
                after = await queries(proxy)
                assert {name for name, count in after.items() if count > before.get(name, 0)} <= servers


async def test_a_serializable_client_reads_from_the_primary(proxy: Proxy) -> None:
    async with session(proxy, database="app") as wire:
        await wire.query("SET default_transaction_isolation = 'serializable'")
        assert rows(await wire.query("SELECT count(*) FROM notes WHERE id < 0")) == [[b"0"]]
        await wire.query("RESET default_transaction_isolation")
        before = (await queries(proxy))["app"]
        assert rows(await wire.query("SELECT count(*) FROM notes WHERE id < 0")) == [[b"0"]]
        assert (await queries(proxy))["app"] == before


async def test_who_asks_is_told_where_a_statement_goes(proxy: Proxy) -> None:
    async with session(proxy, database="app") as wire:
        assert rows(await wire.query("EXPLAIN (ROUTE) SELECT body FROM notes"))[0] == [b"Route: a replica"]
        said = rows(await wire.query("EXPLAIN (ROUTE) SELECT body FROM notes FOR UPDATE"))
        assert said == [[b"Route: the primary"], [b"  Reason: It locks rows."]]
        await wire.send(parse("EXPLAIN (ROUTE) SELECT $1::text") + bind("", [b"x"]) + execute() + SYNC)
        assert rows(await wire.read_until("Z"))[0] == [b"Route: a replica"]


async def test_a_client_hears_of_no_standby(proxy: Proxy) -> None:
    async with session(proxy, database="app") as wire:
        frames = [frame for sql in ("SELECT 1", "SET work_mem = '1MB'", "SELECT 1") for frame in await wire.query(sql)]
        assert not [frame for frame in frames if frame.type == "S"]


async def test_in_session_pooling_all_is_the_primarys(cluster: Replicated) -> None:
    database = cluster.database(reads="replica", health_check_user="postgres")
    async with Proxy({**SETTINGS, "pool_mode": "session"}, databases={"app": database}) as proxy:
        await all_up(proxy)
        async with session(proxy, database="app") as wire:
            assert rows(await wire.query("SELECT count(*) FROM notes WHERE id < 0")) == [[b"0"]]
            assert errors(await wire.query("EXPLAIN (ROUTE) SELECT 1")) == ["42601"]
            assert set(await queries(proxy)) == {"app"}
