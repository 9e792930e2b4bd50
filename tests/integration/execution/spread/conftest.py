"""What the tests of one room share: two shards beside a whole database, for what runs in no transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.job_shards import DATABASE, SCHEMA, TABLES
from tests.integration.postgres import Postgres
from tests.integration.sharded import create, create_database
from tests.integration.spread_pair import Pair
from tests.integration.transcript import session


@pytest.fixture
async def job_pair(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Pair]:
    settings = await create(postgres, DATABASE, SCHEMA, TABLES)
    await create_database(postgres, f"{DATABASE}_whole", SCHEMA)
    proxy = await start_proxy({"pool_mode": "transaction", "default_pool_size": 2}, databases={DATABASE: settings})
    async with session(proxy, database=DATABASE) as sharded, session(postgres, database=f"{DATABASE}_whole") as whole:
        yield Pair(proxy, postgres, DATABASE, sharded, whole)
