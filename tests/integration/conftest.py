"""Fixtures of the integration tests: servers shared by a test process, and proxies made for one test.

``postgres`` is the shared server. It is the embedded PostgreSQL 18, or each installed flavour for tests marked
``every_postgres``; ``TRUNKLINE_TEST_PG`` (embedded, system, all) decides for the whole run instead.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.certificates import Authority
from tests.integration.postgres import Farm, Postgres, flavours_to_run
from tests.integration.proxy import Proxy
from trunkline.demo.cluster import Workspace
from trunkline.errors import ConfigError


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "flavour" in metafunc.fixturenames:
        every = metafunc.definition.get_closest_marker("every_postgres") is not None
        metafunc.parametrize("flavour", flavours_to_run(every), scope="session")


@pytest.fixture(scope="session")
def workspace() -> Iterator[Workspace]:
    with Workspace() as made:
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def farm(workspace: Workspace) -> AsyncIterator[Farm]:
    servers = Farm(workspace)
    try:
        yield servers
    finally:
        await servers.stop()


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def postgres(farm: Farm, flavour: str) -> Postgres:
    """The shared server: leave it running, and clean up what you make in it."""
    return await farm.get(flavour)


@pytest.fixture
async def replica(farm: Farm, flavour: str) -> Postgres:
    """A streaming replica of ``postgres``, shared too."""
    return await farm.replica_of(flavour)


@pytest.fixture
async def tls_postgres(farm: Farm, authority: Authority) -> Postgres:
    """A shared server that speaks TLS with a certificate of ``authority``."""
    try:
        return await farm.tls(authority)
    except ConfigError as missing:
        pytest.skip(str(missing))


@pytest.fixture
async def own_postgres(farm: Farm, flavour: str) -> AsyncIterator[Postgres]:
    """A server of this test's own, to stop, kill and reconfigure."""
    async with farm.prepare(flavour) as server:
        yield server
    server.remove()


ProxyFactory = Callable[..., Any]


@pytest.fixture
async def start_proxy() -> AsyncIterator[ProxyFactory]:
    """``await start_proxy(config, databases=...)``: a proxy that ends with the test."""
    async with AsyncExitStack() as stack:

        async def start(*arguments: Any, **options: Any) -> Proxy:
            return await stack.enter_async_context(Proxy(*arguments, **options))

        yield start


@pytest.fixture
async def proxy(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    """A proxy in transaction mode before ``postgres``, with the settings' defaults."""
    started: Proxy = await start_proxy({"pool_mode": "transaction"}, databases={"postgres": postgres})
    return started
