"""An instance that was never started, with two pools, and what metrics are read from."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from trunkline.admin.console import serve_console
from trunkline.config.global_settings import Settings
from trunkline.config.settings import Config, DatabaseSettings
from trunkline.metrics.loop_lag import LoopLag
from trunkline.metrics.readings import Source
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
