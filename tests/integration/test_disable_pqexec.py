"""`disable_pqexec`: the simple protocol is refused to clients, and the console keeps it."""

from __future__ import annotations

import asyncpg
import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.transcript import session
from tests.integration.wire import error_fields


@pytest.mark.parametrize("workers", [1, 2])
async def test_queries_end_their_client_and_the_extended_protocol_is_served(
    postgres: Postgres, start_proxy: ProxyFactory, workers: int
) -> None:
    proxy = await start_proxy({"disable_pqexec": True, "workers": workers}, databases={"postgres": postgres})
    async with session(proxy) as client:
        await client.send_query("SELECT 1; DROP TABLE students")
        (frame,) = await client.read_frames_to_end()
        fields = error_fields(frame)
        assert (fields["S"], fields["C"], fields["M"]) == ("FATAL", "08P01", "PQexec disallowed")
    modern = await asyncpg.connect(proxy.dsn(), statement_cache_size=0)
    try:
        assert await modern.fetchval("SELECT $1::int + 1", 1) == 2
    finally:
        modern.terminate()
    async with session(proxy, database="pgbouncer") as console:
        assert (await console.query("SHOW VERSION"))[-1].type == "Z"
