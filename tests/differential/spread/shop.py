"""A schema made by hand, for tests that name their statements: orders and items by one key, leads by another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.differential.spread.columns import FLOAT8, INT4, KEY_INT8, KEY_TEXT, MONEY, MOOD, TEXT, TIMESTAMPTZ, Type
from tests.differential.spread.running import CONFIG
from tests.differential.spread.schema import HOME, REFERENCE, SHARDED, Row, Schema, Table, View, shard_of
from tests.differential.spread.world import World
from tests.integration.postgres import Farm, flavours_to_run
from tests.integration.proxy import Proxy

COLUMNS = (("k", KEY_INT8), ("id", INT4), ("n", INT4), ("t", TEXT))
ORDERS = Table(
    "orders", SHARDED, (*COLUMNS, ("price", MONEY), ("placed", TIMESTAMPTZ), ("mood", MOOD)), True, group="orders"
)
ITEMS = Table("items", SHARDED, (*COLUMNS, ("weight", FLOAT8)), False, group="orders")
LEADS = Table("leads", SHARDED, (("k", KEY_TEXT), *COLUMNS[1:]), True, group="leads")
RATES = Table("rates", REFERENCE, COLUMNS, True)
NOTES = Table("notes", HOME, COLUMNS, True)
WORDS = ("a", "B", "b", "A", "ä", "", "Z", "é")


def _rows(table: Table, count: int, keys: int) -> list[Row]:
    return [tuple(_value(kind, name, number, keys) for name, kind in table.columns) for number in range(count)]


def _value(kind: Type, name: str, number: int, keys: int) -> str | None:
    if name == "k":
        return kind.values[number % keys]
    if name == "id":
        return str(number)
    if name in ("n", "t") and number % 7 == 6:
        return None
    return (
        str(number % 5) if name == "n" else WORDS[number % 8] if name == "t" else kind.values[number % len(kind.values)]
    )


def shop() -> Schema:
    rows = {
        "orders": _rows(ORDERS, 30, 10),
        "items": [*_rows(ITEMS, 40, 8), *_rows(ITEMS, 3, 8), (None, "1", "1", "a", "0.5")],
        "leads": _rows(LEADS, 20, 9),
        "rates": _rows(RATES, 6, 6),
        "notes": _rows(NOTES, 6, 6),
    }
    view = View("per_key", (), "SELECT k, count(*) AS c FROM orders GROUP BY k")
    also = (
        "CREATE FUNCTION orders_of(int4) RETURNS int8 LANGUAGE sql STABLE"
        " AS 'SELECT count(*) FROM orders WHERE n = $1'",
        "CREATE TABLE unknown (id int4, t text)",
    )
    return Schema([ORDERS, ITEMS, LEADS, RATES, NOTES], rows, [view], also)


def keys_on(shard: int, shards: int) -> list[str]:
    """Keys of orders that are on this shard."""
    return [key for key in KEY_INT8.values if shard_of(KEY_INT8, key, shards) == shard]


@asynccontextmanager
async def shop_behind(farm: Farm, name: str, shards: int = 3) -> AsyncIterator[World]:
    """It in one database and on so many shards behind a Trunkline, connected to both."""
    world = World(await farm.get(flavours_to_run(every_postgres=False)[0]), name, shards, shop())
    await world.create()
    async with Proxy(CONFIG, databases={world.name: world.settings()}) as proxy:
        await world.connect(proxy.port)
        world.log = lambda: proxy.log
        yield world
        await world.close()
    await world.drop()
