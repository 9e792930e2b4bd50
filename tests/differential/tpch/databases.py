"""TPC-H in one database, and in one database for each shard: orders and lineitem by order key, customer by its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.differential.tpch.rows import SCHEMA, SHARDED, Row, rows
from tests.integration.postgres import Postgres
from trunkline.routing.keys.hashing import RowHash

BUCKETS = 1024
HASH = RowHash(("int4",))
TABLES: Mapping[str, Any] = {
    "orders": {"shard_by": "o_orderkey"},
    "lineitem": {"shard_by": "l_orderkey", "colocated_with": "orders"},
    "customer": {"shard_by": "c_custkey"},
    **{name: {"reference": True} for name in ("region", "nation", "supplier", "part", "partsupp")},
}


async def create(postgres: Postgres, name: str, scale: float, shards: int) -> dict[str, Any]:
    """Make ``name``_plain and ``name``_s0 and so on; the settings of the sharded database."""
    made = rows(scale)
    await _load(postgres, f"{name}_plain", made)
    for shard in range(shards):
        mine = {table: [row for row in all_ if _is_on(table, row, shard, shards)] for table, all_ in made.items()}
        await _load(postgres, f"{name}_s{shard}", mine)
    url = f"postgres://127.0.0.1:{postgres.port}/{name}"
    servers = [{"name": f"s{shard}", "primary": f"{url}_s{shard}"} for shard in range(shards)]
    return {"home": "s0", "shards": servers, "tables": TABLES}


def _is_on(table: str, row: Row, shard: int, shards: int) -> bool:
    return table not in SHARDED or HASH.of((row[0],)) % BUCKETS * shards // BUCKETS == shard


async def _load(postgres: Postgres, database: str, made: Mapping[str, Sequence[Row]]) -> None:
    await postgres.fetch(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    await postgres.fetch(f"CREATE DATABASE {database}")
    connection = await postgres.connect(database)
    async with connection, connection.cursor() as cursor:
        await cursor.execute(SCHEMA.encode())
        for table, all_ in made.items():
            async with cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
                await copy.write("".join("\t".join(map(str, row)) + "\n" for row in all_))
        await cursor.execute("ANALYZE")
