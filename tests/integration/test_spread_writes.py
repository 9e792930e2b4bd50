"""Writes over two shards give what one PostgreSQL gives: answers, errors and the rows that are there afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.sharded import keys_of
from tests.integration.spread_pair import Pair, two_shards_and_one_whole
from tests.integration.transcript import errors
from tests.integration.wire import SYNC, bind, error_fields, execute, parse, rows

DATABASE = "spread_writes"
SCHEMA = """
CREATE TABLE customers (id int8 PRIMARY KEY, name text CHECK (name <> 'bad'), region text DEFAULT 'none');
CREATE TABLE orders (customer_id int8, id int8, total numeric(10, 2), PRIMARY KEY (customer_id, id));
CREATE TABLE archive (customer_id int8, id int8, total numeric(10, 2), PRIMARY KEY (customer_id, id));
CREATE TABLE stamped (id int8, at timestamptz DEFAULT now(), token uuid DEFAULT gen_random_uuid());
CREATE TABLE countries (code text PRIMARY KEY, name text);
CREATE TABLE notes (id int8, body text);
INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France');
"""
TABLES = {
    "customers": {"shard_by": "id"},
    "orders": {"shard_by": "customer_id", "colocated_with": "customers"},
    "archive": {"shard_by": "customer_id", "colocated_with": "customers"},
    "stamped": {"shard_by": "id"},
    "countries": {"reference": True},
}
A, B = keys_of(0, 6), keys_of(1, 6)
MIXED = [key for pair in zip(A, B, strict=True) for key in pair]


@pytest.fixture
async def pair(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Pair]:
    async with two_shards_and_one_whole(postgres, start_proxy, DATABASE, SCHEMA, TABLES) as made:
        yield made


def values(keys: list[int], text: str = "'customer {key}'") -> str:
    return ", ".join(f"({key}, {text.format(key=key)})" for key in keys)


async def filled(pair: Pair) -> None:
    await pair.both(f"INSERT INTO customers VALUES {values(MIXED)}")
    orders = ", ".join(f"({key}, {number}, {key + number}.5)" for key in MIXED[:8] for number in range(3))
    await pair.both(f"INSERT INTO orders VALUES {orders}")


# --- INSERT ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO customers (id, name)"
        " SELECT customer_id, row_number() OVER (ORDER BY total) FROM orders WHERE id = 1",
        "INSERT INTO customers (id, name) SELECT customer_id, count(*) OVER w FROM orders WHERE id = 1 WINDOW w AS ()",
        "INSERT INTO customers (id, name) SELECT DISTINCT ON (id) customer_id, id FROM orders WHERE id = 1"
        " ORDER BY id, total",
        "INSERT INTO customers (id, name) SELECT q.customer_id, q.n FROM"
        " (SELECT customer_id, rank() OVER (ORDER BY total DESC) AS n FROM orders WHERE id = 2) AS q WHERE q.n < 4",
    ],
)
async def test_what_numbers_or_picks_rows_does_so_over_all_shards(pair: Pair, sql: str) -> None:
    """Each shard would begin with 1, or give the first of its own."""
    await filled(pair)
    await pair.both("DELETE FROM customers")
    await pair.both(sql)
    assert await pair.same("customers")


@pytest.mark.parametrize(
    "sql",
    [
        "WITH gone AS (DELETE FROM orders WHERE id = 1 RETURNING *) INSERT INTO archive SELECT * FROM gone",
        "WITH gone AS (DELETE FROM orders WHERE total > 3 RETURNING customer_id, id, total) INSERT INTO archive AS a"
        " SELECT customer_id, id + 5, total FROM gone WHERE id > 0 RETURNING a.*",
        "WITH done AS (UPDATE orders SET total = total + 1 WHERE id < 2 RETURNING customer_id AS c) INSERT INTO archive"
        " SELECT c, count(*), max(k.id) FROM done AS d, customers AS k WHERE k.id = d.c GROUP BY c",
        "WITH gone AS (DELETE FROM orders RETURNING *) INSERT INTO archive SELECT customer_id, 0, total FROM gone",
    ],
)
async def test_rows_that_with_deletes_are_inserted_elsewhere(pair: Pair, sql: str) -> None:
    """The last one inserts the same key twice: nothing is deleted then."""
    await filled(pair)
    if "0, total" in sql:
        await pair.both(f"DELETE FROM orders WHERE customer_id <> {A[0]} OR id = 2")
    await pair.both(sql, in_order=False)
    await pair.same("orders")
    await pair.same("archive")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT customer_id, (SELECT count(*) FROM gone), 0 FROM gone",
        "SELECT a.customer_id, b.id, 0 FROM gone AS a, gone AS b",
        "SELECT id, customer_id, 0 FROM gone",
        "SELECT customer_id, row_number() OVER (ORDER BY total), 0 FROM gone",
        "SELECT customer_id, id, 0 FROM gone LIMIT 3",
    ],
)
async def test_what_with_gives_as_a_whole_is_refused(pair: Pair, query: str) -> None:
    await filled(pair)
    reply = await pair.sharded.query(f"WITH gone AS (DELETE FROM orders RETURNING *) INSERT INTO archive {query}")
    assert errors(reply) == ["0A000"]
    await pair.same("orders")


async def test_a_merge_with_a_source_that_numbers_its_rows_is_refused(pair: Pair) -> None:
    await filled(pair)
    numbered = "SELECT customer_id, row_number() OVER (ORDER BY total) AS n FROM orders WHERE id = 0"
    merge = f"MERGE INTO customers c USING ({numbered}) AS s ON s.customer_id = c.id WHEN NOT MATCHED THEN"
    reply = await pair.sharded.query(f"{merge} INSERT (id, name) VALUES (s.customer_id, s.n)")
    assert errors(reply) == ["0A000"]


async def test_rows_are_inserted_where_their_keys_are(pair: Pair) -> None:
    await pair.both(f"INSERT INTO customers VALUES {values(MIXED[:5])}")
    await pair.both(f"INSERT INTO customers (name, id) VALUES ('x', {A[4]}), (NULL, {B[4]}), (DEFAULT, '{A[5]}')")
    assert len(await pair.same("customers")) == 8
    for shard, keys in (("s0", A), ("s1", B)):
        there = await pair.postgres.fetch("SELECT id FROM customers", database=f"{DATABASE}_{shard}")
        assert {key for (key,) in there} <= set(keys)


async def test_returning_is_in_the_order_of_values(pair: Pair) -> None:
    reply = await pair.both(f"INSERT INTO customers VALUES {values(MIXED)} RETURNING id, upper(name), region")
    assert [int(row[0] or b"") for row in rows(reply)] == MIXED
    nothing = f"INSERT INTO customers VALUES {values(MIXED)} ON CONFLICT DO NOTHING RETURNING id"
    assert rows(await pair.both(nothing)) == []
    await pair.both(f"DELETE FROM customers WHERE id IN ({MIXED[2]}, {MIXED[5]}, {MIXED[7]})")
    reply = await pair.both(nothing)
    assert [int(row[0] or b"") for row in rows(reply)] == [MIXED[2], MIXED[5], MIXED[7]]
    await pair.same("customers")


async def test_parameters_keep_their_numbers(pair: Pair) -> None:
    sql = "INSERT INTO customers VALUES ($1, $2), ($3, $2 || '!'), ($4, $5) RETURNING *"
    given = [str(A[0]).encode(), b"twice", str(B[0]).encode(), str(A[1]).encode(), None]
    assert len(rows(await pair.both(sql, given))) == 3
    await pair.same("customers")


async def test_conflicts_are_decided_where_the_rows_are(pair: Pair) -> None:
    await pair.both(f"INSERT INTO customers VALUES {values(MIXED[:4])}")
    upsert = "ON CONFLICT (id) DO UPDATE SET name = customers.name || excluded.name"
    await pair.both(f"INSERT INTO customers VALUES {values(MIXED[2:6])} {upsert} RETURNING *")
    await pair.both(f"INSERT INTO customers VALUES {values(MIXED[2:6])} {upsert} WHERE customers.id > {MIXED[3]}")
    await pair.both(f"INSERT INTO customers VALUES {values([A[0], B[0], A[0]])} {upsert}")
    await pair.same("customers")


WRONG_ROWS = [
    f"({A[0]}, 'x'), ({B[0]}, 'bad')",
    f"({A[0]}, 'x'), ({B[0]}, 'y'), ({A[0]}, 'z')",
    f"({A[0]}, 'x'), ('no number', 'y'), ({B[0]}, 'z')",
    f"({A[0]}, 'x'), (NULL, 'y'), ({B[0]}, 'z')",
    f"({A[0]}, 'x'), ({B[0]}, (1/0)::text)",
    f"({A[0]}, 'x', 'y', 'too much'), ({B[0]}, 'z', '', '')",
    f"({A[0]}, 'x'), ({B[0]})",
]


async def test_what_is_wrong_with_a_row_is_said_in_postgresqls_words(pair: Pair) -> None:
    for rows_of in WRONG_ROWS:
        reply = await pair.both(f"INSERT INTO customers VALUES {rows_of}")
        assert len(errors(reply)) == 1
        await pair.both("BEGIN")
        await pair.both(f"INSERT INTO customers VALUES {rows_of}")
        await pair.both("SELECT 1")
        await pair.both("ROLLBACK")
    assert await pair.same("customers") == []


async def test_a_block_is_rolled_back_at_every_shard(pair: Pair) -> None:
    for sql in ("BEGIN", f"INSERT INTO customers VALUES {values(MIXED)}", "SAVEPOINT s", "DELETE FROM customers"):
        await pair.both(sql)
    await pair.both("ROLLBACK TO s")
    await pair.both(f"UPDATE customers SET region = 'r' WHERE id IN ({A[0]}, {B[0]})")
    await pair.both("COMMIT")
    assert len(await pair.same("customers")) == 12
    for sql in ("BEGIN", "DELETE FROM customers", "ROLLBACK"):
        await pair.both(sql)
    assert len(await pair.same("customers")) == 12


async def test_all_rows_have_one_time(pair: Pair) -> None:
    for sql in (
        f"INSERT INTO stamped (id) VALUES ({A[0]}), ({B[0]}), ({A[1]}) RETURNING id, at, token",
        f"INSERT INTO stamped VALUES ({A[0]}, DEFAULT), ({B[0]}, now()), ({A[1]}, CURRENT_TIMESTAMP) RETURNING *",
        "UPDATE stamped SET at = now() RETURNING id, at, token || clock_timestamp()::text",
    ):
        found = rows(await pair.sharded.query(sql))
        assert len(found) >= 3
        assert len({at for _, at, _ in found}) == 1
        assert len({token for _, _, token in found}) == len(found)
    await pair.sharded.query("BEGIN")
    ((began,),) = rows(await pair.sharded.query(f"INSERT INTO stamped (id) VALUES ({A[0]}), ({B[0]}) RETURNING at"))[:1]
    found = rows(await pair.sharded.query("UPDATE stamped SET at = now() RETURNING at"))
    assert {at for (at,) in found} == {began}
    await pair.sharded.query("ROLLBACK")


# --- UPDATE, DELETE, MERGE, INSERT ... SELECT ------------------------------------------------------------------------


PARTS = [
    "UPDATE customers SET name = upper(name)",
    "UPDATE customers SET region = c.name FROM countries c WHERE c.code = 'de' RETURNING customers.*, c.*",
    "UPDATE orders o SET total = total * 2 FROM customers c WHERE c.id = customer_id AND c.name LIKE '%1%'",
    "UPDATE customers c SET region = (SELECT sum(total) FROM orders o WHERE o.customer_id = c.id)",
    "UPDATE orders SET total = 1e9",
    "DELETE FROM orders WHERE total > 10 RETURNING id, total",
    "DELETE FROM orders o USING customers c WHERE c.id = o.customer_id AND c.name LIKE '%2%'",
    "DELETE FROM customers c WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id) RETURNING id",
    "DELETE FROM customers WHERE 1 / (id - id) = 1",
    "INSERT INTO orders SELECT customer_id, id + 100, total FROM orders RETURNING id",
    "INSERT INTO orders (customer_id, id) SELECT c.id, count(*) + 10 FROM customers c JOIN orders o"
    " ON o.customer_id = c.id GROUP BY c.id",
    "INSERT INTO orders SELECT id, 1, 2 FROM customers ON CONFLICT (customer_id, id) DO UPDATE SET total = -1",
    "MERGE INTO orders o USING customers c ON c.id = o.customer_id AND o.id = 1 WHEN MATCHED THEN DELETE"
    " WHEN NOT MATCHED THEN INSERT VALUES (c.id, 77, 0)",
]


async def test_each_shard_does_its_part(pair: Pair) -> None:
    await filled(pair)
    for sql in PARTS:
        await pair.both("BEGIN")
        await pair.both(sql, in_order=False)
        if "1e9" in sql or "/" in sql:
            await pair.both("ROLLBACK")
            continue
        await pair.both("SELECT * FROM customers", in_order=False)
        await pair.both("SELECT * FROM orders", in_order=False)
        await pair.both("ROLLBACK")
    await pair.both(PARTS[0], in_order=False)
    await pair.same("customers")
    await pair.same("orders")


NOT_SURE = [
    "DELETE FROM orders WHERE customer_id IN (SELECT c.id FROM customers c, countries LIMIT 1)",
    "UPDATE customers SET name = (SELECT c.name FROM customers c ORDER BY random() LIMIT 1)",
    "UPDATE customers SET name = pg_backend_pid()",
    "UPDATE customers SET id = id + 1",
    "INSERT INTO customers SELECT length(code), code FROM countries ON CONFLICT (name) DO NOTHING",
    f"INSERT INTO customers VALUES ({A[0]}, 'x'), ({B[0]}, '') ON CONFLICT (name) DO NOTHING",
]


async def test_what_is_not_sure_is_refused_with_a_hint(pair: Pair) -> None:
    for sql in NOT_SURE:
        reply = await pair.sharded.query(sql)
        assert errors(reply) == ["0A000"], sql
        assert "H" in error_fields(reply[0]), sql
    assert await pair.same("customers") == []


async def test_rows_are_returned_some_at_a_time_and_all_are_written(pair: Pair) -> None:
    sql = f"INSERT INTO customers VALUES {values(MIXED)} RETURNING id"
    for wire in (pair.sharded, pair.whole):
        await wire.send(parse(sql) + bind() + execute(max_rows=3) + SYNC)
        reply = await wire.read_until("Z")
        assert [item.type for item in reply] == [*"12DDDsZ"]
    assert len(await pair.same("customers")) == 12
