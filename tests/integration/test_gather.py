"""Statements over several shards that are run over gathered rows: what one PostgreSQL with all rows gives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.gather_schema import ALONE, DATABASE, KEYS, make
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import HOST, USER, Proxy

Pair = tuple[psycopg.AsyncConnection, psycopg.AsyncConnection]  # type: ignore[type-arg]

STATEMENTS = dict(
    part.split("\n", 1) for part in Path(__file__).with_name("gathered.sql").read_text().split("\n\n-- ")[1:]
)


@pytest.fixture
async def proxy(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    settings = await make(postgres)
    return await start_proxy({"pool_mode": "transaction", "default_pool_size": 3}, databases={DATABASE: settings})


async def connected(port: int, database: str) -> psycopg.AsyncConnection:  # type: ignore[type-arg]
    return await psycopg.AsyncConnection.connect(
        host=HOST, port=port, user=USER, password=PASSWORD, dbname=database, autocommit=True, prepare_threshold=None
    )


@pytest.fixture
async def pair(postgres: Postgres, proxy: Proxy) -> AsyncIterator[Pair]:
    """A client of the shards, and one of the database with all rows."""
    async with await connected(proxy.port, DATABASE) as ours, await connected(postgres.port, ALONE) as alone:
        yield ours, alone


async def answer(
    one: psycopg.AsyncConnection, sql: str, values: object = None, *, binary: bool = False  # type: ignore[type-arg]
) -> tuple[object, object]:  # fmt: skip
    async with one.cursor(binary=binary) as cursor:
        await cursor.execute(sql, values)  # type: ignore[arg-type]
        return [(column.name, column.type_display) for column in cursor.description or ()], await cursor.fetchall()


@pytest.mark.every_postgres
@pytest.mark.parametrize("begin", ["", "BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"])
async def test_everything_is_as_on_one_postgresql(pair: Pair, begin: str) -> None:
    ours, alone = pair
    wrong = {}
    for name, sql in STATEMENTS.items():
        if begin:
            await ours.execute(begin.encode())
        try:
            if (await answer(ours, sql))[1] != (await answer(alone, sql))[1]:
                wrong[name] = "other rows"
        except psycopg.Error as error:
            wrong[name] = f"{error.sqlstate} {error.diag.message_primary} {error.diag.message_detail}"
        if begin:
            await ours.execute("ROLLBACK")
    assert not wrong, list(wrong)


async def test_binary_values_and_parameters_are_too(pair: Pair) -> None:
    ours, alone = pair
    sql = (
        "SELECT c.name, c.born, o.day, o.total, c.region FROM orders o JOIN customers c ON c.id <> o.customer_id"
        " WHERE o.total > %s AND c.region = %s AND c.born BETWEEN %s AND '1990-12-01' ORDER BY 1, 2, 3"
    )
    values = (100, "north", "1990-01-02")
    assert await answer(ours, sql, values, binary=True) == await answer(alone, sql, values, binary=True)
    assert KEYS
