"""Answers over several shards that were wrong once, each as small as it could be made.

All are said to one PostgreSQL and to the same rows on three shards (spread/shop.py), as test_feature_table does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.differential.spread.running import CONFIG
from tests.differential.spread.saying import WAYS, Statement
from tests.differential.spread.shop import shop
from tests.differential.spread.world import World
from tests.integration.postgres import Farm, flavours_to_run
from tests.integration.proxy import Proxy

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(farm: Farm) -> AsyncIterator[World]:
    made = World(await farm.get(flavours_to_run(every_postgres=False)[0]), "found", 3, shop())
    await made.create()
    async with Proxy(CONFIG, databases={made.name: made.settings()}) as proxy:
        await made.connect(proxy.port)
        made.log = lambda: proxy.log
        yield made
        await made.close()
    await made.drop()


async def same(world: World, *unit: Statement) -> None:
    wrong = await world.say(unit)
    assert not wrong, wrong


@pytest.mark.parametrize("sql", ["SELECT id FROM orders ORDER BY id", "SELECT id FROM orders WHERE k = 1 OR t = 'a'"])
async def test_the_tag_of_a_portal_that_was_suspended_counts_the_rows_of_its_last_execute(
    world: World, sql: str
) -> None:
    for _ in range(WAYS):
        await same(world, Statement(sql, (), None))


async def test_an_error_is_told_at_a_flush(world: World) -> None:
    for _ in range(WAYS):
        await same(world, Statement("SELECT nothing FROM orders", ()))


@pytest.mark.parametrize(
    "sql", ["SELECT o.id, l.k FROM orders o JOIN leads l ON l.n = o.id", "SELECT c, count(*) FROM per_key GROUP BY c"]
)
@pytest.mark.parametrize("begin", ["", "BEGIN"])
async def test_temporary_tables_of_a_gather_call_for_no_new_catalog(world: World, sql: str, begin: str) -> None:
    """It was read after each, and whoever came next waited for it."""
    unit = [Statement("BEGIN"), Statement(sql), Statement("COMMIT")] if begin else [Statement(sql)]
    for _ in range(3):  # whatever another test's DDL has begun is over then
        await same(world, *unit)
    before = world.log().count("the catalog has been read")
    for _ in range(5):
        await same(world, *unit)
    assert world.log().count("the catalog has been read") == before
