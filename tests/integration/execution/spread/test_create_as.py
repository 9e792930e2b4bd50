"""CREATE TABLE ... AS of what several shards have, as one PostgreSQL does it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.differential.spread.saying import Statement
from tests.differential.spread.shop import shop_behind
from tests.differential.spread.world import World
from tests.integration.postgres import Farm

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

MADE = (
    "CREATE TABLE made AS SELECT n, count(*) AS c, 'x' AS word, sum(price) FROM orders GROUP BY n",
    "CREATE TABLE made (a, b) AS SELECT id, placed, mood, price FROM orders ORDER BY id LIMIT 5 WITH DATA",
    "CREATE UNLOGGED TABLE made AS (WITH x AS (SELECT * FROM items) SELECT x.id, o.t FROM x JOIN orders o USING (id))",
    "CREATE TABLE public.made AS TABLE orders",
    "CREATE TABLE made AS SELECT k FROM orders WITH NO DATA",
)
FAILED = (
    "CREATE TABLE made AS SELECT 1/0 FROM orders",
    "CREATE TABLE made AS SELECT id FROM orders WHERE 1/(id-5) > 0",
    "CREATE TABLE notes AS SELECT id FROM orders",
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(farm: Farm) -> AsyncIterator[World]:
    async with shop_behind(farm, "create-as", 3) as made:
        yield made


async def done(world: World, *unit: Statement) -> None:
    refused = world.tally.refused.copy()
    wrong = await world.say(unit)
    assert not wrong, wrong
    assert world.tally.refused == refused


@pytest.mark.parametrize("sql", MADE)
@pytest.mark.parametrize("parameters", [None, ()], ids=["simple", "extended"])
async def test_it_has_the_rows_of_its_query(world: World, sql: str, parameters: tuple[()] | None) -> None:
    await done(world, Statement(sql, parameters))
    for after in ("SELECT * FROM made", "INSERT INTO made SELECT * FROM made", "DROP TABLE made"):
        await done(world, Statement(after))


@pytest.mark.parametrize("sql", MADE)
async def test_it_is_gone_with_its_transaction(world: World, sql: str) -> None:
    count = Statement("SELECT count(*) FROM made")
    await done(world, Statement("BEGIN"), Statement(sql), count, Statement("ROLLBACK"))
    await done(world, count)
    await done(world, Statement(f"{sql}; SELECT count(*) FROM made; DROP TABLE made"))


@pytest.mark.parametrize("sql", FAILED)
async def test_an_error_leaves_nothing_behind(world: World, sql: str) -> None:
    await done(world, Statement(sql))
    await done(world, Statement("SELECT * FROM made"))
