"""The 22 queries of TPC-H over two shards, at a small scale: the rows of one PostgreSQL, or refused.

`python -m bench --only tpch` measures them at scale 0.01.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio

from tests.differential.spread.comparing import Answer, difference, taken_apart
from tests.differential.spread.running import CONFIG
from tests.differential.spread.saying import Statement
from tests.differential.tpch.databases import create
from tests.differential.tpch.queries import QUERIES
from tests.integration.postgres import PASSWORD, Farm, flavours_to_run
from tests.integration.proxy import USER, Proxy
from tests.integration.wire import Wire

SCALE = float(os.environ.get("TRUNKLINE_TPCH_SCALE", "0.002"))
SHARDS = 2
REFUSED: frozenset[int] = frozenset()
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


class Both(NamedTuple):
    """A client of the shards, and one of PostgreSQL itself."""

    sharded: Wire
    plain: Wire


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def both(farm: Farm) -> AsyncIterator[Both]:
    postgres = await farm.get(flavours_to_run(every_postgres=False)[0])
    settings = await create(postgres, "tpch", SCALE, SHARDS)
    async with (
        Proxy(CONFIG, databases={"tpch": settings}) as proxy,
        await Wire.connect(proxy.port) as sharded,
        await Wire.connect(postgres.port) as plain,
    ):
        await sharded.login(USER, PASSWORD, database="tpch")
        await plain.login(USER, PASSWORD, database="tpch_plain")
        yield Both(sharded, plain)
    for name in ("plain", *(f"s{shard}" for shard in range(SHARDS))):
        await postgres.fetch(f"DROP DATABASE tpch_{name} WITH (FORCE)")


@pytest.mark.parametrize("number", QUERIES)
async def test_a_query_of_tpch(both: Both, number: int) -> None:
    statement = Statement(QUERIES[number], order=())
    wanted = await _answer(both.plain, statement)
    assert not wanted.errors, wanted.messages
    got = await _answer(both.sharded, statement)
    if got.is_refused:
        assert number in REFUSED, got.messages
        return
    assert not difference(got, wanted, statement)


async def _answer(wire: Wire, statement: Statement) -> Answer:
    return taken_apart(await wire.query(statement.sql), {})
