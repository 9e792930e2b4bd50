"""What a session holds in transaction pooling is what it would hold at PostgreSQL itself, and nobody else sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.postgres import Postgres
from tests.integration.proxy import Proxy
from tests.integration.wire import Wire, error_fields, rows
from tests.integration.transcript import session

ONE = {"default_pool_size": 1}
# A client's next unit lands on another server than its last one.
ROTATING = {"default_pool_size": 3, "min_pool_size": 3, "server_round_robin": True}


@pytest.fixture(params=[ONE, ROTATING], ids=["one server", "rotating"])
async def proxy(request: pytest.FixtureRequest, postgres: Postgres) -> AsyncIterator[Proxy]:
    async with Proxy({"pool_mode": "transaction", **request.param}, databases={"postgres": postgres}) as started:
        yield started


async def value(wire: Wire, sql: str) -> bytes | None:
    [[only]] = rows(await wire.query(sql))
    return only


@pytest.mark.parametrize(
    ("statement", "shown", "expected"),
    [
        ("SET work_mem = '7MB'", "SHOW work_mem", b"7MB"),
        ("SET statement_timeout = 12345", "SHOW statement_timeout", b"12345ms"),
        ("SELECT set_config('work_mem', '8MB', false)", "SHOW work_mem", b"8MB"),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SHOW transaction_read_only", b"on"),
        ("SET app.tenant = '42'", "SHOW app.tenant", b"42"),
        (
            "DO $$ BEGIN PERFORM set_config('app.hidden', 'x', false); SET work_mem = '9MB'; END $$",
            "SELECT current_setting('app.hidden') || current_setting('work_mem')",
            b"x9MB",
        ),
        ("SET search_path = pg_catalog", "SHOW search_path", b"pg_catalog"),
        ("BEGIN; SET work_mem = '5MB'; COMMIT", "SHOW work_mem", b"5MB"),
        ("BEGIN; SET work_mem = '5MB'; ROLLBACK", "SHOW work_mem", b"4MB"),
        ("SET LOCAL work_mem = '5MB'", "SHOW work_mem", b"4MB"),
    ],
)
async def test_a_setting_follows_its_client_and_nobody_else(
    proxy: Proxy, statement: str, shown: str, expected: bytes
) -> None:
    async with session(proxy) as one, session(proxy) as other:
        default = await other.query(shown)
        await one.query(statement)
        for _ in range(4):
            assert await value(one, shown) == expected
            seen = await other.query(shown)
            assert [f for f in seen if f.type in "DE"] == [f for f in default if f.type in "DE"] or (
                b"app." in shown.encode() or "hidden" in shown
            )
