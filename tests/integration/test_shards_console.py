"""What the console says of a database with shards that is in use."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from tests.integration import sharded
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.waiting import wait_until


@pytest.fixture
async def name(postgres: Postgres) -> AsyncIterator[str]:
    stem = f"console_{uuid.uuid4().hex[:12]}"
    yield stem
    for shard in sharded.SHARDS:
        await postgres.fetch(f"DROP DATABASE {stem}_{shard} WITH (FORCE)")


async def test_shards_tables_and_drift_are_shown(postgres: Postgres, name: str) -> None:
    settings = await sharded.create(postgres, name)
    await postgres.fetch("ALTER TABLE countries DROP COLUMN name", database=f"{name}_s1")
    async with Proxy(databases={"shop": settings}) as proxy:
        assert await proxy.fetch("SELECT body FROM notes", database="shop") == []
        shards = await proxy.admin("SHOW SHARDS")
        assert [(row["database"], row["shard"], row["port"], row["home"], row["buckets"]) for row in shards] == [
            ("shop", "s0", postgres.port, 1, 512),
            ("shop", "s1", postgres.port, 0, 512),
        ]
        tables = await proxy.admin("SHOW TABLES")
        assert [(row["table"], row["kind"], row["group"]) for row in tables] == [
            ("customers", "sharded", "customers"),
            ("orders", "sharded", "customers"),
            ("countries", "reference", ""),
            ("loose", "sharded", "loose"),
        ]

        async def drift() -> list[tuple[str, str]]:
            rows = await proxy.admin("SHOW DRIFT")
            return [(row["shard"], f"{row['kind']} {row['name']} {row['difference']}") for row in rows]

        expected = [("s1", "table public.countries has no column name")]
        await wait_until(lambda: _is(drift, expected))
        await postgres.fetch("ALTER TABLE countries ADD COLUMN name text", database=f"{name}_s1")
        await proxy.reload()
        await wait_until(lambda: _is(drift, []))


async def _is(look, expected: list[tuple[str, str]]) -> bool:
    return await look() == expected
