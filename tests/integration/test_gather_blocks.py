"""Gathered rows within a client's own transaction: it sees what it has written, and what it read before stays."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import AsyncConnection, errors

from tests.integration.conftest import ProxyFactory
from tests.integration.gather_schema import KEYS, make
from tests.integration.postgres import PASSWORD, Postgres
from tests.integration.proxy import HOST, USER, Proxy

DATABASE, ALONE = "shop_gathered_in_blocks", "shop_gathered_in_blocks_alone"
FIRST, OTHER = KEYS[0], KEYS[-1]
Client = AsyncConnection[tuple[object, ...]]
PAIRS = "SELECT count(*) FROM orders a JOIN orders b ON a.product = b.product"
NAMES = "SELECT string_agg(name, ',' ORDER BY id) FROM customers"


@pytest.fixture
async def proxy(postgres: Postgres, start_proxy: ProxyFactory) -> Proxy:
    settings = await make(postgres, DATABASE, ALONE)
    return await start_proxy({"pool_mode": "transaction", "default_pool_size": 2}, databases={DATABASE: settings})


async def connect(proxy: Proxy) -> Client:
    return await AsyncConnection.connect(
        host=HOST, port=proxy.port, user=USER, password=PASSWORD, dbname=DATABASE, autocommit=True
    )


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[Client]:
    async with await connect(proxy) as client:
        yield client


async def one(client: Client, sql: str) -> object:
    row = await (await client.execute(sql)).fetchone()  # type: ignore[arg-type]
    return row[0] if row is not None else None


async def test_what_the_block_has_written_is_seen_in_it_and_by_nobody_else(proxy: Proxy, client: Client) -> None:
    before = await one(client, NAMES)
    await client.execute("BEGIN")
    await client.execute(f"UPDATE customers SET name = 'new name' WHERE id = {OTHER}".encode())
    assert "new name" in str(await one(client, NAMES))
    async with await connect(proxy) as other:
        assert await one(other, NAMES) == before
        await client.execute("COMMIT")
        assert "new name" in str(await one(other, NAMES))


async def test_a_snapshot_of_the_block_is_kept(proxy: Proxy, client: Client) -> None:
    await client.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    before = await one(client, NAMES)
    async with await connect(proxy) as other:
        await other.execute(f"UPDATE customers SET name = 'changed' WHERE id = {FIRST}".encode())
    assert await one(client, NAMES) == before
    await client.execute("COMMIT")
    assert await one(client, NAMES) != before


async def test_a_block_that_only_reads_may_gather(client: Client) -> None:
    pairs = await one(client, PAIRS)
    await client.execute("BEGIN READ ONLY")
    assert await one(client, PAIRS) == pairs
    assert await one(client, "SELECT count(*) FROM notes n JOIN customers c ON c.id <> n.customer_id, products") == 198
    await client.execute("COMMIT")


async def test_what_was_set_for_the_block_holds_for_the_statement(client: Client) -> None:
    await client.execute("BEGIN")
    await one(client, NAMES)
    await client.execute("SET LOCAL TimeZone = 'Asia/Tokyo'")
    assert str(await one(client, "SELECT max(day)::text || min(mood) FROM orders, customers")).endswith("+09sad")
    await client.execute("ROLLBACK")


async def test_a_savepoint_undoes_what_was_gathered_behind_it(client: Client) -> None:
    before = await one(client, NAMES)
    await client.execute("BEGIN")
    await client.execute(f"UPDATE customers SET boss = NULL WHERE id = {FIRST}".encode())
    await client.execute("SAVEPOINT a")
    await client.execute(f"UPDATE customers SET name = 'gone soon' WHERE id = {FIRST}".encode())
    assert "gone soon" in str(await one(client, NAMES))
    await client.execute("ROLLBACK TO a")
    assert await one(client, NAMES) == before
    await client.execute("COMMIT")


async def test_an_error_of_the_statement_is_postgresqls_and_fails_the_block(client: Client) -> None:
    await client.execute("BEGIN")
    with pytest.raises(errors.DivisionByZero):
        await one(client, "SELECT sum(1 / (o.product - 1)) FROM orders o JOIN orders p ON o.product = p.product")
    with pytest.raises(errors.InFailedSqlTransaction):
        await one(client, NAMES)
    await client.execute("ROLLBACK")
    assert await one(client, NAMES)


async def test_the_time_of_a_transaction_is_not_taken_from_another(client: Client) -> None:
    """On a connection apart it would be another time than the block's."""
    await client.execute("BEGIN")
    with pytest.raises(errors.FeatureNotSupported):
        await one(client, "SELECT max(o.day) < now() FROM orders o JOIN orders p ON o.product = p.product")
    await client.execute("ROLLBACK")
    assert await one(client, "SELECT max(o.day) < now() FROM orders o JOIN orders p ON o.product = p.product")


async def test_nothing_stays_on_the_shards(client: Client, postgres: Postgres) -> None:
    await one(client, PAIRS)
    await client.execute("BEGIN")
    await one(client, PAIRS)
    await client.execute("COMMIT")
    for shard in ("s0", "s1"):
        async with await psycopg.AsyncConnection.connect(
            host=HOST, port=postgres.port, user=USER, password=PASSWORD, dbname=f"{DATABASE}_{shard}"
        ) as direct:
            found = await direct.execute("SELECT relname FROM pg_class WHERE relpersistence = 't'")
            assert await found.fetchall() == []
