"""An instance that was never started, with two pools, and what metrics are read from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from trunkline.admin.console import serve_console
from trunkline.config.address import ServerAddress
from trunkline.config.global_settings import Settings
from trunkline.config.settings import Config, DatabaseSettings
from trunkline.metrics.loop_lag import LoopLag
from trunkline.metrics.readings import Source
from trunkline.pool.replica_watch import ReplicaWatch
from trunkline.pool.topology import Observation, Sight
from trunkline.proxy.instance import Instance

CONFIG = Config(
    settings=Settings(max_db_connections=30),
    databases={
        "app": DatabaseSettings("app", hosts=("h",), pool_size=3),
        "shop": DatabaseSettings(
            "shop", shards=tuple(DatabaseSettings(f"shop/{name}", hosts=("h",)) for name in ("s0", "s1"))
        ),
        "*": DatabaseSettings("*", hosts=("wild",)),
    },
    users={},
    secrets={},
    source="test",
)


@pytest.fixture
async def instance() -> AsyncIterator[Instance]:
    made = Instance(lambda: CONFIG, CONFIG, serve_console)
    yield made
    await made.close()


@pytest.fixture
def source(instance: Instance) -> Source:
    return Source(instance, LoopLag(0.0))


@pytest.fixture
async def watched(instance: Instance) -> ReplicaWatch:
    """A database with a replica, too, of which nobody is really asked."""
    split = DatabaseSettings("split", hosts=("h1",), replicas=(ServerAddress("h2", 5433),), reads="replica")
    instance.config = instance.pools.config = replace(
        CONFIG, databases={"app": CONFIG.databases["app"], "split": split}
    )
    instance.replicas.reconfigure()
    (watch,) = instance.replicas
    watch.stop()
    await asyncio.sleep(0)
    watch.heard("h1:5432", Sight(Observation(0.0, False, 1, 7, 1, written=200)))
    watch.heard("h1:5432", Sight(Observation(5.0, False, 1, 7, 1, written=300)))
    watch.heard("h2:5433", Sight(Observation(7.0, True, 1, 7, 2, replayed=200)))
    return watch
