"""The databases of a world: one with all rows, and the shards. They are made, filled, and compared with each other.

Each is asked on a connection that is kept until `close`, for all of them are read after every write.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import cache
from typing import Any

import psycopg

from tests.differential.spread.schema import HOME, REFERENCE, SHARDED, Schema, shard_of
from tests.integration.postgres import Postgres

Rows = Counter[tuple[str, str]]  # the table and the row, as texts


class Databases:
    """``plain`` is the one with all rows, ``shards`` are the others."""

    def __init__(self, postgres: Postgres, name: str, shards: int) -> None:
        self.postgres = postgres
        self.plain = f"{name}_plain"
        self.shards = [f"{name}_s{number}" for number in range(shards)]
        self.schema: Schema
        self._connections: dict[str, psycopg.AsyncConnection[Any]] = {}
        self._shard_of = cache(shard_of)

    async def create(self, schema: Schema) -> None:
        self.schema = schema
        control = await self._to("postgres")
        for number, name in enumerate([self.plain, *self.shards]):
            await control.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
            await control.execute(f"CREATE DATABASE {name}".encode())
            await (await self._to(name)).execute(schema.definition(number).encode())
        await self.refill()

    async def drop(self) -> None:
        control = await self._to("postgres")
        for name in [self.plain, *self.shards]:
            await control.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        await self.close()

    async def close(self) -> None:
        """All connections; the next need opens them anew."""
        connections, self._connections = self._connections, {}
        for connection in connections.values():
            await connection.close()

    async def refill(self) -> None:
        """The rows of the beginning, on both sides, said to the servers themselves."""
        said = [(None, self.plain), *enumerate(self.shards)]
        texts = [self.schema.rows_sql(shard, len(self.shards)).encode() for shard, _ in said]
        connections = [await self._to(name) for _, name in said]
        await asyncio.gather(*(one.execute(text) for one, text in zip(connections, texts, strict=True)))

    async def own_types(self, database: str) -> dict[int, str]:
        """What the types of a database's own are called, by OID."""
        cursor = await (await self._to(database)).execute(
            "SELECT oid::int8, typname::text FROM pg_type WHERE oid >= 16384"
        )
        return dict(await cursor.fetchall())

    async def _to(self, database: str) -> psycopg.AsyncConnection[Any]:
        if database not in self._connections:
            self._connections[database] = await self.postgres.connect(database)
        return self._connections[database]

    # --- comparing ------------------------------------------------------------------------------------------------

    async def differ(self) -> str:
        """What is wrong if not all rows of the shards are those of the one database, each where it belongs."""
        for name in (self.plain, *self.shards):
            await self._to(name)
        wanted, *shards = await asyncio.gather(*(self._rows(name) for name in (self.plain, *self.shards)))
        placements = {table.name: table.placement for table in self.schema.tables}
        got: Rows = Counter()
        for number, (here, keys) in enumerate(shards):
            if astray := self._astray(number, keys):
                return astray
            for row, count in here.items():
                placement = placements[row[0]]
                if placement == REFERENCE and number:
                    if wanted[0][row] != count:
                        return f"tables: {row} of a reference table {count} times on shard {number}"
                elif placement == HOME and number:
                    return f"tables: {row} on shard {number}"
                else:
                    got[row] += count
            if lacking := self._lacking(number, here, wanted[0]):
                return lacking
        if got == wanted[0]:
            return ""
        there = wanted[0]
        return f"tables: {list((got - there).elements())[:5]} instead of {list((there - got).elements())[:5]}"

    def _lacking(self, number: int, here: Rows, wanted: Rows) -> str:
        """A row that this shard's copy of a reference table does not have."""
        copies = {table.name for table in self.schema.named(REFERENCE)}
        row = next((row for row in wanted if row[0] in copies and row not in here), None)
        return f"tables: {row} of a reference table is not on shard {number}" if row is not None else ""

    def _astray(self, number: int, keys: set[tuple[str, str | None]]) -> str:
        """A row that is not on the shard of its key."""
        kinds = {table.name: table.key for table in self.schema.named(SHARDED)}
        for name, key in keys:
            if name in kinds and self._shard_of(kinds[name], key, len(self.shards)) != number:
                return f"tables: the key {key} of {name} on shard {number}"
        return ""

    async def _rows(self, database: str) -> tuple[Rows, set[tuple[str, str | None]]]:
        """All rows, and the keys that there are."""
        tables = [table.name for table in self.schema.tables]
        sql = " UNION ALL ".join(f"SELECT '{table}', ROW(x.*)::text, x.k::text FROM {table} x" for table in tables)
        cursor = await (await self._to(database)).execute(sql.encode())
        rows = await cursor.fetchall()
        return Counter((table, row) for table, row, _ in rows), {(table, key) for table, _, key in rows}
