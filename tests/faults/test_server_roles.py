"""Servers whose roles change under their clients, that lag, or that are gone: who is served, and by whom.

Whatever is acknowledged is where the clients go on. Rows 26 to 29.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from tests.faults.conftest import assert_no_internal_errors
from tests.integration.postgres import Farm, Postgres
from tests.integration.proxy import Proxy
from tests.integration.replicas import SETTINGS, UP, Replicated, follow, found, shown
from tests.integration.test_replica_routing import queries
from tests.integration.waiting import wait_until

PRIMARY, REPLICA = ("primary", UP), ("replica", UP)
WRITERS = 8
TOLD = {"08006", "08007", "57P01", "57P03"}  # what may become of a write while its primary is replaced


@asynccontextmanager
async def in_front_of(cluster: Replicated, **settings: object) -> AsyncIterator[Proxy]:
    """Reads are split, and everybody is known."""
    database = cluster.database(reads="replica", health_check_user="postgres", **settings)
    async with Proxy({**SETTINGS, "pool_mode": "transaction"}, databases={"app": database}) as proxy:
        await found(proxy, dict.fromkeys(cluster.replicas, REPLICA) | {cluster.primary: PRIMARY})
        yield proxy
        assert_no_internal_errors(proxy)


class Writers:
    """Each writes rows that say which server took them, again and again, and remembers what was acknowledged."""

    def __init__(self, proxy: Proxy) -> None:
        self.acknowledged: list[tuple[int, int, int]] = []  # writer, number, port
        self.told: list[str] = []
        self._proxy = proxy
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Writers:
        self._tasks = [asyncio.create_task(self._write(number)) for number in range(WRITERS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)

    async def _write(self, writer: int) -> None:
        async with await self._proxy.connect("app") as connection:
            number = 0
            while not self._stopping:
                number += 1
                try:
                    answer = await connection.execute(f"INSERT INTO kept VALUES ({writer}, {number}) RETURNING port")
                    ((port,),) = await answer.fetchall()
                except psycopg.Error as error:
                    self.told.append(error.sqlstate or str(error))
                else:
                    self.acknowledged.append((writer, number, port))

    async def have_reached(self, server: Postgres, count: int = 50) -> None:
        before = len(self.acknowledged)
        await wait_until(
            lambda: len([one for one in self.acknowledged[before:] if one[2] == server.port]) >= count,
            what=f"{count} writes at port {server.port}",
        )


async def prepare(primary: Postgres, replicas: int) -> None:
    await primary.fetch("CREATE TABLE kept (writer int, number int, port int DEFAULT inet_server_port())")
    await primary.wait_for_replicas(replicas)


async def test_row_26_a_primary_that_is_demoted_gets_no_write(farm: Farm) -> None:
    """It comes back in recovery, and follows the server that took its place, as after a switchover by hand."""
    async with Replicated(farm) as cluster:
        old, new = cluster.servers
        await prepare(old, 1)
        async with in_front_of(cluster) as proxy, Writers(proxy) as writers:
            await writers.have_reached(old)
            await old.stop("fast")
            old.write_file(Path("standby.signal"), b"")
            await new.promote()
            follow_at_start(old, new)
            await old.start()
            await found(proxy, {old: REPLICA, new: PRIMARY})
            await writers.have_reached(new)
        assert set(writers.told) <= TOLD
        # A server that is shut down in order has sent everything to its replica before it ends.
        assert set(await new.fetch("SELECT * FROM kept")) >= set(writers.acknowledged)


def follow_at_start(replica: Postgres, primary: Postgres) -> None:
    replica.settings["primary_conninfo"] = primary.dsn()


async def test_row_27_beside_a_promoted_replica_the_old_primary_gets_no_write(farm: Farm) -> None:
    """It is up all the while, and would take them."""
    async with Replicated(farm, 2) as cluster:
        old, new, other = cluster.servers
        await prepare(old, 2)
        async with in_front_of(cluster) as proxy, Writers(proxy) as writers:
            await writers.have_reached(old)
            await new.promote()
            follow(other, new)
            await found(proxy, {old: ("primary", "old timeline"), new: PRIMARY})
            await writers.have_reached(new)  # and what was under way at the old one has come to its end
            ((before,),) = await old.fetch("SELECT count(*) FROM kept")
            known = len(writers.acknowledged)
            await old.restart("immediate")
            await found(proxy, {old: ("primary", "old timeline"), new: PRIMARY})
            await writers.have_reached(new)
        assert {port for _, _, port in writers.acknowledged[known:]} == {new.port}
        assert await old.fetch("SELECT count(*) FROM kept") == [(before,)]
        assert set(writers.told) <= TOLD
        assert set(await new.fetch("SELECT * FROM kept WHERE port = %s", new.port)) >= {
            one for one in writers.acknowledged if one[2] == new.port
        }


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_row_11_a_primary_that_restarts_is_waited_for(farm: Farm, mode: str) -> None:
    """[row 12] Nobody takes its place, and who has nothing under way notices nothing."""
    async with Replicated(farm) as cluster:
        primary, replica = cluster.servers
        await prepare(primary, 1)
        async with in_front_of(cluster) as proxy:
            client = await proxy.connect("app")
            await client.execute("INSERT INTO kept VALUES (1, 1)")
            await primary.stop("fast" if mode == "fast" else "immediate")
            await found(proxy, {primary: ("primary", "unreachable"), replica: REPLICA})
            held = asyncio.create_task(client.execute("INSERT INTO kept VALUES (1, 2)"))
            await primary.start()
            await held
            await client.close()
        assert await primary.fetch("SELECT number FROM kept ORDER BY 1") == [(1,), (2,)]


READ = "SELECT count(*) FROM kept"


async def schema_is_known(client: psycopg.AsyncConnection) -> None:
    """Until it has been read, the primary answers everything; and always what only prepares a statement."""
    client.prepare_threshold = None

    async def would_be_a_replicas() -> bool:
        row = await (await client.execute(f"EXPLAIN (ROUTE) {READ}")).fetchone()
        return row == ("Route: a replica",)

    await wait_until(would_be_a_replicas)


async def readers(proxy: Proxy, client: psycopg.AsyncConnection, count: int = 20) -> set[str]:
    """The pools that have answered so many reads."""
    before = await queries(proxy)
    for _ in range(count):
        await client.execute(READ)
    after = await queries(proxy)
    return {name for name, answered in after.items() if answered > before.get(name, 0)}


async def test_row_28_and_29_a_replica_that_lags_is_not_asked_and_without_any_the_primary_is(farm: Farm) -> None:
    async with Replicated(farm, 2) as cluster:
        primary, first, second = cluster.servers
        await prepare(primary, 2)
        async with in_front_of(cluster, max_replica_lag="64kB") as proxy, await proxy.connect("app") as client:
            await schema_is_known(client)
            assert await readers(proxy, client) == {"replica1", "replica2"}
            await first.fetch("SELECT pg_wal_replay_pause()")
            await primary.fetch("INSERT INTO kept SELECT 0, n FROM generate_series(1, 10000) n")

            async def lags() -> bool:
                rows = await shown(proxy)
                return rows[first.port]["lag_bytes"] > 1 << 16 and rows[second.port]["lag_bytes"] < 1 << 16

            await wait_until(lags)
            assert await readers(proxy, client) == {"replica2"}
            await second.stop("immediate")
            await found(proxy, {second: ("replica", "unreachable")})
            assert await readers(proxy, client) == {"app"}
            await first.fetch("SELECT pg_wal_replay_resume()")

            async def is_level() -> bool:
                return bool((await shown(proxy))[first.port]["lag_bytes"] < 1 << 16)

            await wait_until(is_level)
            assert await readers(proxy, client) == {"replica1"}


async def test_row_29_without_replicas_reads_are_refused_where_the_primary_is_to_be_spared(farm: Farm) -> None:
    async with Replicated(farm) as cluster:
        primary, replica = cluster.servers
        await prepare(primary, 1)
        async with in_front_of(cluster, replica_fallback="error") as proxy, await proxy.connect("app") as client:
            await schema_is_known(client)
            assert await readers(proxy, client) == {"replica1"}
            await replica.stop("immediate")
            await found(proxy, {replica: ("replica", "unreachable")})
            with pytest.raises(psycopg.OperationalError) as refused:
                await client.execute(READ)
            assert refused.value.sqlstate == "57P03"
            await client.execute("INSERT INTO kept VALUES (1, 1)")
            await replica.start()
            await found(proxy, {replica: REPLICA})
            assert await readers(proxy, client) == {"replica1"}
