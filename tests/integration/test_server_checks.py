"""Testing an idle server before its use holds up only those whose server it is, and opens none that nobody needs."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.transcript import session
from tests.integration.wire import rows


@pytest.fixture
async def checking(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    """Two servers, tested before every use."""
    proxy: Proxy = await start_proxy(
        {"pool_mode": "transaction", "default_pool_size": 2, "server_check_delay": 0}, databases={"postgres": postgres}
    )
    return proxy


async def servers_of(proxy: Proxy) -> int:
    return sum(row["database"] == "postgres" for row in await proxy.admin("SHOW SERVERS"))


async def test_a_long_query_of_the_first_in_line_does_not_keep_the_second(checking: Proxy) -> None:
    async with session(checking) as first, session(checking) as second:
        for wire in (first, second):
            await wire.query("BEGIN")
        for wire in (first, second):
            await wire.query("COMMIT")
        assert await servers_of(checking) == 2
        asleep = asyncio.create_task(first.query("SELECT pg_sleep(60)"))
        answer = asyncio.create_task(second.query("SELECT 'at once'"))
        assert rows(await answer) == [[b"at once"]]
        assert not asleep.done()
        asleep.cancel()


async def test_a_test_opens_no_further_server(checking: Proxy) -> None:
    async with session(checking) as wire:
        for _ in range(20):
            await wire.query("SELECT 1")
        assert await servers_of(checking) == 1
