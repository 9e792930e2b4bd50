"""Routers are made with a database's first client, and forgotten with its shards."""

from __future__ import annotations

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
