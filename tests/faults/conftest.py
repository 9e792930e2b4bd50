"""Fixtures of the fault tests: one proxy for a whole test process, looked over after every fault.

The databases of ``proxy``: ``one`` and ``session`` are real, with a single server connection each, so that the next
client gets exactly what the last one left; every other name leads to ``hostile_port``, where a test puts a
``ScriptedServer``. A name of its own gives a test a pool of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from tests.faults.guard import Guard, expect_own_answers
from tests.integration.conftest import (
    authority,
    farm,
    own_postgres,
    postgres,
    pytest_generate_tests,
    start_proxy,
    tls_postgres,
    workspace,
)
from tests.integration.postgres import Farm, flavours_to_run
from tests.integration.proxy import Proxy
from trunkline.demo.free_port import free_port

__all__ = [
    "authority",
    "farm",
    "own_postgres",
    "postgres",
    "pytest_generate_tests",
    "start_proxy",
    "tls_postgres",
    "workspace",
]


@pytest.fixture(scope="session")
def hostile_port() -> int:
    """Where the wildcard database leads: nobody listens there but for a test's ``ScriptedServer``."""
    return free_port()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_proxy(farm: Farm, hostile_port: int) -> AsyncIterator[Proxy]:
    server = await farm.get(flavours_to_run(every_postgres=False)[0])
    real = f"postgres://127.0.0.1:{server.port}/postgres"
    databases = {
        "one": {"primary": real, "pool_size": 1},
        "session": {"primary": real, "pool_size": 1, "pool_mode": "session"},
        # scripts know nothing of the questions that exact session state has for a server
        "*": {"host": "127.0.0.1", "port": hostile_port, "pool_size": 1, "session_state": "pgbouncer"},
    }
    settings = {"pool_mode": "transaction", "server_login_retry": 1, "max_packet_size": 1 << 26, "verbose": 3}
    async with Proxy(settings, databases=databases) as started:
        yield started


@pytest.fixture
async def proxy(shared_proxy: Proxy) -> AsyncIterator[Proxy]:
    """The shared proxy; whatever a test did to it, nothing of that may be left, and the next client is served alone."""
    async with unharmed(shared_proxy, "one", "session"):
        yield shared_proxy


@asynccontextmanager
async def unharmed(proxy: Proxy, *databases: str) -> AsyncIterator[Guard]:
    guard = Guard(proxy)
    yield guard
    await guard.check()
    for database in databases:
        await expect_own_answers(proxy, database)
    assert_no_internal_errors(proxy)


def assert_no_internal_errors(proxy: Proxy) -> None:
    assert "Traceback" not in proxy.log, proxy.log[proxy.log.index("Traceback") - 500 :][:4000]
