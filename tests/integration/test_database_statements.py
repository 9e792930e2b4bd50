"""DROP, RENAME and CREATE DATABASE: idle connections of pools are not in their way, clients that keep one are."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Farm, Postgres
from tests.integration.proxy import HOST, Proxy
from tests.integration.transcript import errors, session, transact
from tests.integration.wire import SYNC, Frame, Wire, bind, execute, parse

STATEMENTS = {
    "DROP DATABASE source": [],
    "drop /* it */ database if exists source with (force)": [],
    "ALTER DATABASE source RENAME TO other": ["other"],
    "CREATE DATABASE other TEMPLATE source": ["other", "source"],
    "CREATE DATABASE other WITH OWNER postgres TEMPLATE = 'source' CONNECTION LIMIT 5": ["other", "source"],
}
POOLS = {
    "transaction": {"pool_mode": "transaction"},
    "statement": {"pool_mode": "statement"},
    "session": {"pool_mode": "session"},
    "as pgbouncer": {"pool_mode": "transaction", "session_state": "pgbouncer"},
}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(farm: Farm, flavour: str) -> AsyncIterator[Postgres]:
    async with farm.prepare(flavour) as made:
        yield made
    made.remove()


@pytest.fixture
async def databases(server: Postgres) -> AsyncIterator[None]:
    await server.fetch("CREATE DATABASE source TEMPLATE template0")
    yield
    for name in ("source", "other"):
        await server.fetch(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def pooled(server: Postgres, start_proxy: ProxyFactory, **config: object) -> Proxy:
    """A proxy with idle connections to the database, in pools of two users."""
    proxy: Proxy = await start_proxy(
        {"default_pool_size": 3, "min_pool_size": 1, **config},
        databases={"*": {"host": HOST, "port": server.port}, "alias": f"postgres://{HOST}:{server.port}/source"},
    )
    for name in ("source", "alias", "template1"):
        async with session(proxy, database=name) as first, session(proxy, database=name) as second:
            for wire in (first, second):
                await wire.query("SELECT 1")
    return proxy


async def names(server: Postgres) -> list[str]:
    rows = await server.fetch("SELECT datname FROM pg_database WHERE datname IN ('source', 'other') ORDER BY 1")
    return [name for (name,) in rows]


async def by_query(wire: Wire, sql: str) -> list[Frame]:
    return await wire.query(sql)


async def by_parse(wire: Wire, sql: str) -> list[Frame]:
    return await transact(wire, parse(sql), bind(), execute(), SYNC)


@pytest.mark.parametrize("ask", [by_query, by_parse], ids=["query", "parse"])
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.usefixtures("databases")
async def test_idle_connections_make_way(server: Postgres, start_proxy: ProxyFactory, pool: str, ask: object) -> None:
    proxy = await pooled(server, start_proxy, **POOLS[pool])
    for sql, left in STATEMENTS.items():
        async with session(proxy) as wire:
            assert await server.server_connections("source") > 0, sql
            assert errors(await ask(wire, sql)) == [], sql  # type: ignore[operator]
            assert await names(server) == left, sql
            for name in left:
                await server.fetch(f"DROP DATABASE {name} WITH (FORCE)")
            await server.fetch("CREATE DATABASE source TEMPLATE template0")
        await fill(proxy)


async def fill(proxy: Proxy) -> None:
    async with session(proxy, database="source") as wire, session(proxy, database="alias") as other:
        await wire.query("SELECT 1")
        await other.query("SELECT 1")


@pytest.mark.usefixtures("databases")
async def test_a_new_database_is_made_though_its_template_has_idle_connections(
    server: Postgres, start_proxy: ProxyFactory
) -> None:
    proxy = await pooled(server, start_proxy)
    async with session(proxy) as wire:
        assert await server.server_connections("template1") > 0
        assert errors(await wire.query("CREATE DATABASE other")) == []


@pytest.mark.usefixtures("databases")
async def test_a_client_in_a_transaction_is_in_the_way_until_it_ends(
    server: Postgres, start_proxy: ProxyFactory
) -> None:
    proxy = await pooled(server, start_proxy)
    async with session(proxy) as wire, session(proxy, database="source") as busy:
        await busy.query("BEGIN")
        await wire.send_query("DROP DATABASE source")
        await busy.query("COMMIT")
        assert errors(await wire.read_until("Z")) == []


@pytest.mark.usefixtures("databases")
async def test_a_client_that_keeps_its_server_is_in_the_way_as_without_a_pooler(
    server: Postgres, start_proxy: ProxyFactory
) -> None:
    proxy = await pooled(server, start_proxy, pool_mode="session")
    heard = []
    for where in (server, proxy):
        async with session(where) as wire, session(where, database="source") as busy:
            await busy.query("SELECT 1")
            frames = await wire.query("DROP DATABASE source")
            heard.append(errors(frames))
            assert errors(await busy.query("SELECT 1")) == []
    assert heard == [["55006"], ["55006"]]


@pytest.mark.usefixtures("databases")
async def test_connections_to_other_databases_stay(server: Postgres, start_proxy: ProxyFactory) -> None:
    proxy = await pooled(server, start_proxy)
    async with session(proxy) as wire:
        before = await server.server_connections("template1")
        await wire.query("DROP DATABASE source")
        assert await server.server_connections("template1") == before
