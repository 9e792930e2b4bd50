"""Tables are declared where there is one shard so far, as they are where there are several."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.sharded import create
from tests.integration.transcript import errors, messages, session
from tests.integration.wire import Wire, rows

DATABASE = "one_shard"
SCHEMA = """
CREATE TABLE countries (code text PRIMARY KEY);
CREATE TABLE customers (id int8 PRIMARY KEY, email text);
CREATE TABLE orders (customer_id int8, id int8, PRIMARY KEY (customer_id, id));
INSERT INTO customers SELECT i, i || '@x' FROM generate_series(1, 10) i;
"""


@pytest.fixture
async def wire(postgres: Postgres, start_proxy: ProxyFactory) -> AsyncIterator[Wire]:
    settings = await create(postgres, DATABASE, SCHEMA, {}, ("s0",))
    proxy = await start_proxy({"pool_mode": "transaction"}, databases={DATABASE: settings})
    async with session(proxy, database=DATABASE) as opened:
        yield opened


async def kinds(wire: Wire) -> dict[str, str]:
    """What is said of each table where a statement goes."""
    found = {}
    for table in ("countries", "customers", "orders"):
        said = rows(await wire.query(f"EXPLAIN (ROUTE) SELECT * FROM {table}"))
        line = next(row[0] for row in said if row[0] is not None and b"->" in row[0])
        found[table] = line.decode().rpartition("(")[2].rstrip(")")
    return found


async def test_tables_are_declared(wire: Wire) -> None:
    assert set((await kinds(wire)).values()) == {"home"}
    for sql in (
        "SELECT create_reference_table('countries')",
        "SELECT create_distributed_table('customers', 'id')",
        "SELECT create_distributed_table('orders', 'customer_id', colocate_with => 'customers')",
    ):
        reply = await wire.query(sql)
        assert not errors(reply), messages(reply)
    assert await kinds(wire) == {"countries": "reference", "customers": "sharded", "orders": "sharded"}
    for sql in (
        "INSERT INTO customers VALUES (11, 'x'), (12, 'y')",
        "INSERT INTO orders VALUES (11, 1)",
        "UPDATE customers SET email = 'z' WHERE id = 11",
        "INSERT INTO countries VALUES ('de')",
    ):
        assert not errors(await wire.query(sql)), sql
    sql = "SELECT count(*) FROM customers LEFT JOIN orders ON orders.customer_id = customers.id"
    assert rows(await wire.query(sql)) == [[b"12"]]
    assert not errors(await wire.query("SELECT undistribute_table('orders')"))
    assert (await kinds(wire))["orders"] == "home"
    assert rows(await wire.query("SELECT * FROM orders")) == [[b"11", b"1"]]


async def test_a_table_that_is_dropped_is_declared_no_more(wire: Wire) -> None:
    assert not errors(await wire.query("SELECT create_distributed_table('orders', 'customer_id')"))
    assert not errors(await wire.query("DROP TABLE orders"))
    assert not errors(await wire.query("CREATE TABLE orders (id int8)"))
    assert (await kinds(wire))["orders"] == "home"


async def test_what_cannot_be_is_told_as_on_several_shards(wire: Wire) -> None:
    for sql, code in (
        ("SELECT create_distributed_table('nothing', 'id')", "42P01"),
        ("SELECT create_distributed_table('customers')", "42883"),
        ("SELECT undistribute_table('customers')", "55000"),
        ("SELECT create_distributed_table('customers', 'id'), 1", "0A000"),
    ):
        reply = await wire.query(sql)
        assert errors(reply) == [code], (sql, messages(reply))
    await wire.query("BEGIN")
    assert errors(await wire.query("SELECT create_distributed_table('customers', 'id')")) == ["25001"]
    await wire.query("ROLLBACK")


async def test_one_shard_keeps_values_unique_by_itself(wire: Wire) -> None:
    assert not errors(await wire.query("SELECT create_distributed_table('customers', 'id')"))
    assert errors(await wire.query("SELECT create_unique_index('customers', 'email')")) == ["55000"]
    assert not errors(await wire.query("CREATE UNIQUE INDEX ON customers (email)"))
    assert errors(await wire.query("INSERT INTO customers VALUES (20, '1@x')")) == ["23505"]
    assert errors(await wire.query("SELECT drop_unique_index('customers', 'email')")) == ["42704"]
