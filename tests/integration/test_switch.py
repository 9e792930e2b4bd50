"""SWITCH DATABASE on real servers: to a streaming replica and to a logical subscriber, while clients write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from tests.integration.postgres import PASSWORD, Farm, Postgres
from tests.integration.proxy import HOST, Proxy
from tests.integration.replicas import SETTINGS, Replicated, found
from tests.integration.waiting import wait_until

WRITERS = 4
ENOUGH = 40  # rows, before and after a switch


def url(server: Postgres, user: str = "postgres", password: str = PASSWORD, database: str = "") -> str:
    return server.dsn(database, user=user, password=password).rstrip("/")


async def switch(proxy: Proxy, target: str, name: str = "app") -> list[str]:
    """The notices of a switch that succeeds."""
    connection = await proxy.connect("trunkline")
    said: list[str] = []
    connection.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
    async with connection:
        await connection.execute(f"SWITCH DATABASE {name} TO '{target}'".encode())
    return said


async def refused(proxy: Proxy, target: str, name: str = "app") -> psycopg.Error:
    with pytest.raises(psycopg.Error) as refusal:
        await switch(proxy, target, name)
    return refusal.value


class Writers:
    """Clients that write all the time; `rows` are those whose commit was acknowledged."""

    def __init__(self, proxy: Proxy, database: str = "app") -> None:
        self.proxy = proxy
        self.database = database
        self.rows: set[int] = set()
        self._stopping = False

    async def _write(self, number: int) -> None:
        connection = await self.proxy.connect(self.database)
        async with connection:
            count = number
            while not self._stopping:
                await connection.execute("INSERT INTO written VALUES (%s)", (count,))
                self.rows.add(count)
                count += WRITERS

    async def more(self) -> None:
        """Return when so many rows more have been written."""
        wanted = len(self.rows) + ENOUGH
        await wait_until(lambda: len(self.rows) >= wanted or any(task.done() for task in self.tasks))
        for task in self.tasks:
            assert not task.done() or task.result() is None

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[Writers]:
        self.tasks = [asyncio.create_task(self._write(number)) for number in range(WRITERS)]
        try:
            await self.more()
            yield self
        finally:
            self._stopping = True
            await asyncio.gather(*self.tasks)

    async def are_all_at(self, server: Postgres) -> bool:
        return {n for (n,) in await server.fetch("SELECT n FROM written")} == self.rows


async def addresses(proxy: Proxy) -> dict[str, int]:
    rows = await proxy.admin("SHOW DATABASES")
    return {row["name"]: row["port"] for row in rows if row["name"] not in ("trunkline", "pgbouncer")}


# --- to a streaming replica -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lists_replicas", [True, False])
async def test_a_replica_takes_over_and_no_client_notices(farm: Farm, lists_replicas: bool) -> None:
    async with Replicated(farm, 1, settings={"synchronous_commit": "off"}) as made:
        (replica,) = made.replicas
        await made.primary.fetch("CREATE TABLE written (n int8 PRIMARY KEY)")
        database = made.database() if lists_replicas else {"primary": f"postgres://{HOST}:{made.primary.port}/postgres"}
        async with Proxy(SETTINGS, databases={"app": database}) as proxy:
            async with Writers(proxy).at_work() as writers:
                (notice,) = await switch(proxy, url(replica))
                assert "change the configuration" in notice
                await writers.more()
            assert await writers.are_all_at(replica)
            assert len(await made.primary.fetch("SELECT n FROM written")) < len(writers.rows)
            assert (await addresses(proxy))["app"] == replica.port
            if lists_replicas:
                await found(proxy, {replica: ("primary", "up"), made.primary: ("primary", "old timeline")})
            assert "WARNING trunkline: app: switched to" in proxy.log
            assert PASSWORD not in proxy.log


# --- to a logical subscriber ------------------------------------------------------------------------------------------


@asynccontextmanager
async def subscribed(farm: Farm) -> AsyncIterator[tuple[Postgres, Postgres]]:
    """A publisher and a subscriber of all its tables, of which the second is a cluster of its own."""
    async with farm.prepare("embedded", settings={"wal_level": "logical"}) as publisher:
        async with farm.prepare("embedded", settings={"wal_level": "logical"}) as subscriber:
            for server in (publisher, subscriber):
                await server.fetch("CREATE TABLE written (n int8 PRIMARY KEY)")
            await publisher.fetch("CREATE PUBLICATION everything FOR TABLE written")
            await subscribe(publisher, subscriber)
            yield publisher, subscriber
        subscriber.remove()
    publisher.remove()


async def subscribe(publisher: Postgres, subscriber: Postgres) -> None:
    await subscriber.fetch(
        f"CREATE SUBSCRIPTION blue_green CONNECTION '{url(publisher, database='postgres')}' PUBLICATION everything"
    )

    async def copied() -> bool:
        rows = await subscriber.fetch("SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'")
        return rows == [(0,)]

    await wait_until(copied)


async def test_a_subscriber_takes_over_and_what_is_not_replicated_is_said(farm: Farm) -> None:
    async with subscribed(farm) as (publisher, subscriber), Proxy(SETTINGS, databases={"app": publisher}) as proxy:
        async with Writers(proxy).at_work() as writers:
            sequences, in_memory = await switch(proxy, url(subscriber, database="postgres"))
            assert sequences.startswith("sequences are not replicated logically")
            await writers.more()
        assert await writers.are_all_at(subscriber)
        assert (await addresses(proxy))["app"] == subscriber.port
        assert "change the configuration" in in_memory


async def test_a_subscriber_that_cannot_have_everything_is_refused(farm: Farm) -> None:
    async with subscribed(farm) as (publisher, subscriber), Proxy(SETTINGS, databases={"app": publisher}) as proxy:
        target = url(subscriber, database="postgres")
        async with Writers(proxy).at_work() as writers:
            connection = await publisher.connect()
            async with connection:
                await connection.execute("BEGIN; INSERT INTO written VALUES (-1); PREPARE TRANSACTION 'left'")
                assert "prepared transactions" in str(await refused(proxy, target))
                await connection.execute("ROLLBACK PREPARED 'left'")
            await subscriber.fetch("ALTER SUBSCRIPTION blue_green DISABLE")
            error = await refused(proxy, target)
            assert (error.sqlstate, "has nothing of the primary" in str(error)) == ("55000", True)
            await writers.more()
            await subscriber.fetch("ALTER SUBSCRIPTION blue_green ENABLE")
            await publisher.fetch("CREATE TABLE forgotten (n int8)")
            notices = await switch(proxy, target)
            assert any("public.forgotten" in notice for notice in notices)
        assert await writers.are_all_at(subscriber)


# --- what makes it give up --------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(farm: Farm) -> AsyncIterator[Replicated]:
    """A primary and a replica, whose roles stay."""
    async with Replicated(farm, 1) as made:
        await made.primary.fetch("CREATE TABLE written (n int8 PRIMARY KEY)")
        await made.primary.create_role("ann", "ann's own")
        yield made


@asynccontextmanager
async def serving(cluster: Replicated, **settings: Any) -> AsyncIterator[tuple[Proxy, Writers]]:
    """A proxy whose clients write from beginning to end, and find everything at the primary afterwards."""
    await cluster.primary.fetch("TRUNCATE written")
    config = {**SETTINGS, "switch_timeout": 1, **settings}
    async with Proxy(config, databases={"app": cluster.database()}, users={"ann": "ann's own"}) as proxy:
        async with Writers(proxy).at_work() as writers:
            yield proxy, writers
            await writers.more()
            assert await addresses(proxy) == {"app": cluster.primary.port}
        assert await writers.are_all_at(cluster.primary)


async def test_what_is_no_target_is_refused_and_the_primary_goes_on(farm: Farm, cluster: Replicated) -> None:
    other = await farm.get("embedded")
    (replica,) = cluster.replicas
    async with serving(cluster) as (proxy, _):
        for target, words in (
            (url(cluster.primary), "is the present primary already"),
            (url(other), "has nothing of the primary"),
            ("postgres://127.0.0.1:1", "could not be asked"),
            (url(replica, password="secret, and wrong"), "could not be asked"),
            (url(replica, "ann", "ann's own"), 'user "ann" may not promote'),
            (url(replica, database="template1"), "names another database"),
        ):
            error = await refused(proxy, target)
            assert (words in str(error), error.sqlstate) == (True, "55000"), error
            assert "secret" not in f"{error}{proxy.log}"
        assert (await refused(proxy, url(replica), "nowhere")).sqlstate == "3D000"
        assert (await refused(proxy, "postgres://u:secret@h:port/db")).sqlstate == "42601"
        assert proxy.log.count("app: not switched: ") == 6


async def test_a_replica_that_does_not_get_there_in_time_is_given_up(cluster: Replicated) -> None:
    (replica,) = cluster.replicas
    async with serving(cluster) as (proxy, _):
        await replica.fetch("SELECT pg_wal_replay_pause()")
        error = await refused(proxy, url(replica))
        await replica.fetch("SELECT pg_wal_replay_resume()")
        assert error.sqlstate == "57014"
        assert "the target has all up to" in str(error.diag.message_detail)


async def test_a_transaction_that_does_not_end_is_not_waited_for_for_ever(cluster: Replicated) -> None:
    async with serving(cluster) as (proxy, _):
        connection = await proxy.connect("app")
        async with connection, connection.transaction():
            await connection.execute("SELECT 1")
            error = await refused(proxy, url(cluster.replicas[0]))
            assert "1 server connections are in use" in str(error.diag.message_detail)
            await connection.execute("SELECT 'goes on'")


async def test_a_transaction_of_others_that_has_written_is_waited_for(cluster: Replicated) -> None:
    async with serving(cluster, switch_timeout=3) as (proxy, _), await cluster.primary.connect() as connection:
        await connection.execute("BEGIN; CREATE TABLE unfinished ()")
        error = await refused(proxy, url(cluster.replicas[0]))
        await connection.execute("ROLLBACK")
        assert "somebody else writes to it" in str(error.diag.message_detail)


async def waiting_for_replay(proxy: Proxy, replica: Postgres) -> asyncio.Task[Any]:
    """A switch that has closed every server and waits for a replica that does not replay."""
    await replica.fetch("SELECT pg_wal_replay_pause()")
    switching = asyncio.create_task(switch(proxy, url(replica)))
    await wait_until(lambda: _is_stopped(proxy))
    return switching


async def _is_stopped(proxy: Proxy) -> bool:
    pools = await proxy.admin("SHOW POOLS")
    return any(row["cl_waiting"] == WRITERS for row in pools) and not await proxy.admin("SHOW SERVERS")


async def test_a_console_that_leaves_has_given_up(cluster: Replicated) -> None:
    (replica,) = cluster.replicas
    async with serving(cluster, switch_timeout=60) as (proxy, writers):
        switching = await waiting_for_replay(proxy, replica)
        switching.cancel()
        await asyncio.gather(switching, return_exceptions=True)
        await writers.more()
        await replica.fetch("SELECT pg_wal_replay_resume()")
        assert "nobody waits for it any more" in proxy.log


async def test_two_at_a_time_and_what_the_operator_says_meanwhile(cluster: Replicated) -> None:
    """RESUME does not let anybody write; a reload that changes where the primary is gives it up."""
    (replica,) = cluster.replicas
    async with serving(cluster, switch_timeout=60) as (proxy, writers):
        switching = await waiting_for_replay(proxy, replica)
        assert (await refused(proxy, url(replica))).sqlstate == "55006"
        before = len(writers.rows)
        await proxy.admin("PAUSE")
        await proxy.admin("RESUME")
        await proxy.admin("RELOAD")
        assert await _is_stopped(proxy)
        assert len(writers.rows) == before
        config = {**SETTINGS, "switch_timeout": 60}
        proxy.write_config(config, {"app": {**cluster.database(), "dbname": "postgres", "pool_size": 7}})
        await proxy.admin("RELOAD")
        await replica.fetch("SELECT pg_wal_replay_resume()")
        with pytest.raises(psycopg.Error, match="the configuration has changed meanwhile"):
            await switching


async def test_a_replica_that_is_lost_meanwhile_is_given_up(farm: Farm) -> None:
    async with Replicated(farm, 1) as made:
        await made.primary.fetch("CREATE TABLE written (n int8 PRIMARY KEY)")
        (replica,) = made.replicas
        async with serving(made, switch_timeout=60) as (proxy, _):
            switching = await waiting_for_replay(proxy, replica)
            await replica.stop("immediate")
            with pytest.raises(psycopg.Error, match="a server did not answer as expected"):
                await switching


async def test_a_shutdown_meanwhile_ends_at_once(cluster: Replicated) -> None:
    (replica,) = cluster.replicas
    async with Proxy({**SETTINGS, "switch_timeout": 60}, databases={"app": cluster.database()}) as proxy:
        async with await proxy.connect("app") as connection:
            await connection.execute("SELECT 1")
            await replica.fetch("SELECT pg_wal_replay_pause()")
            await cluster.primary.fetch("CREATE TABLE IF NOT EXISTS more (); DROP TABLE more")
            switching = asyncio.create_task(switch(proxy, url(replica)))
            await wait_until(lambda: "switching to" in proxy.log)
            await proxy.admin("SHUTDOWN")
            assert await proxy.wait() == 0
            await replica.fetch("SELECT pg_wal_replay_resume()")
            with pytest.raises(psycopg.Error):
                await switching
        assert "Traceback" not in proxy.log


# --- what is so afterwards --------------------------------------------------------------------------------------------


async def test_a_switch_outlives_reloads_until_the_file_names_another_primary(farm: Farm) -> None:
    async with Replicated(farm, 1) as made:
        (replica,) = made.replicas
        main = {"primary": f"postgres://{HOST}:{made.primary.port}/postgres"}
        databases = {"app": main, "beside": main, "*": f"postgres://{HOST}:{made.primary.port}"}
        async with Proxy(SETTINGS, databases=databases) as proxy:
            await proxy.admin("PAUSE beside")
            await switch(proxy, url(replica))
            ports = {"app": replica.port, "beside": replica.port, "template1": replica.port}
            assert await proxy.fetch("SHOW port", database="template1") == [(str(replica.port),)]
            assert await addresses(proxy) == ports  # all that were on the old one
            rows = {row["name"]: row["paused"] for row in await proxy.admin("SHOW DATABASES")}
            assert (rows["app"], rows["beside"]) == (0, 1)
            assert await proxy.fetch("SELECT pg_is_in_recovery()", database="app") == [(False,)]

            proxy.write_config({**SETTINGS, "default_pool_size": 7}, databases)
            said = await proxy.reload()
            assert "app was switched to" in said
            assert await addresses(proxy) == ports

            elsewhere = {**databases, "app": f"postgres://localhost:{made.primary.port}/postgres"}
            proxy.write_config(SETTINGS, elsewhere)
            await proxy.reload()
            assert (await addresses(proxy))["app"] == made.primary.port
            proxy.write_config(SETTINGS, databases)
            said = await proxy.reload()
            assert "beside was switched to" in said and "app was" not in said


async def test_listeners_are_told_that_they_may_have_missed_something(farm: Farm) -> None:
    async with Replicated(farm, 1) as made, Proxy(SETTINGS, databases={"app": made.database()}) as proxy:
        async with await proxy.connect("app") as connection:
            await connection.execute("LISTEN told")
            await wait_until(lambda: _has_listener(proxy))
            await switch(proxy, url(made.replicas[0]))
            with pytest.raises(psycopg.OperationalError):
                async for _ in connection.notifies(timeout=10):
                    pass
        assert "Traceback" not in proxy.log


async def _has_listener(proxy: Proxy) -> Any:
    return await proxy.admin("SHOW LISTENERS")


async def test_one_shard_goes_elsewhere_alone(farm: Farm) -> None:
    other = await farm.get("embedded")
    async with Replicated(farm, 1) as made:
        (replica,) = made.replicas
        for server in (made.primary, other):
            await server.fetch("CREATE TABLE IF NOT EXISTS moved (n int8 PRIMARY KEY)")
        shards = [
            {"name": "s0", "primary": f"postgres://{HOST}:{made.primary.port}/postgres"},
            {"name": "s1", "primary": f"postgres://{HOST}:{other.port}/postgres"},
        ]
        shop = {"shards": shards, "tables": {"moved": {"shard_by": "n"}}, "health_check_user": "postgres"}
        async with Proxy(SETTINGS, databases={"shop": shop}) as proxy, await proxy.connect("shop") as connection:
            for n in range(8):
                await connection.execute("INSERT INTO moved VALUES (%s)", (n,))
            assert "each is switched by itself" in str((await refused(proxy, url(replica), "shop")).diag.message_hint)
            await switch(proxy, url(replica), "shop/s0")
            for n in range(8):
                cursor = await connection.execute("UPDATE moved SET n = n WHERE n = %s", (n,))
                assert cursor.rowcount == 1
            rows = {row["shard"]: row["port"] for row in await proxy.admin("SHOW SHARDS")}
            assert rows == {"s0": replica.port, "s1": other.port}
        await other.fetch("DROP TABLE moved")
