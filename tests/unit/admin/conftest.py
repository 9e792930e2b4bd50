"""An instance that was never started: it has every object of a running proxy, and no socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from trunkline.admin.console import serve_console
from trunkline.config.choices import PoolMode
from trunkline.config.global_settings import Settings
from trunkline.config.settings import Config, DatabaseSettings, UserSettings
from trunkline.proxy.instance import Instance

CONFIG = Config(
    settings=Settings(admin_users=("ops",), max_user_connections=7),
    databases={
        "app": DatabaseSettings("app", hosts=("h1", "h2"), user="forced", pool_size=3, dbname="real"),
        "shop": DatabaseSettings("shop", hosts=("h1",), pool_mode=PoolMode.SESSION, disabled=True),
        "*": DatabaseSettings("*", hosts=("wild",)),
    },
    users={"ann": UserSettings("ann", pool_size=9, pool_mode=PoolMode.STATEMENT, max_user_connections=2)},
    secrets={"bob": "secret"},
    source="test",
)


@pytest.fixture
async def instance() -> AsyncIterator[Instance]:
    made = Instance(lambda: CONFIG, CONFIG, serve_console)
    yield made
    await made.close()
