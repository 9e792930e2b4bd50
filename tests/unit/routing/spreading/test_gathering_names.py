"""Which tables a statement names, and which names are CTEs."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.asking import gathered


@pytest.mark.parametrize(
    "sql, names",
    [
        ("WITH orders AS (SELECT 1 AS x) SELECT * FROM orders, customers", ["customers"]),
        ("WITH orders AS (SELECT * FROM orders) SELECT * FROM orders", ["orders"]),
        (
            "WITH RECURSIVE orders AS (SELECT 1 UNION SELECT 1 FROM orders) SELECT * FROM orders, customers",
            ["customers"],
        ),
        ("WITH a AS (SELECT 1), b AS (SELECT * FROM a, orders) SELECT * FROM b", ["orders"]),
        ("SELECT 1 FROM (WITH orders AS (SELECT 1) SELECT * FROM orders) x, customers", ["customers"]),
        ("SELECT 1 FROM customers UNION SELECT 1 FROM (SELECT 1 FROM orders) x", ["customers", "orders"]),
        (
            "SELECT (SELECT max(total) FROM orders) FROM customers WHERE EXISTS (TABLE logs)",
            ["customers", "logs", "orders"],
        ),
        ("WITH orders AS (SELECT 1) SELECT * FROM public.orders", ["orders"]),
        (
            "SELECT 1 FROM customers, LATERAL (SELECT 1 FROM orders o WHERE o.id = customers.id) x",
            ["customers", "orders"],
        ),
    ],
)
def test_a_name_is_a_table_unless_a_cte_in_sight_has_it(sql: str, names: list[str]) -> None:
    assert sorted(one.relation.name for one in gathered(sql).tables) == names
