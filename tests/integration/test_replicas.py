"""What Trunkline finds out about real streaming replicas, whatever becomes of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.postgres import Farm
from tests.integration.proxy import Proxy
from tests.integration.replicas import SETTINGS, UP, Replicated, follow, forget_to_recover, found, shown
from tests.integration.waiting import wait_until

PRIMARY, REPLICA = ("primary", UP), ("replica", UP)
ORDINARY = {"ann": "ann's own"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(farm: Farm) -> AsyncIterator[Replicated]:
    """A primary with two replicas for all tests that leave roles as they are."""
    async with Replicated(farm, 2) as made:
        await made.primary.create_role("ann", ORDINARY["ann"])
        yield made


def watching(database: dict[str, Any], **settings: Any) -> Proxy:
    return Proxy({**SETTINGS, **settings}, databases={"app": database}, users=ORDINARY)


async def test_the_roles_of_all_servers_are_found(cluster: Replicated) -> None:
    primary, first, second = cluster.servers
    async with watching(cluster.database()) as proxy:
        rows = await found(proxy, {primary: PRIMARY, first: REPLICA, second: REPLICA})
        assert list(rows) == [server.port for server in cluster.servers]
        for row in rows.values():
            assert (row["database"], row["shard"], row["host"], row["timeline"], row["error"]) == (
                "app", "", "127.0.0.1", 1, "",
            )  # fmt: skip
        assert f"app: 127.0.0.1:{primary.port} is primary, up, timeline 1" in proxy.log


async def test_settings_that_call_a_replica_primary_are_found_out(cluster: Replicated) -> None:
    primary, first, second = cluster.servers
    async with watching(cluster.database(first, primary, second)) as proxy:
        rows = await found(proxy, {first: REPLICA, primary: PRIMARY, second: REPLICA})
        assert next(iter(rows)) == first.port


async def test_replay_that_is_paused_shows_as_lag(cluster: Replicated) -> None:
    primary, first, second = cluster.servers
    async with watching(cluster.database()) as proxy:
        await found(proxy, {primary: PRIMARY, first: REPLICA, second: REPLICA})
        await first.fetch("SELECT pg_wal_replay_pause()")
        await primary.fetch("DROP TABLE IF EXISTS behind; CREATE TABLE behind AS SELECT generate_series(1, 10000)")

        async def is_behind() -> bool:
            rows = await shown(proxy)
            return (rows[first.port]["lag_bytes"] or 0) > 100_000 and rows[first.port]["lag_ms"] > 300

        async def is_level() -> bool:
            row = (await shown(proxy))[first.port]
            return (row["lag_bytes"], row["lag_ms"]) == (0, 0)

        await wait_until(is_behind)
        lsn = (await first.fetch("SELECT pg_last_wal_replay_lsn()::text"))[0][0]
        assert (await shown(proxy))[first.port]["lsn"] == lsn
        await first.fetch("SELECT pg_wal_replay_resume()")
        await wait_until(is_level)


async def test_an_idle_primary_at_the_beginning_of_a_wal_file_leaves_nobody_behind(cluster: Replicated) -> None:
    """Its insert position is behind the header of a page that no replica has yet."""
    primary, first, second = cluster.servers
    async with watching(cluster.database()) as proxy:
        await primary.fetch("CREATE TABLE IF NOT EXISTS switched ()")
        await primary.fetch("SELECT pg_switch_wal()")
        await primary.wait_for_replicas(2)

        async def all_level() -> bool:
            ((written,),) = await primary.fetch("SELECT pg_current_wal_flush_lsn()::text")
            rows = await shown(proxy)
            behind = [rows[replica.port]["lag_bytes"] for replica in (first, second)]
            return (rows[primary.port]["lsn"], behind) == (written, [0, 0])

        await wait_until(all_level)


async def test_a_replica_that_is_stopped_is_missed_and_found_again(cluster: Replicated) -> None:
    primary, first, second = cluster.servers
    async with watching(cluster.database()) as proxy:
        await found(proxy, {primary: PRIMARY, first: REPLICA})
        await first.stop()
        rows = await found(proxy, {primary: PRIMARY, first: ("replica", "unreachable"), second: REPLICA})
        assert rows[first.port]["error"] == "cannot connect to the server: Connection refused"
        assert rows[first.port]["seen_ms"] > 0
        await first.start()
        await found(proxy, {first: REPLICA})
        assert proxy.log.count(f"127.0.0.1:{first.port} is replica, unreachable") == 1


async def test_any_user_can_watch_and_it_is_the_first_one_who_logs_in(cluster: Replicated) -> None:
    primary, first, second = cluster.servers
    async with watching(cluster.database(pool_size=1)) as proxy:
        rows = await shown(proxy)
        assert {row["state"] for row in rows.values()} == {"unseen"}
        assert rows[first.port]["error"].startswith("nobody has logged in yet")
        connection = await proxy.connect("app", user="ann", password=ORDINARY["ann"])
        await connection.close()
        await found(proxy, {primary: PRIMARY, first: REPLICA, second: REPLICA})
        users = await first.fetch("SELECT usename FROM pg_stat_activity WHERE application_name LIKE 'trunkline%'")
        assert users == [("ann",)]


async def test_the_keys_that_a_client_has_proved_are_enough_to_watch(cluster: Replicated) -> None:
    """Its password is nowhere: there is only the SCRAM secret that the servers have too."""
    primary, first, second = cluster.servers
    ((secret,),) = await primary.fetch("SELECT rolpassword FROM pg_authid WHERE rolname = 'ann'")
    async with Proxy(SETTINGS, databases={"app": cluster.database(pool_size=1)}, users={"ann": secret}) as proxy:
        connection = await proxy.connect("app", user="ann", password=ORDINARY["ann"])
        await connection.close()
        await found(proxy, {primary: PRIMARY, first: REPLICA, second: REPLICA})
        assert secret.startswith("SCRAM-SHA-256$")


async def test_control_connections_count_against_no_limit_and_pause_does_not_end_them(cluster: Replicated) -> None:
    primary, first, _ = cluster.servers
    async with watching(cluster.database(), max_db_connections=1, max_user_connections=1) as proxy:
        assert await proxy.fetch("SELECT 1", database="app") == [(1,)]
        await found(proxy, {primary: PRIMARY, first: REPLICA})
        await proxy.admin("PAUSE app")
        before = await _connections(first)
        assert len(before) == 1
        await found(proxy, {primary: PRIMARY, first: REPLICA})
        assert await _connections(first) == before
        await proxy.admin("RESUME app")
    await wait_until(lambda: _none_connected(first))


async def test_a_database_that_is_watched_can_be_dropped(cluster: Replicated) -> None:
    primary, first, _ = cluster.servers
    await primary.fetch("CREATE DATABASE doomed")
    doomed = {**cluster.database(primary, first), "dbname": "doomed"}
    async with Proxy(SETTINGS, databases={"doomed": doomed, "app": primary}) as proxy:
        await found(proxy, {primary: PRIMARY, first: REPLICA})
        await proxy.fetch("DROP DATABASE doomed", database="app")

        async def is_told() -> bool:
            """Who refuses a login is alive: what it said last still counts."""
            row = (await shown(proxy))[primary.port]
            return (row["state"], row["error"]) == (UP, 'database "doomed" does not exist')

        await wait_until(is_told)


async def test_a_reload_watches_what_is_to_be_watched_now(cluster: Replicated) -> None:
    primary, first, second = cluster.servers
    async with watching(cluster.database(primary, first)) as proxy:
        await found(proxy, {primary: PRIMARY, first: REPLICA})
        proxy.write_config(SETTINGS, {"app": cluster.database(primary, second)})
        await proxy.reload()
        rows = await found(proxy, {primary: PRIMARY, second: REPLICA})
        assert first.port not in rows
        await wait_until(lambda: _none_connected(first))
        proxy.write_config({"health_check_interval": 0}, {"app": cluster.database()})
        await proxy.reload()
        assert await shown(proxy) == {}


async def test_each_shard_has_replicas_of_its_own(cluster: Replicated) -> None:
    primary, first, second = cluster.servers
    shards = [
        {"name": name, "primary": _url(primary.port), "replicas": [_url(replica.port)]}
        for name, replica in (("s0", first), ("s1", second))
    ]
    settings = {"shards": shards, "health_check_user": "postgres"}
    async with watching(settings) as proxy:

        async def all_found() -> bool:
            rows = await proxy.admin("SHOW REPLICAS")
            return [(row["database"], row["shard"], row["role"], row["state"]) for row in rows] == [
                ("app", shard, *what) for shard in ("s0", "s1") for what in (PRIMARY, REPLICA)
            ]

        await wait_until(all_found)


@pytest.mark.every_postgres
async def test_a_promotion_is_seen_once_the_primary_is_gone(farm: Farm, flavour: str) -> None:
    async with (
        Replicated(farm, 2, flavour=flavour) as cluster,
        watching(cluster.database(health_check_user="ann")) as proxy,
    ):
        old, new, other = cluster.servers
        await old.create_role("ann", ORDINARY["ann"])
        await found(proxy, {old: PRIMARY, new: REPLICA, other: REPLICA})
        await old.kill()
        await found(proxy, {old: ("primary", "unreachable"), new: REPLICA})
        await new.promote()
        rows = await found(proxy, {old: ("primary", "unreachable"), new: PRIMARY})
        assert rows[new.port]["timeline"] == 2
        follow(other, new)
        await new.wait_for_replicas()

        async def is_in_doubt() -> bool:
            """An ordinary user cannot see yet that it follows, so it is not trusted to."""
            return (await shown(proxy))[other.port]["error"] == (
                "its timeline is 1, the newest is 2; to see which one it streams, its user needs pg_read_all_stats"
            )

        await wait_until(is_in_doubt)
        await new.fetch("GRANT pg_read_all_stats TO ann")
        await found(proxy, {new: PRIMARY, other: REPLICA})
        # The old one comes back as if nothing had been: its clients would write what nobody will ever read.
        await old.start()
        rows = await found(proxy, {old: ("primary", "old timeline"), new: PRIMARY})
        assert rows[old.port]["error"] == "its timeline is 1, the newest is 2"


async def test_a_second_failover_leaves_the_replicas_that_follow_what_they_are(farm: Farm) -> None:
    """Their files still have the timeline of before the first one, and their connections are lost with the primary."""
    async with Replicated(farm, 2) as cluster, watching(cluster.database()) as proxy:
        first, second, third = cluster.servers
        await found(proxy, {first: PRIMARY, second: REPLICA, third: REPLICA})
        await second.promote()
        follow(third, second)
        await first.kill()
        await found(proxy, {second: PRIMARY, third: REPLICA})
        await second.kill()
        await found(proxy, {second: ("primary", "unreachable")})
        ages: list[int] = []

        async def was_asked_again() -> bool:
            ages.append((await shown(proxy))[third.port]["seen_ms"])
            return sum(later < earlier for earlier, later in pairwise(ages)) >= 2

        await wait_until(was_asked_again)
        await found(proxy, {third: REPLICA}, timeout_s=0)


async def test_an_old_primary_is_not_believed_beside_a_promoted_one(farm: Farm) -> None:
    async with Replicated(farm) as cluster, watching(cluster.database()) as proxy:
        old, new = cluster.servers
        await found(proxy, {old: PRIMARY, new: REPLICA})
        await new.promote()
        await found(proxy, {old: ("primary", "old timeline"), new: PRIMARY})
        assert f"ERROR trunkline.pool: app: 127.0.0.1:{old.port} is primary, old timeline" in proxy.log
        # Nor is it once the new one is gone.
        await new.kill()
        await found(proxy, {old: ("primary", "old timeline"), new: ("primary", "unreachable")})


async def test_of_two_with_the_same_timeline_none_is_believed(farm: Farm) -> None:
    async with Replicated(farm) as cluster, watching(cluster.database()) as proxy:
        primary, second = cluster.servers
        await found(proxy, {primary: PRIMARY, second: REPLICA})
        await second.stop()
        forget_to_recover(second)
        await second.start()
        await found(proxy, {primary: ("primary", "split brain"), second: ("primary", "split brain")})
        assert f"ERROR trunkline.pool: app: 127.0.0.1:{primary.port} is primary, split brain" in proxy.log
        await primary.kill()
        rows = await found(proxy, {primary: ("primary", "unreachable"), second: ("primary", "split brain")})
        assert rows[second.port]["error"] == f"127.0.0.1:{primary.port} was the primary of the same timeline 1"


async def test_a_server_of_another_cluster_is_not_ours(farm: Farm, cluster: Replicated) -> None:
    stranger = await farm.get("embedded")
    primary, first, _ = cluster.servers
    async with watching(cluster.database(primary, stranger, first)) as proxy:
        rows = await found(proxy, {primary: PRIMARY, stranger: ("primary", "other system"), first: REPLICA})
        assert rows[stranger.port]["error"].startswith("its system identifier is ")


def _url(port: int) -> str:
    return f"postgres://127.0.0.1:{port}/postgres"


async def _connections(server: Any) -> list[int]:
    rows = await server.fetch("SELECT pid FROM pg_stat_activity WHERE application_name = 'trunkline health check'")
    return [pid for (pid,) in rows]


async def _none_connected(server: Any) -> bool:
    return not await _connections(server)
