"""A database on two shards, which are two databases of one server; and the same tables on none, to compare with."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from tests.integration.postgres import Postgres
from trunkline.routing.keys.hashing import RowHash

BUCKETS = 1024
SHARDS = ("s0", "s1")
SCHEMA = """
CREATE TABLE customers (id int8 PRIMARY KEY, name text NOT NULL);
CREATE TABLE orders (id int8, customer_id int8 REFERENCES customers, total int4, PRIMARY KEY (customer_id, id));
CREATE TABLE countries (code text PRIMARY KEY, name text);
CREATE TABLE loose (id int8);
CREATE TABLE notes (id int4, body text);
INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France');
"""
TABLES = {
    "customers": {"shard_by": "id"},
    "orders": {"shard_by": "customer_id", "colocated_with": "customers"},
    "countries": {"reference": True},
    "loose": {"shard_by": "id"},
}
HASH = RowHash(("int8",))


async def create(
    postgres: Postgres,
    name: str,
    schema: str = SCHEMA,
    tables: Mapping[str, Any] = TABLES,
    names: Sequence[str] = SHARDS,
) -> dict[str, Any]:
    """Make the shards, with the schema on each; the settings of the database."""
    shards = []
    for shard in names:
        await create_database(postgres, f"{name}_{shard}", schema)
        url = f"postgres://127.0.0.1:{postgres.port}/{name}_{shard}"
        shards.append({"name": shard, "primary": url})
    return {"home": "s0", "shards": shards, "tables": tables}


async def create_database(postgres: Postgres, name: str, schema: str = SCHEMA) -> None:
    """One database with the schema, anew."""
    await postgres.fetch(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await postgres.fetch(f"CREATE DATABASE {name}")
    connection = await postgres.connect(name)
    async with connection:
        await connection.execute(schema.encode())


def keys_of(shard: int, count: int, shards: int = len(SHARDS)) -> list[int]:
    """The first keys that lie on this shard, by PostgreSQL's own hash into 1024 buckets, as many for each."""
    on_it = (key for key in itertools.count(1) if bucket_of(key) * shards // BUCKETS == shard)
    return list(itertools.islice(on_it, count))


def bucket_of(key: int) -> int:
    return HASH.of((key,)) % BUCKETS
