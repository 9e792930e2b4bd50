"""Where statements go when the primary is lost, replaced, doubted or switched: real servers, real promotions."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from tests.integration.postgres import Farm, Postgres
from tests.integration.proxy import Proxy
from tests.integration.replicas import SETTINGS, Replicated, follow, forget_to_recover, found
from tests.integration.sharded import keys_of
from tests.integration.waiting import wait_until

PRIMARY, REPLICA = ("primary", "up"), ("replica", "up")
OLD = ("primary", "old timeline")
SPLIT = ("primary", "split brain")
GONE = ("primary", "unreachable")


@asynccontextmanager
async def in_front_of(cluster: Replicated, *order: Postgres, **settings: Any) -> AsyncIterator[Proxy]:
    """Trunkline, once it knows who is who."""
    async with Proxy({**SETTINGS, **settings}, databases={"app": cluster.database(*order)}) as proxy:
        await found(proxy, dict.fromkeys(cluster.replicas, REPLICA) | {cluster.primary: PRIMARY})
        yield proxy


async def answering(connection: psycopg.AsyncConnection[Any]) -> int:
    """The port of the server that answers."""
    row = await (await connection.execute("SELECT inet_server_port()")).fetchone()
    assert row is not None
    return int(row[0])


async def waiting_clients(proxy: Proxy) -> int:
    return sum(int(row["cl_waiting"]) for row in await proxy.admin("SHOW POOLS") if row["database"] == "app")


async def test_statements_wait_for_the_next_primary_and_what_was_under_way_is_told(farm: Farm) -> None:
    async with Replicated(farm, 2) as cluster, in_front_of(cluster) as proxy:
        old, new, other = cluster.servers
        idle = await proxy.connect("app")
        within = await proxy.connect("app")
        await idle.execute("CREATE TABLE kept (id int)")
        await within.execute("BEGIN")
        await within.execute("INSERT INTO kept VALUES (1)")
        await old.kill()
        with pytest.raises(psycopg.OperationalError) as lost:
            await within.execute("INSERT INTO kept VALUES (2)")
        assert lost.value.sqlstate in ("08006", "57P01")  # ours, or the server's last words
        await within.execute("ROLLBACK")
        held = [asyncio.create_task(answering(one)) for one in (idle, within)]
        newcomer = asyncio.create_task(proxy.connect("app"))
        await found(proxy, {old: GONE, new: REPLICA})

        async def all_wait() -> bool:
            return await waiting_clients(proxy) >= 2

        await wait_until(all_wait)
        await new.promote()
        assert [await one for one in held] == [new.port, new.port]
        arrived = await newcomer
        assert {row["port"] for row in await proxy.admin("SHOW DATABASES") if row["name"] == "app"} == {new.port}
        await arrived.execute("INSERT INTO kept VALUES (3)")
        # The old one comes back as if nothing had been, and gets nothing.
        await old.start()
        await found(proxy, {old: OLD, new: PRIMARY})
        assert await answering(idle) == new.port
        assert await old.server_connections("postgres") <= 1  # the health check
        # Nor after a restart of the proxy, whose settings still call it the primary.
        for connection in (idle, within, arrived):
            await connection.close()
        await proxy.restart()
        assert await proxy.fetch("SELECT inet_server_port()", database="app") == [(new.port,)]
        follow(other, new)
        assert await proxy.fetch("SELECT id FROM kept", database="app") == [(3,)]


async def test_without_a_primary_statements_wait_no_longer_than_failover_wait(farm: Farm) -> None:
    async with Replicated(farm) as cluster, in_front_of(cluster, failover_wait=0.3) as proxy:
        old, _ = cluster.servers
        client = await proxy.connect("app")
        assert await answering(client) == old.port
        await old.stop("immediate")
        await found(proxy, {old: GONE})
        with pytest.raises(psycopg.OperationalError, match="there is no primary") as refused:
            await answering(client)
        assert refused.value.sqlstate == "57P03"
        with pytest.raises(psycopg.OperationalError, match="there is no primary"):
            await proxy.fetch("SELECT 1", database="app")
        # It was a restart: whoever has been told so is still connected.
        await old.start()
        await found(proxy, {old: PRIMARY})
        assert await answering(client) == old.port
        await client.close()


async def test_a_primary_that_is_replaced_while_it_lives_gets_no_more_writes(farm: Farm) -> None:
    async with Replicated(farm) as cluster, in_front_of(cluster) as proxy:
        old, new = cluster.servers
        writer = await proxy.connect("app")
        listener = await proxy.connect("app")
        await writer.execute("CREATE TABLE one_side (id int)")
        await listener.execute("LISTEN news")
        await writer.execute("BEGIN")
        await writer.execute("INSERT INTO one_side VALUES (1)")
        await new.promote()
        await found(proxy, {old: OLD, new: PRIMARY})
        with pytest.raises(psycopg.OperationalError) as lost:
            await writer.execute("COMMIT")
        assert lost.value.sqlstate in ("08006", "08007")
        if writer.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            await writer.execute("ROLLBACK")
        await writer.execute("INSERT INTO one_side VALUES (2)")
        assert await new.fetch("SELECT id FROM one_side") == [(2,)]
        assert await old.fetch("SELECT id FROM one_side") == []
        with pytest.raises(psycopg.OperationalError):  # it may have missed what was notified at the new one
            await listener.execute("SELECT 1")
        # Nobody is believed once there are two of one timeline, and nobody has to wait to hear it.
        await new.kill()
        await found(proxy, {old: OLD, new: GONE})
        await writer.close()


async def test_two_primaries_of_one_timeline_are_both_refused(farm: Farm) -> None:
    async with Replicated(farm) as cluster, in_front_of(cluster) as proxy:
        first, second = cluster.servers
        client = await proxy.connect("app")
        await client.execute("CREATE TABLE doubted (id int)")
        await second.stop()
        forget_to_recover(second)
        await second.start()
        await found(proxy, {first: SPLIT, second: SPLIT})
        with pytest.raises(psycopg.OperationalError, match="no server is believed to be the primary") as refused:
            await client.execute("INSERT INTO doubted VALUES (1)")
        assert refused.value.sqlstate == "57P03"
        assert "127.0.0.1" not in str(refused.value)
        assert "statements that need one are refused" in proxy.log
        assert await first.fetch("SELECT count(*) FROM doubted") == [(0,)]
        await client.close()


async def test_a_switchover_between_pause_and_resume_is_noticed_by_nobody(farm: Farm) -> None:
    async with Replicated(farm) as cluster, in_front_of(cluster, health_check_interval=60) as proxy:
        old, new = cluster.servers
        await proxy.fetch("CREATE TABLE written (id bigserial, port int)", database="app")
        stopping = asyncio.Event()

        async def write() -> int:
            client = await proxy.connect("app")
            count = 0
            while not stopping.is_set():
                await client.execute("INSERT INTO written (port) VALUES (inet_server_port())")
                count += 1
            await client.close()
            return count

        writers = [asyncio.create_task(write()) for _ in range(4)]

        async def some_on(server: Postgres) -> bool:
            return await server.fetch("SELECT count(*) FROM written WHERE port = %s", server.port) > [(50,)]

        await wait_until(lambda: some_on(old))
        await proxy.admin("PAUSE app")
        await old.stop("fast")
        await new.promote()
        await proxy.admin("RESUME app")
        await wait_until(lambda: some_on(new))
        stopping.set()
        assert sum([await one for one in writers]) == (await new.fetch("SELECT count(*) FROM written"))[0][0]


async def test_a_primary_that_is_stalled_is_left_for_its_successor(farm: Farm) -> None:
    """Its connections stay open, and nothing comes."""
    async with Replicated(farm) as cluster, in_front_of(cluster) as proxy:
        old, new = cluster.servers
        client, within = [await proxy.connect("app") for _ in range(2)]
        await within.execute("BEGIN")
        pids = [old.pid, *(pid for (pid,) in await old.fetch("SELECT pid FROM pg_stat_activity"))]
        asked = None
        try:
            _signal(pids, signal.SIGSTOP)
            asked = asyncio.create_task(answering(within))
            await found(proxy, {old: GONE})
            held = asyncio.create_task(answering(client))
            await new.promote()
            assert await held == new.port
            with pytest.raises(psycopg.OperationalError):
                await asked
        finally:
            _signal(pids, signal.SIGCONT)
        await found(proxy, {old: OLD, new: PRIMARY})
        assert await answering(client) == new.port
        for connection in (client, within):
            await connection.close()


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue  # the connection that asked for them


async def test_a_check_that_is_refused_does_not_take_the_primary_away(farm: Farm) -> None:
    async with Replicated(farm) as cluster:
        primary, replica = cluster.servers
        await primary.create_role("watcher", "w")
        database = {**cluster.database(health_check_user="watcher")}
        async with Proxy(SETTINGS, databases={"app": database}, users={"watcher": "w"}) as proxy:
            await found(proxy, {primary: PRIMARY, replica: REPLICA})
            await primary.fetch("ALTER ROLE watcher NOLOGIN")
            await primary.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'watcher'")

            async def is_refused() -> bool:
                rows = await proxy.admin("SHOW REPLICAS")
                return rows[0]["error"] == 'role "watcher" is not permitted to log in'

            await wait_until(is_refused)
            assert await proxy.fetch("SELECT inet_server_port()", database="app") == [(primary.port,)]
            assert (await proxy.admin("SHOW REPLICAS"))[0]["state"] == "up"


async def test_a_server_in_recovery_is_not_taken_for_the_primary(farm: Farm) -> None:
    """Somebody has put a replica behind the primary's address between two checks."""
    async with Replicated(farm) as cluster, in_front_of(cluster, failover_wait=0.3) as proxy:
        primary, _ = cluster.servers
        assert await proxy.fetch("SELECT 1", database="app") == [(1,)]
        await primary.stop("fast")
        primary.write_file(primary.data_directory / "standby.signal", b"")
        await primary.start()
        with pytest.raises(psycopg.OperationalError, match="there is no primary"):
            await proxy.fetch("CREATE TABLE nowhere ()", database="app")
        await primary.promote()
        await found(proxy, {primary: PRIMARY})
        await proxy.fetch("CREATE TABLE somewhere ()", database="app")


