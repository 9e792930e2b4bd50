"""Rows whose key is NULL, also where only a parameter says so: they are put where such rows are looked for.

Each statement is said with NULL and with a value, to one PostgreSQL and to the same rows on three shards. `{key}` is a
key of a shard that rows without a key do not belong to.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.differential.spread.running import CONFIG
from tests.differential.spread.saying import Parameter, Statement
from tests.differential.spread.schema import shard_of
from tests.differential.spread.shop import ORDERS, keys_on, shop_behind
from tests.differential.spread.world import World
from tests.integration.postgres import PASSWORD, Farm
from tests.integration.proxy import USER, Proxy
from tests.integration.wire import SYNC, Wire, bind, error_fields, execute, parse

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

INT8 = 20

STATEMENTS = (
    "INSERT INTO items (k, id) VALUES ($1, 1000), ({key}, 1001)",
    "INSERT INTO items (k, id) VALUES ($1, 1000)",
    "INSERT INTO items (k, id) SELECT $1::int8, 1000",
    "INSERT INTO items (k, id) SELECT * FROM (VALUES ($1::int8, 1000), ({key}, 1001)) AS v",
    "INSERT INTO items (k, id) SELECT unnest('{{NULL,3}}'::int8[]), 1000 WHERE $1::int8 IS NULL",
    "INSERT INTO items (k, id) SELECT k, 1000 FROM orders WHERE k = {key} AND $1::int8 IS NULL",
    "MERGE INTO items AS x USING (VALUES ($1::int8, 1000), ({key}, 1001)) AS s (k, id) ON x.k = s.k AND x.id = "
    "s.id WHEN NOT MATCHED THEN INSERT (k, id) VALUES (s.k, s.id)",
    "MERGE INTO items AS x USING (VALUES ($1::int8, 1000)) AS s (k, id) ON x.k = s.k AND x.id = s.id WHEN NOT "
    "MATCHED THEN INSERT (k, id) VALUES (s.k, s.id)",
    "MERGE INTO items AS x USING (SELECT $1::int8 AS k, 1000 AS id) AS s ON x.k = s.k AND x.id = s.id WHEN NOT "
    "MATCHED THEN INSERT (k, id) VALUES (s.k, s.id)",
    "UPDATE items SET k = $1 WHERE k = {key}",
    "UPDATE items SET k = $1 WHERE id = 4",
    "UPDATE items SET k = $1 WHERE k = {key} AND id < 10",
    "INSERT INTO items (k, id) SELECT i.k, o.id FROM orders o LEFT JOIN items i ON i.k = o.k AND i.id > 1000 "
    "WHERE o.k = {key} AND $1::int8 IS NULL",
    "INSERT INTO items (k, id) SELECT i.k, o.id FROM orders o LEFT JOIN items i ON i.k = o.k AND i.id > 1000 "
    "WHERE o.k = {key} AND coalesce($1::int8, 1) > 0",
    "INSERT INTO items (k, id) SELECT CASE WHEN o.id > 10 THEN o.k END, o.id FROM orders o WHERE o.k = {key} "
    "AND coalesce($1::int8, 1) > 0",
    "INSERT INTO items (k, id) SELECT $1, id FROM orders WHERE k = {key}",
    "INSERT INTO items (k, id) SELECT NULL, id FROM orders WHERE k = {key} AND coalesce($1::int8, 1) > 0",
    "INSERT INTO items (k, id) VALUES (NULL, coalesce($1, 1)), ({key}, 1001)",
    "MERGE INTO items AS x USING (VALUES (NULL::int8, coalesce($1::int8, 1)), ({key}, 1001)) AS s (k, id) ON "
    "x.k = s.k WHEN NOT MATCHED THEN INSERT (k, id) VALUES (s.k, s.id)",
    "MERGE INTO items AS x USING (VALUES ($1::int8, 1000), ({key}, 1001)) AS s (k, id) ON x.k = s.k WHEN NOT "
    "MATCHED THEN INSERT (k, id) VALUES (s.k, s.id)",
    "MERGE INTO items AS x USING (VALUES ($1::int8, 1000), ({key}, 1001)) AS s (k, id) ON x.k = s.k WHEN "
    "MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (k, id) VALUES (s.k, s.id)",
    "MERGE INTO items AS x USING (SELECT $1::int8 AS k, id FROM orders WHERE k = {key}) AS s ON x.k = s.k WHEN "
    "NOT MATCHED THEN INSERT (k, id) VALUES (s.k, s.id)",
    "MERGE INTO items AS x USING (SELECT i.k, o.id FROM orders o LEFT JOIN items i ON i.k = o.k AND i.id > "
    "1000 WHERE o.k = {key} AND coalesce($1::int8, 1) > 0) AS s ON x.k = s.k WHEN NOT MATCHED THEN INSERT (k, "
    "id) VALUES (s.k, s.id)",
    "MERGE INTO items AS x USING orders AS s ON x.k = s.k AND x.k = {key} AND s.k = {key} AND x.id = -1 WHEN "
    "NOT MATCHED AND s.k = {key} THEN INSERT (k, id) VALUES ($1, s.id)",
    "UPDATE items SET k = NULL WHERE k = {key} AND coalesce($1::int8, 1) > 0",
    "UPDATE items SET k = CASE WHEN id > 10 THEN k END WHERE k = {key} AND coalesce($1::int8, 1) > 0",
    "WITH d AS (DELETE FROM items WHERE k = {key} RETURNING id) INSERT INTO items (k, id) SELECT $1::int8, id "
    "+ 5000 FROM d",
    "WITH d AS (DELETE FROM items WHERE k = {key} RETURNING id) INSERT INTO orders (k, id) SELECT $1::int8, id "
    "+ 5000 FROM d",
    "INSERT INTO items (k, id) SELECT max(k), $1 FROM items WHERE k = {key} AND id < 0",
    "WITH v (k, id) AS (VALUES ($1::int8, 1000), ({key}, 1001)) INSERT INTO items (k, id) SELECT * FROM v",
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(farm: Farm) -> AsyncIterator[World]:
    async with shop_behind(farm, "null-keys", 3) as made:
        yield made


@pytest.mark.parametrize("value", [None, b"7"], ids=["null", "a-key"])
@pytest.mark.parametrize("sql", STATEMENTS)
async def test_a_row_without_a_key_is_put_where_it_is_found(world: World, sql: str, value: bytes | None) -> None:
    nowhere = shard_of(ORDERS.key, None, 3)
    for shard in {0, 1, 2} - {nowhere}:
        said = sql.format(key=keys_on(shard, 3)[0])
        parameter = Parameter(INT8, 0, value, "NULL" if value is None else value.decode())
        for statement in (Statement(said, (parameter,)), Statement(said, (parameter,)).with_literals()):
            wrong = await world.say([Statement(statement.sql, statement.parameters, is_write=True)])
            assert not wrong, wrong
        await world.refill()


NO_PLACE = (
    "INSERT INTO items (k, id) VALUES ($1, 1)",
    "INSERT INTO items (k, id) VALUES ($1, 1), (2, 3)",
    "INSERT INTO items (k, id) SELECT $1, id FROM orders WHERE k = 2",
    "UPDATE items SET k = $1 WHERE k = 2",
)


@pytest.mark.parametrize("sql", NO_PLACE)
async def test_where_the_rule_has_no_place_for_it_a_row_without_a_key_is_refused(world: World, sql: str) -> None:
    settings = world.settings()
    shards = [{name: value for name, value in one.items() if name != "buckets"} for one in settings["shards"]]
    lists = {f"s{shard}": [int(key) for key in keys_on(shard, 3)] for shard in range(3)}
    tables = {name: {"shard_by": "k", "method": "list", "lists": lists} for name in ("orders", "items")}
    by_list = {**settings, "shards": shards, "tables": tables}
    async with Proxy(CONFIG, databases={world.name: by_list}) as proxy:
        wire = await Wire.connect(proxy.port)
        await wire.login(USER, PASSWORD, database=world.name)
        await wire.send(parse(sql, "", [INT8]) + bind("", [None]) + execute() + SYNC)
        (error,) = [error_fields(frame) for frame in await wire.read_until("Z") if frame.type == "E"]
        assert (error["C"], error["M"]) == ("0A000", "a row without a key belongs to no shard")
        await wire.close()
