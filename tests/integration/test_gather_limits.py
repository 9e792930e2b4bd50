"""What gathering may cost, what it refuses, and what is left when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from psycopg import AsyncConnection, errors

from tests.integration.conftest import ProxyFactory
from tests.integration.gather_schema import KEYS, make
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import HOST, USER, Proxy

DATABASE, ALONE = "shop_gathered_little", "shop_gathered_little_alone"
Client = AsyncConnection[tuple[object, ...]]
PAIRS = "SELECT count(*) FROM customers a JOIN customers b ON a.name < b.name"
LIMIT = 20_000
SECURED = """
GRANT SELECT ON customers, big_spenders TO gather_reader;
GRANT SELECT (id, total, customer_id) ON orders TO gather_reader;
ALTER TABLE hidden.secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON hidden.secrets USING (id % 2 = 0);
CREATE VIEW words AS SELECT s.word, c.name FROM hidden.secrets s JOIN customers c ON c.boss = s.id;
GRANT USAGE ON SCHEMA hidden TO gather_reader;
GRANT SELECT ON hidden.secrets, words TO gather_reader;
"""


async def direct(postgres: Postgres, name: str) -> Client:
    return await AsyncConnection.connect(
        host=HOST, port=postgres.port, user=USER, password=PASSWORD, dbname=name, autocommit=True
    )


@pytest.fixture
async def proxy(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Proxy]:
    settings = await make(postgres, DATABASE, ALONE)
    names = [f"{DATABASE}_s0", f"{DATABASE}_s1", ALONE]
    async with await direct(postgres, ALONE) as made:
        await made.execute("DROP ROLE IF EXISTS gather_reader")
        await made.execute("CREATE ROLE gather_reader NOLOGIN")
    for name in names:
        async with await direct(postgres, name) as made:
            await made.execute(SECURED)
    yield await start_proxy(
        {"pool_mode": "transaction", "default_pool_size": 2, "gather_max_bytes": LIMIT}, databases={DATABASE: settings}
    )
    for name in names:
        async with await direct(postgres, name) as made:
            await made.execute("DROP OWNED BY gather_reader")
    async with await direct(postgres, ALONE) as made:
        await made.execute("DROP ROLE gather_reader")


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[Client]:
    async with await AsyncConnection.connect(
        host=HOST, port=proxy.port, user=USER, password=PASSWORD, dbname=DATABASE, autocommit=True
    ) as client:
        yield client


async def one(client: Client, sql: str) -> object:
    row = await (await client.execute(sql)).fetchone()  # type: ignore[arg-type]
    return row[0] if row is not None else None


async def filled(client: Client, count: int) -> None:
    """So many long notes of each of two customers that lie on different shards."""
    for key in (KEYS[0], KEYS[-1]):
        await client.execute(
            f"INSERT INTO orders SELECT n, {key}, 1, NULL, NULL, NULL, repeat('x', 1000), 7"
            f" FROM generate_series(1000, {1000 + count}) n".encode()
        )


async def test_more_than_the_budget_is_refused_and_what_needs_less_goes_on(client: Client) -> None:
    await filled(client, 50)
    with pytest.raises(errors.OutOfMemory) as refused:
        await one(client, "SELECT max(a.note || b.note) FROM orders a JOIN orders b ON a.id = b.id")
    assert "public.orders" in str(refused.value.diag.message_detail)
    assert "gather_max_bytes" in str(refused.value.diag.message_hint)
    assert await one(client, "SELECT count(a.note) FROM orders a JOIN orders b ON a.id = b.id WHERE b.product = 1"
                     " AND a.product = 1") is not None  # fmt: skip
    assert await one(client, PAIRS)


async def test_over_budget_in_a_block_fails_that_block_only(client: Client) -> None:
    await filled(client, 50)
    await client.execute("BEGIN")
    with pytest.raises(errors.OutOfMemory):
        await one(client, "SELECT max(a.note || b.note) FROM orders a JOIN orders b ON a.id = b.id")
    await client.execute("ROLLBACK")
    assert await one(client, PAIRS)


@pytest.mark.parametrize(
    "sql, hint",
    [
        ("SELECT order_count(), count(*) FROM customers", "key"),
        ("SELECT name FROM customers ORDER BY name FOR UPDATE", "key"),
        ("SELECT max(ctid::text) FROM customers", "key"),
        ("SELECT c FROM customers c ORDER BY name", "key"),
        ("SELECT count(*) FROM customers, pg_class", "catalogs"),
    ],
)
async def test_what_would_be_wrong_is_refused_with_a_hint(client: Client, sql: str, hint: str) -> None:
    with pytest.raises(errors.FeatureNotSupported) as refused:
        await client.execute(sql)  # type: ignore[arg-type]
    assert hint in str(refused.value.diag.message_hint)
    assert await one(client, PAIRS)


async def test_a_key_that_is_not_unique_over_the_shards_is_not_grouped_by(client: Client) -> None:
    """What could not be in one database: PostgreSQL would not have let the second one in."""
    sql = "SELECT id, max(total) FROM orders GROUP BY id ORDER BY id"
    assert await one(client, sql) == 0


async def test_a_cancel_stops_a_gathered_statement(client: Client) -> None:
    running = asyncio.ensure_future(client.execute("SELECT pg_sleep(60) FROM customers a, customers b ORDER BY b.name"))
    while running.done() or not await _sleeps(client):
        await asyncio.sleep(0.02)
    await client.cancel_safe()
    with pytest.raises(errors.QueryCanceled):
        await running
    assert await one(client, PAIRS)


async def _sleeps(client: Client) -> bool:
    async with await AsyncConnection.connect(
        host=HOST, port=_port_of_server[0], user=USER, password=PASSWORD, dbname="postgres", autocommit=True
    ) as watcher:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname LIKE 'shop_gathered_l%'"
        return bool(await one(watcher, sql))


_port_of_server: list[int] = []


@pytest.fixture(autouse=True)
def _remember(postgres: Postgres) -> None:
    _port_of_server[:] = [postgres.port]


# --- rights -----------------------------------------------------------------------------------------------------------


async def as_reader(client: Client, sql: str) -> object:
    await client.execute("BEGIN")
    try:
        await client.execute("SELECT count(*) FROM customers a JOIN customers b ON a.name < b.name")
        await client.execute("SET LOCAL ROLE gather_reader")
        return await one(client, sql)
    finally:
        await client.execute("ROLLBACK")


async def test_rights_on_columns_hold_where_the_rows_are_read(client: Client) -> None:
    sql = "SELECT count(a.{0}) FROM orders a JOIN orders b ON a.total < b.total"
    assert await as_reader(client, sql.format("id"))
    with pytest.raises(errors.InsufficientPrivilege):
        await as_reader(client, sql.format("note"))


async def test_row_security_holds_where_the_rows_are_read(client: Client, postgres: Postgres) -> None:
    sql = "SELECT string_agg(a.word, ',' ORDER BY a.id) FROM hidden.secrets a JOIN hidden.secrets b ON a.id <> b.id"
    async with await direct(postgres, ALONE) as alone:
        assert await as_reader(client, sql) == await as_reader(alone, sql)
        assert await one(client, sql) == await one(alone, sql)


async def test_row_security_behind_a_view_is_refused(client: Client) -> None:
    with pytest.raises(errors.FeatureNotSupported, match="row security"):
        await one(client, "SELECT count(*) FROM words a JOIN words b ON a.word < b.word")


async def test_the_rights_of_a_view_are_not_those_of_its_tables(client: Client) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        await as_reader(client, "SELECT count(*) FROM spent a JOIN spent b ON a.total < b.total")
