"""Nonce clients where nothing goes wrong but by themselves: at PostgreSQL, and through Trunkline, all is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import pytest

from tests.faults.nonce import atoms, ledger
from tests.faults.nonce.client import Place
from tests.faults.nonce.session import EVERYTHING
from tests.faults.nonce.swarm import Swarm
from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import Proxy
from tests.integration.waiting import wait_until

CLIENTS = 12
REPLIES = 6_000
SEED = 1


async def all_is_right(port: int, postgres: Postgres, *, mischief_s: float) -> None:
    """Work until there were enough replies; nothing may be found, in the answers or in the ledger."""
    places = [Place(number, port, "postgres", "postgres", PASSWORD, can=EVERYTHING) for number in range(CLIENTS)]
    swarm = Swarm(places, SEED, mischief_s=mischief_s)
    async with swarm:
        await wait_until(lambda: swarm.tally.replies >= REPLIES or swarm.findings, 60, what="enough replies")
    assert not swarm.findings, swarm.findings[0]
    table = Counter(str(row[0]) for row in await postgres.fetch(f"SELECT nonce FROM {ledger.TABLE}"))
    assert ledger.compare(swarm.ledger.entries, table) == []
    assert set(swarm.tally.excused) <= {"57014", "connection ended"}, swarm.tally.excused


@pytest.fixture
async def prepared(postgres: Postgres) -> AsyncIterator[Postgres]:
    """The shared server with what the clients need, for the time of a test."""
    for statement in (*atoms.SETUP, ledger.CREATE):
        await postgres.fetch(statement)
    yield postgres
    for statement in (*atoms.TEARDOWN, f"DROP TABLE {ledger.TABLE}"):
        await postgres.fetch(statement)


async def test_the_clients_find_nothing_wrong_with_postgresql_itself(prepared: Postgres) -> None:
    await all_is_right(prepared.port, prepared, mischief_s=0.5)


async def test_the_clients_cannot_tell_trunkline_from_postgresql(prepared: Postgres, start_proxy: ProxyFactory) -> None:
    settings = {"pool_mode": "transaction", "default_pool_size": 4, "session_state": "exact"}
    proxy: Proxy = await start_proxy(settings, databases={"postgres": prepared})
    await all_is_right(proxy.port, prepared, mischief_s=0.5)
