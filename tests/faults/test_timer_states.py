"""Each timer against each state that a client can be in: it ends the client with its own code, or leaves it alone.

[1c timeouts] [row 61]
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from tests.faults.conftest import unharmed
from tests.faults.guard import log_in
from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.wire import FLUSH, SYNC, Wire, bind, error_fields, execute, frame, parse, query

LIMIT_S = 0.5
LONG_S = 4 * LIMIT_S
ALONE = ""

SLOW = "SELECT repeat('x', 20000) FROM generate_series(1, 3) UNION ALL SELECT pg_sleep(60)::text"

# state -> what is sent to get there, and the types of what comes then
STATES: Mapping[str, tuple[bytes, str]] = {
    "idle": (query("SELECT 1"), "TDCZ"),
    "new": (b"", ""),
    "in a transaction": (query("BEGIN"), "CZ"),
    "in a failed transaction": (query("BEGIN") + query("SELECT 1/0"), "CZEZ"),
    "running": (query("SELECT pg_sleep(60)"), ""),
    "running in a transaction": (query("BEGIN") + query("SELECT pg_sleep(60)"), "CZ"),
    "running, extended": (parse("SELECT pg_sleep(60)") + bind() + execute() + SYNC, ""),
    "running before a Flush": (parse("SELECT pg_sleep(60)") + bind() + execute() + FLUSH, ""),
    "between Parse and Bind": (parse("SELECT 1") + FLUSH, "1"),
    "between Execute and Sync": (parse("SELECT 1") + bind() + execute() + FLUSH, "12DC"),
    "in half a message": (query("BEGIN") + frame("Q", length=1000), "CZ"),
    "in COPY FROM STDIN": (query("COPY timed FROM STDIN"), "G"),
    "in COPY TO STDOUT": (query(f"COPY ({SLOW}) TO STDOUT"), "Hddd"),
}

WORKING = {name for name in STATES if name.startswith("running") or "COPY" in name}
WITHOUT_SERVER = {"idle", "new"}
WAITING_FOR_CLIENT = set(STATES) - WORKING - WITHOUT_SERVER

# timer -> whom it ends, and with which SQLSTATE
TIMERS = {
    "query_timeout": (WORKING, "57014"),
    "idle_transaction_timeout": (WAITING_FOR_CLIENT, "25P03"),
    "transaction_timeout": (WORKING | WAITING_FOR_CLIENT, "25P04"),
    "client_idle_timeout": (WITHOUT_SERVER, "57P05"),
}


@pytest.fixture
async def table(postgres: Postgres) -> AsyncIterator[None]:
    await postgres.fetch("DROP TABLE IF EXISTS timed")
    await postgres.fetch("CREATE TABLE timed (n int)")
    yield
    await postgres.fetch("DROP TABLE timed")


async def end_of(proxy: Proxy, state: str) -> str:
    """The SQLSTATE with which a client in this state is ended, or ALONE when nothing is said to it for LONG_S."""
    requests, before = STATES[state]
    async with await log_in(proxy) as wire:
        await wire.send(requests)
        for kind in before:
            assert (await wire.read_frame()).type == kind
        try:
            frames = await asyncio.wait_for(wire.read_frames_to_end(), LONG_S)
        except TimeoutError:
            return ALONE
        last = error_fields(frames[-1])
        assert last["S"] == "FATAL" or await is_over(wire)
        return last["C"]


async def is_over(wire: Wire) -> bool:
    return await wire.read_to_end() == b""


@pytest.mark.parametrize("mode", ["transaction", "session"])
@pytest.mark.parametrize("timer", TIMERS)
async def test_row_61_a_timer_ends_whom_it_is_for_and_nobody_else(
    postgres: Postgres, start_proxy: Any, table: None, timer: str, mode: str
) -> None:
    ended, sqlstate = TIMERS[timer]
    url = f"postgres://127.0.0.1:{postgres.port}/postgres"
    databases = {"one": {"primary": url, "pool_size": len(STATES), "pool_mode": mode}}
    proxy = await start_proxy({timer: LIMIT_S}, databases=databases)
    async with unharmed(proxy, "one"):
        found = await asyncio.gather(*(end_of(proxy, state) for state in STATES))
        wanted = {state: sqlstate if state in ended else ALONE for state in STATES}
        assert dict(zip(STATES, found, strict=True)) == wanted
