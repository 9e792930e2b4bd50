"""Two workers: what one has changed of the tables, the other knows when the client has its answer."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.sharded import create
from tests.integration.transcript import session, shape
from tests.integration.wire import Wire, rows

DATABASE = "schema_of_workers"
ROUNDS = 15


@pytest.fixture
async def of_each(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[tuple[Wire, Wire]]:
    """A client of either worker."""
    settings = await create(postgres, DATABASE)
    proxy = await start_proxy({"workers": 2}, databases={DATABASE: settings})
    async with AsyncExitStack() as stack:
        found: dict[str, Wire] = {}
        for _ in range(4):
            wire = await stack.enter_async_context(session(proxy, database=DATABASE))
            found[re.findall(r"worker (\d+) trunkline.client: login", proxy.log)[-1]] = wire
        one, other = found.values()
        yield one, other


async def test_a_new_column_is_there(of_each: tuple[Wire, Wire]) -> None:
    one, other = of_each
    await one.query("INSERT INTO customers VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')")
    asked = "SELECT * FROM customers AS c ORDER BY row_number() OVER (ORDER BY name DESC)"
    assert len(rows(await other.query(asked))) == 4
    for number in range(ROUNDS):
        assert shape(await one.query(f"ALTER TABLE customers ADD added_{number} int DEFAULT {number}")) == "CZ"
        found = rows(await other.query(asked))
        assert [row[-1] for row in found] == [b"%d" % number] * 4
