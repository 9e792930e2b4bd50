"""Which replica answers: by weights under pgbench, by zone, by lag, and never one that fails again and again."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from tests.faults.fault_proxy.actions import Blackhole
from tests.faults.fault_proxy.proxy import FaultProxy
from tests.faults.fault_proxy.rules import Rule
from tests.integration.postgres import Farm, Postgres
from tests.integration.proxy import HOST, Proxy
from tests.integration.replicas import SETTINGS, Replicated, found, shown
from tests.integration.transcript import session
from tests.integration.waiting import wait_until
from tests.integration.wire import query

pytestmark = pytest.mark.asyncio(loop_scope="session")

READ = "SELECT count(*) FROM pgbench_branches"
SHARES = [(balance, weights) for balance in ("least", "round-robin", "random") for weights in ((1, 3), (1, 1))]
READS = 900


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(farm: Farm) -> AsyncIterator[Replicated]:
    async with Replicated(farm, 2) as made:
        port = str(made.primary.port)
        await made.primary.run("pgbench", "-i", "-q", "-s", "2", "-h", HOST, "-p", port, "-U", "postgres", "postgres")
        await made.primary.wait_for_replicas(2)
        yield made


def split(cluster: Replicated, *replicas: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """A database whose reads are spread over the replicas, each with what is said of it."""
    listed = [
        {"url": f"postgres://{HOST}:{server.port}/postgres"} | of_it
        for server, of_it in zip(cluster.replicas, replicas or ({}, {}), strict=True)
    ]
    return cluster.database(cluster.primary, reads="replica", health_check_user="postgres", **settings) | {
        "replicas": listed
    }


def named(balance: str, weights: tuple[int, int]) -> str:
    return f"{balance}_{weights[0]}_{weights[1]}"


async def up(proxy: Proxy) -> None:
    async def all_up() -> bool:
        return all(row["state"] == "up" for row in await proxy.admin("SHOW REPLICAS"))

    await wait_until(all_up)


async def reads(proxy: Proxy, database: str = "app") -> dict[int, int]:
    """What each server has answered as a replica, by its port."""
    rows = await proxy.admin("SHOW REPLICAS")
    return {row["port"]: int(row["reads"]) for row in rows if row["database"] == database}


async def asked(proxy: Proxy, cluster: Replicated, times: int = 10, database: str = "app") -> list[int]:
    """How many of so many reads of a new client each replica answers."""
    before = await reads(proxy, database)
    async with await proxy.connect(database) as connection:
        for _ in range(times):
            await connection.execute(READ)
    after = await reads(proxy, database)
    return [after[server.port] - before[server.port] for server in cluster.replicas]


async def pgbench(proxy: Proxy, cluster: Replicated, database: str, *words: str) -> None:
    """One run, of which nothing may fail."""
    said = await cluster.primary.run("pgbench", "-n", *words, proxy.dsn(database, sslmode="disable"))
    assert "number of failed transactions: 0 " in said, said


async def test_reads_are_spread_by_the_weights_under_pgbench(cluster: Replicated) -> None:
    """Within a tenth; by chance, within what chance allows. By load, with one reader at a time: of several, a replica
    that is slow for a moment is given less, as it should. Who writes is another client than who reads: a read that only
    one of the replicas can answer yet does not ask for weights."""
    databases = {
        named(balance, weights): split(cluster, *({"weight": weight} for weight in weights), balance=balance)
        for balance, weights in SHARES
    }
    spread = {}
    async with Proxy(SETTINGS, databases=databases) as proxy:
        await up(proxy)
        for balance, weights in SHARES:
            name, share = named(balance, weights), weights[0] / sum(weights)
            readers = 1 if balance == "least" else 6
            await asyncio.gather(
                pgbench(proxy, cluster, name, "-b", "tpcb-like", "-c", "2", "-t", "50"),
                pgbench(proxy, cluster, name, "-b", "select-only", "-c", str(readers), "-t", str(READS // readers)),
            )
            answered = await reads(proxy, name)
            first, second = (answered[server.port] for server in cluster.replicas)
            spread[name] = first / (first + second) / share
            assert first + second >= READS
            by_chance = 4 * math.sqrt((1 - share) / share / (first + second))
            assert spread[name] == pytest.approx(1, abs=max(0.1, by_chance if balance == "random" else 0)), spread
    print(spread)


async def test_the_proxys_zone_answers_until_its_servers_are_in_use(cluster: Replicated) -> None:
    database = split(cluster, {"zone": "eu-1"}, {"zone": "eu-2"}, pool_size=2)
    endless = query(b"SELECT generate_series(1, 1000000000)")  # nobody reads the answer
    async with Proxy({**SETTINGS, "zone": "eu-2"}, databases={"app": database}) as proxy:
        await up(proxy)
        assert await asked(proxy, cluster) == [0, 10]
        far = cluster.replicas[0].port
        async with session(proxy, database="app") as one, session(proxy, database="app") as other:
            await one.send(endless)
            await other.send(endless)

            async def in_use() -> bool:
                rows = await proxy.admin("SHOW POOLS")
                return [int(row["sv_active"]) for row in rows if row["database"] == "app/replica2"] == [2]

            await wait_until(in_use)
            async with await proxy.connect("app") as connection:
                await connection.execute(READ)
            assert (await reads(proxy))[far] == 1
        await wait_until(lambda: answered_near(proxy, cluster))
        assert await asked(proxy, cluster) == [0, 10]


async def level(proxy: Proxy, *replicas: Postgres) -> bool:
    rows = await shown(proxy)
    return all(rows[replica.port]["lag_bytes"] == 0 for replica in replicas)


async def answered_near(proxy: Proxy, cluster: Replicated) -> bool:
    return await asked(proxy, cluster, 1) == [0, 1]


async def test_a_replica_whose_replay_is_paused_is_not_read_from_until_it_has_caught_up(cluster: Replicated) -> None:
    settings: dict[str, Any] = {"max_replica_lag": "100kB", "replica_fallback": "error"}
    async with Proxy(SETTINGS, databases={"app": split(cluster, **settings)}) as proxy:
        await up(proxy)
        await wait_until(lambda: level(proxy, *cluster.replicas))
        assert min(await asked(proxy, cluster)) > 0
        first, second = cluster.replicas
        try:
            await first.fetch("SELECT pg_wal_replay_pause()")
            await write(cluster)
            await behind(proxy, first)
            await wait_until(lambda: level(proxy, second))
            assert await asked(proxy, cluster) == [0, 10]
            await second.fetch("SELECT pg_wal_replay_pause()")
            await write(cluster)
            await behind(proxy, second)
            with pytest.raises(psycopg.errors.CannotConnectNow) as refused:
                await proxy.fetch(READ, database="app")
            assert "Replica1 is " in str(refused.value) and "max_replica_lag is 102400B" in str(refused.value)
            assert await proxy.fetch("SELECT nextval('lines')", database="app")
        finally:
            for server in cluster.replicas:
                await server.fetch("SELECT pg_wal_replay_resume()")

        async def both() -> bool:
            rows = await shown(proxy)
            return all(rows[server.port]["lag_bytes"] == 0 for server in cluster.replicas)

        await wait_until(both)
        assert min(await asked(proxy, cluster)) > 0


async def write(cluster: Replicated) -> None:
    """More than 100 kB of log."""
    await cluster.primary.fetch("CREATE SEQUENCE IF NOT EXISTS lines")
    await cluster.primary.fetch("UPDATE pgbench_accounts SET filler = 'x' WHERE aid <= 5000")


async def behind(proxy: Proxy, replica: Postgres) -> None:
    async def is_behind() -> bool:
        return bool((await shown(proxy))[replica.port]["lag_bytes"] > 102400)

    await wait_until(is_behind)


async def test_a_replica_that_is_killed_under_load_costs_no_read_and_is_read_from_again(cluster: Replicated) -> None:
    async with Proxy({**SETTINGS, "breaker_timeout": 0.5}, databases={"app": split(cluster)}) as proxy:
        await up(proxy)
        load = asyncio.create_task(pgbench(proxy, cluster, "app", "-T", "3", "-b", "select-only", "-c", "8"))
        victim, other = cluster.replicas
        await wait_until(lambda: read_from(proxy, victim, 100))
        await victim.kill()
        try:
            await wait_until(lambda: "circuit breaker is open" in proxy.log)
            before = (await reads(proxy))[other.port]
            await wait_until(lambda: read_from(proxy, other, before + 100))
        finally:
            await victim.start()
        await wait_until(lambda: "circuit breaker is closed" in proxy.log)
        async with await proxy.connect("app") as client:
            before = (await reads(proxy))[victim.port]
            await wait_until(lambda: answers_again(proxy, client, victim.port, before))
        await load
        assert "Traceback" not in proxy.log, proxy.log[-3000:]


async def read_from(proxy: Proxy, server: Postgres, count: int) -> bool:
    return (await reads(proxy))[server.port] >= count


async def test_reads_leave_a_replica_that_nothing_comes_from_any_more(cluster: Replicated) -> None:
    silent, _ = cluster.replicas
    async with FaultProxy(HOST, silent.port) as faults:
        database = split(cluster, {"url": f"postgres://{HOST}:{faults.port}/postgres"}, {})
        async with Proxy(SETTINGS, databases={"app": database}) as proxy:
            await up(proxy)
            async with await proxy.connect("app") as one, await proxy.connect("app") as other:
                for client in (one, other):
                    await client.execute(READ)
                faults.add(Rule("fe", times=None), Blackhole())
                # Each in its turn: one of the two is asked what will not be answered.
                answers = await asyncio.gather(*(client.execute(READ) for client in (one, other)))
                assert [await answer.fetchone() for answer in answers] == [(2,), (2,)]
                assert (await shown(proxy))[faults.port]["state"] == "unreachable"
                before = await reads(proxy)
                for _ in range(10):
                    await one.execute(READ)
                after = await reads(proxy)
                assert after[faults.port] == before[faults.port]
                faults.clear()
                await up(proxy)
                await wait_until(lambda: answers_again(proxy, one, faults.port, before[faults.port]))


async def answers_again(proxy: Proxy, client: psycopg.AsyncConnection[Any], port: int, before: int) -> bool:
    await client.execute(READ)
    return (await reads(proxy))[port] > before


async def test_a_former_primary_that_comes_back_as_a_replica_is_read_from(farm: Farm) -> None:
    """And a replica that was promoted is not any more."""
    async with Replicated(farm, 1) as cluster:
        old, new = cluster.servers
        await old.fetch("CREATE TABLE pgbench_branches (bid int)")
        database = cluster.database(reads="replica", health_check_user="postgres")
        async with Proxy(SETTINGS, databases={"app": database}) as proxy:
            await up(proxy)
            await old.stop("fast")
            await new.promote()
            old.settings["primary_conninfo"] = new.dsn()
            old.write_file(old.data_directory / "standby.signal", b"")
            await old.start()
            await found(proxy, {new: ("primary", "up"), old: ("replica", "up")})
            before = await reads(proxy)
            async with await proxy.connect("app") as client:
                for _ in range(5):
                    await client.execute(READ)
            after = await reads(proxy)
            assert {port: after[port] - before[port] for port in after} == {old.port: 5, new.port: 0}
