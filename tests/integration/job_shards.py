"""Two shards and a whole database for what PostgreSQL runs in no transaction, and looks at their indexes."""

from __future__ import annotations

from typing import Any

from tests.integration.sharded import SHARDS
from tests.integration.spread_pair import Pair

DATABASE = "shard_jobs"
SCHEMA = """
CREATE TABLE customers (id int8 PRIMARY KEY, name text NOT NULL, region int);
CREATE TABLE countries (code text PRIMARY KEY, name text);
CREATE TABLE notes (id int4, body text);
CREATE TABLE parts (id int8, n int4) PARTITION BY RANGE (n);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
"""
TABLES = {"customers": {"shard_by": "id"}, "countries": {"reference": True}, "parts": {"shard_by": "id"}}
INDEXES = (
    "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = 'customers'::regclass ORDER BY 1"
)


async def at(pair: Pair, shard: str, sql: str) -> list[tuple[object, ...]]:
    return await pair.postgres.fetch(sql, database=f"{DATABASE}_{shard}")


async def drifts(pair: Pair, shard: str, difference: str) -> bool:
    rows = await pair.proxy.admin("SHOW DRIFT")
    return (shard, difference) in [(row["shard"], row["difference"]) for row in rows]


async def indexes(pair: Pair) -> list[tuple[object, ...]]:
    """Of customers, which are the same on all shards and in the whole database."""
    whole = await at(pair, "whole", INDEXES)
    for shard in SHARDS:
        assert await at(pair, shard, INDEXES) == whole, shard
    return whole


async def jobs(pair: Pair) -> dict[str, Any]:
    """What the shards have done of the last statement, by their names."""
    rows = await pair.proxy.admin("SHOW JOBS")
    return {row["shard"]: row for row in rows if row["id"] == rows[-1]["id"]}
