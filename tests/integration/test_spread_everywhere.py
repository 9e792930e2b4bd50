"""Reference tables, TRUNCATE and DDL on every shard: what one PostgreSQL gives, and equal copies."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.sharded import SHARDS
from tests.integration.spread_pair import Pair, two_shards_and_one_whole
from tests.integration.test_spread_writes import MIXED, SCHEMA, TABLES, values
from tests.integration.transcript import errors

DATABASE = "spread_everywhere"


@pytest.fixture
async def pair(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Pair]:
    async with two_shards_and_one_whole(postgres, start_proxy, DATABASE, SCHEMA, TABLES) as made:
        yield made


async def test_reference_tables_are_written_on_every_shard(pair: Pair) -> None:
    await pair.both("INSERT INTO countries VALUES ('it', 'Italy'), ('es', 'Spain') RETURNING *")
    await pair.both("INSERT INTO countries VALUES ($1, $2) ON CONFLICT (code) DO UPDATE SET name = $2", [b"it", b"I"])
    await pair.both("UPDATE countries SET name = upper(name) WHERE code <> 'de' RETURNING code")
    await pair.both("DELETE FROM countries WHERE code = 'es'")
    await pair.both("INSERT INTO countries VALUES ('xx', 'X'), ('de', 'twice')")
    for sql in ("BEGIN", "DELETE FROM countries", f"INSERT INTO customers VALUES {values(MIXED)}", "ROLLBACK"):
        await pair.both(sql)
    assert len(await pair.same("countries", reference=True)) == 3
    assert errors(await pair.sharded.query("INSERT INTO countries VALUES ('rr', random()::text)")) == ["0A000"]
    await pair.postgres.fetch("DELETE FROM countries WHERE code = 'it'", database=f"{DATABASE}_{SHARDS[1]}")
    assert errors(await pair.sharded.query("DELETE FROM countries")) == ["XX001"]
    found = await pair.postgres.fetch("SELECT count(*) FROM countries", database=f"{DATABASE}_{SHARDS[0]}")
    assert found == [(3,)]


async def test_tables_are_truncated_and_changed_on_every_shard(pair: Pair) -> None:
    await pair.both(f"INSERT INTO customers VALUES {values(MIXED)}")
    await pair.both("TRUNCATE customers, orders")
    assert await pair.same("customers") == []
    await pair.both("ALTER TABLE customers ADD COLUMN extra int DEFAULT 7, DROP COLUMN region")
    await pair.both(f"INSERT INTO customers VALUES {values(MIXED)} RETURNING *")
    assert len(await pair.same("customers")) == 12
    await pair.both("BEGIN")
    await pair.both("CREATE INDEX by_name ON customers (name)")
    await pair.both("ALTER TABLE customers DROP COLUMN extra")
    await pair.both("ROLLBACK")
    await pair.both("ALTER TABLE customers ADD COLUMN extra int")
    for _ in range(2):
        await pair.both("DROP TABLE IF EXISTS orders")
    await pair.both("UPDATE customers SET extra = 2 RETURNING extra")
    await pair.same("customers")
    await pair.both("CREATE INDEX CONCURRENTLY i ON customers (name)")


async def test_what_no_shard_can_keep_is_not_defined(pair: Pair) -> None:
    for sql in (
        "CREATE UNIQUE INDEX by_name ON customers (name)",
        "ALTER TABLE orders ADD CONSTRAINT one UNIQUE (id)",
        "ALTER TABLE orders ADD FOREIGN KEY (id) REFERENCES customers (id)",
        "ALTER TABLE orders RENAME TO others",
    ):
        assert errors(await pair.sharded.query(sql)) == ["0A000"], sql
    await pair.both("CREATE UNIQUE INDEX by_name ON customers (name, id)")


async def test_what_is_no_table_is_made_on_every_shard(pair: Pair) -> None:
    body = "RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT $1 * 2 $$"
    for sql in (
        f"CREATE FUNCTION twice(int) {body}",
        f"CREATE FUNCTION twice(int) {body}",
        "CREATE TYPE mood AS ENUM ('sad', 'ok')",
        "CREATE DOMAIN low AS int CHECK (VALUE < 9)",
        "BEGIN",
        "CREATE TYPE pair AS (a int, b text)",
        "ALTER TYPE mood ADD VALUE 'well'",
        "COMMIT",
        "ALTER TABLE customers ADD COLUMN feeling mood DEFAULT 'ok', ADD COLUMN few low",
        f"INSERT INTO customers VALUES {values(MIXED)}",
        "UPDATE customers SET few = twice(3) RETURNING few, feeling::text",
        "DROP FUNCTION twice(int)",
        "SELECT twice(1)",
    ):
        await pair.both(sql, in_order=False)
    assert len(await pair.same("customers")) == 12
    for what in ("mood", "pair", "low"):
        for shard in SHARDS:
            assert await pair.postgres.fetch(f"SELECT '{what}'::regtype::text", database=f"{DATABASE}_{shard}") == [
                (what,)
            ]
    assert errors(await pair.sharded.query("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'")) == [
        "0A000"
    ]