async def test_the_failover_of_one_shard_concerns_that_shard_alone(farm: Farm) -> None:
    async with Replicated(farm) as first, Replicated(farm) as second:
        clusters = {"s0": first, "s1": second}
        for cluster in clusters.values():
            await cluster.primary.fetch("CREATE TABLE carts (id int8 PRIMARY KEY)")
        urls = {
            name: [f"postgres://127.0.0.1:{one.port}/postgres" for one in of.servers] for name, of in clusters.items()
        }
        shards = [{"name": name, "primary": url, "replicas": others} for name, (url, *others) in urls.items()]
        shop = {
            "home": "s0",
            "health_check_user": "postgres",
            "shards": shards,
            "tables": {"carts": {"shard_by": "id"}},
        }
        (here,), (there,) = keys_of(0, 1), keys_of(1, 1)
        async with Proxy(SETTINGS, databases={"shop": shop}) as proxy:
            roles = {cluster.primary: PRIMARY for cluster in clusters.values()}
            await found(proxy, roles | {cluster.replicas[0]: REPLICA for cluster in clusters.values()})
            client, other = [await proxy.connect("shop") for _ in range(2)]
            await first.primary.kill()
            await found(proxy, {first.primary: GONE})
            held = asyncio.create_task(client.execute(f"INSERT INTO carts VALUES ({here})"))
            await other.execute(f"INSERT INTO carts VALUES ({there})")
            assert not held.done()
            await first.replicas[0].promote()
            await held
            assert await first.replicas[0].fetch("SELECT id FROM carts") == [(here,)]
            for connection in (client, other):
                await connection.close()
