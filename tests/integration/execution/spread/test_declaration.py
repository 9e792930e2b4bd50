"""Declarations change in a transaction of their own over all shards, or are refused and leave nothing behind."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.sharded import SHARDS, create
from tests.integration.transcript import errors, messages, session

DATABASE = "declaration"
SCHEMA = "CREATE TABLE users (id int8 PRIMARY KEY, email text)"
AT_HOME = ("CREATE TABLE notes (id int8 PRIMARY KEY)", "CREATE TABLE codes (id int8 PRIMARY KEY)")
FUNCTIONS = (
    "create_distributed_table('notes', 'id')",
    "create_reference_table('notes')",
    "undistribute_table('codes')",
    "create_unique_index('users', 'email')",
)


@pytest.fixture
async def proxy(start_proxy: ProxyFactory, postgres: Postgres) -> Proxy:
    settings: dict[str, Any] = await create(postgres, DATABASE, SCHEMA, {"users": {"shard_by": "id"}})
    started: Proxy = await start_proxy({"pool_mode": "transaction"}, databases={DATABASE: settings})
    return started


async def kept(postgres: Postgres) -> list[object]:
    """What the shards have that declarations leave there."""
    sql = "SELECT relname FROM pg_class WHERE relname LIKE 'unique_users%' OR relname IN ('notes', 'codes')"
    return [await postgres.fetch(sql, database=f"{DATABASE}_{shard}") for shard in SHARDS]


@pytest.mark.parametrize("function", FUNCTIONS)
async def test_a_declaration_is_neither_part_of_a_transaction_nor_of_one_shard(
    function: str, proxy: Proxy, postgres: Postgres
) -> None:
    async with session(proxy, database=DATABASE) as wire:
        for sql in (*AT_HOME, "SELECT create_distributed_table('codes', 'id')"):
            assert errors(await wire.query(sql)) == []
        before = await kept(postgres)
        await wire.query("BEGIN")
        reply = await wire.query(f"SELECT {function}")
        assert errors(reply) == ["25001"] and "cannot run inside a transaction block" in messages(reply)[0]
        assert errors(await wire.query("ROLLBACK")) == []
        for mode, text in (("single", "writes to one shard only"), ("best_effort", "needs two-phase commit")):
            await wire.query(f"SET trunkline.transaction_mode = '{mode}'")
            reply = await wire.query(f"SELECT {function}")
            assert len(errors(reply)) == 1 and text in messages(reply)[0]
        assert await kept(postgres) == before
        await wire.query("SET trunkline.transaction_mode = 'two_phase'")
        assert errors(await wire.query(f"SELECT {function}")) == []
