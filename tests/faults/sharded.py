"""A proxy before two shards, with a customer on each, that has to be as it was when a test has done its harm."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.faults.conftest import unharmed
from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.sharded import create, keys_of
from tests.integration.transcript import session, shape

FIRST, OTHER = keys_of(0, 1)[0], keys_of(1, 1)[0]


@asynccontextmanager
async def one_row_each(
    postgres: Postgres, start_proxy: ProxyFactory, database: str, **config: Any
) -> AsyncIterator[Proxy]:
    """The customers are called as their keys, which are FIRST and OTHER."""
    settings = await create(postgres, database)
    config = {"pool_mode": "transaction", "default_pool_size": 2, **config}
    started: Proxy = await start_proxy(config, databases={database: settings})
    async with session(started, database=database) as wire:
        for key in (FIRST, OTHER):
            assert shape(await wire.query(f"INSERT INTO customers VALUES ({key}, '{key}')")) == "CZ"
    async with unharmed(started):
        yield started
