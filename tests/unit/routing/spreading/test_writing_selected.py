"""INSERT ... SELECT of rows that belong to other shards than they come from."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.planned_writes import request_of
from trunkline.routing.keys.sharding import Kind
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.gathering import Gather
from trunkline.routing.spreading.planner import program_of
from trunkline.routing.spreading.writing_selected import Selected


def selected(sql: str) -> Selected:
    found = program_of(request_of(sql))
    assert isinstance(found, Selected), found
    return found


def test_the_query_is_answered_like_any_other() -> None:
    found = selected(
        "INSERT INTO items (sku, customer_id) SELECT 'x', max(id) FROM customers GROUP BY name RETURNING sku"
    )
    assert found.source.sql == b"SELECT 'x', max(id) FROM customers GROUP BY name"
    assert not isinstance(found.program, Refusal)
    assert (found.key, found.literals, found.tail, found.in_order) == ((1,), {0: b"'x'"}, (b" RETURNING sku",), True)
    joined = "INSERT INTO items (customer_id) SELECT c.id FROM customers c JOIN orders o ON o.status = c.name"
    assert isinstance(selected(joined).program, Gather)


def test_rows_that_are_given_as_arrays_are_asked_of_anybody() -> None:
    found = selected("INSERT INTO items (order_id, customer_id) SELECT unnest($1::int8[]), unnest($2::int4[])")
    assert (found.program, found.key, found.function is not None) == (None, (1,), True)


def test_rows_of_several_shards_go_home_or_to_every_copy() -> None:
    assert selected("INSERT INTO logs SELECT id, status FROM orders").kind is Kind.HOME
    assert selected("INSERT INTO countries SELECT status, status FROM orders").kind is Kind.REFERENCE
    assert selected("INSERT INTO items SELECT id, id, msg FROM logs").kind is Kind.SHARDED


def test_constants_behind_a_star_are_counted_from_the_end() -> None:
    assert selected("INSERT INTO logs SELECT customer_id, NULL FROM orders").literals == {1: b"NULL"}
    found = selected("INSERT INTO items (order_id, customer_id, sku) SELECT 1, id, 'a' || name FROM customers LIMIT 3")
    assert found.literals == {}
    assert selected("INSERT INTO events (day, msg) SELECT t.*, 'x' FROM (SELECT day FROM orders) t").literals == {
        -1: b"'x'"
    }


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO orders (customer_id) SELECT max(id) FROM customers",
        "INSERT INTO items (order_id) SELECT id FROM orders",
        "INSERT INTO items (customer_id) SELECT id FROM customers LIMIT 1 ON CONFLICT (order_id) DO NOTHING",
        "INSERT INTO stamped (id, at) SELECT max(id), now() FROM customers RETURNING now()",
        "INSERT INTO items (customer_id) SELECT id FROM customers LIMIT 1 RETURNING (SELECT count(*) FROM orders)",
        "WITH w AS (DELETE FROM orders RETURNING id) INSERT INTO items (customer_id) SELECT id FROM w",
        "INSERT INTO customers VALUES ((random() * 10)::int, 'x'), (2, '')",
    ],
)
def test_what_is_not_certain_is_refused(sql: str) -> None:
    assert isinstance(program_of(request_of(sql)), Refusal)
