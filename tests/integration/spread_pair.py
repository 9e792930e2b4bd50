"""A client of a database over two shards beside one of a whole database, which have to give the same answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.sharded import SHARDS, create, create_database
from tests.integration.transcript import session
from tests.integration.wire import SYNC, Frame, Wire, bind, describe, error_fields, execute, parse


class Pair(NamedTuple):
    """`database` is the name of the sharded one; the whole one has `_whole` behind it."""

    proxy: Proxy
    postgres: Postgres
    database: str
    sharded: Wire
    whole: Wire

    async def both(
        self, sql: str, values: Sequence[bytes | None] | None = None, *, in_order: bool = True
    ) -> list[Frame]:
        """The answers to one statement, in which both have to agree."""
        seen, wanted = [await asked(wire, sql, values) for wire in (self.sharded, self.whole)]
        told, meant = [readable(reply, in_order=in_order) for reply in (seen, wanted)]
        assert told == meant, f"{sql}: {told} and not {meant}"
        return seen

    async def same(self, table: str, *, reference: bool = False) -> list[tuple[object, ...]]:
        """The rows of a table, which are the same in all."""
        sql = f"SELECT * FROM {table}"
        parts = [await self.postgres.fetch(sql, database=f"{self.database}_{shard}") for shard in SHARDS]
        wanted = sorted(await self.postgres.fetch(sql, database=f"{self.database}_whole"), key=repr)
        if reference:
            for part in parts:
                assert sorted(part, key=repr) == wanted
        else:
            assert sorted([row for part in parts for row in part], key=repr) == wanted
        return wanted


@asynccontextmanager
async def two_shards_and_one_whole(
    postgres: Postgres,
    start_proxy: ProxyFactory,
    database: str,
    schema: str,
    tables: Mapping[str, Any],
    **more: object,
) -> AsyncIterator[Pair]:
    """Both databases new, with this schema; the shards' settings name these tables. `more` are the proxy's settings."""
    settings = await create(postgres, database, schema, tables)
    await create_database(postgres, f"{database}_whole", schema)
    config = {"pool_mode": "transaction", "default_pool_size": 2, **more}
    proxy = await start_proxy(config, databases={database: settings})
    async with session(proxy, database=database) as sharded, session(postgres, database=f"{database}_whole") as whole:
        yield Pair(proxy, postgres, database, sharded, whole)


async def asked(wire: Wire, sql: str, values: Sequence[bytes | None] | None = None) -> list[Frame]:
    if values is None:
        return await wire.query(sql)
    await wire.send(parse(sql) + bind(values=values) + describe("P") + execute() + SYNC)
    return await wire.read_until("Z")


def readable(reply: Sequence[Frame], *, in_order: bool) -> list[object]:
    """What a client sees, but for OIDs of tables and where an error was found in PostgreSQL's source."""
    found: list[object] = []
    for item in reply:
        if item.type in "EN":
            found.append({name: value for name, value in error_fields(item).items() if name in "SCMDHWnt"})
        elif item.type == "T":
            found.append("T")
        elif item.type != "S":
            found.append(item)
    return found if in_order else sorted(found, key=repr)
