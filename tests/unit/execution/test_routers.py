"""Routers are made with a database's first client, and forgotten with its shards."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.execution.test_readers import APP
from tests.unit.relay import relay
from trunkline.execution.routers import Routers
from trunkline.pool.replica_watch import ReplicaWatches


async def test_a_database_that_has_no_shards_any_more_has_no_watch() -> None:
    async with relay() as made:
        routers = Routers(made.pools, ReplicaWatches(made.pools))
        watch = routers.watch_of("app")
        assert routers.watch_of("app") is watch
        routers.reconfigure(made.pools.config)
        assert routers.watch_of("app") is not watch
        assert list(routers) == []


async def test_all_clients_of_a_user_share_what_chooses_their_replicas() -> None:
    async with relay(databases={"app": APP, "forced": replace(APP, name="forced", user="one")}) as made:
        routers = Routers(made.pools, ReplicaWatches(made.pools))
        first = routers.readers_of("app", "ann")
        assert first is not None and first is routers.readers_of("app", "ann")
        assert first is not routers.readers_of("app", "bob")
        assert routers.readers_of("forced", "ann") is routers.readers_of("forced", "bob")
        routers.reconfigure(made.pools.config)
        assert routers.readers_of("app", "ann") is first
        made.pools.config = replace(made.pools.config, databases={"app": replace(APP, reads="primary")})
        routers.reconfigure(made.pools.config)
        assert routers.readers_of("app", "ann") is None
