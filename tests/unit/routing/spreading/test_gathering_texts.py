"""How a statement names what was copied."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.asking import rewritten

ORDERS = ("public", "orders")


@pytest.mark.parametrize(
    "sql, text",
    [
        ("SELECT orders.id FROM orders", "SELECT orders.id FROM pg_temp.orders"),
        ("SELECT o.id FROM public.orders o", "SELECT o.id FROM pg_temp.orders o"),
        ("SELECT public.orders.id FROM public.orders", "SELECT pg_temp.orders.id FROM pg_temp.orders"),
        ("SELECT public.orders.* FROM public . orders", "SELECT pg_temp.orders.* FROM pg_temp . orders"),
        ('SELECT 1 FROM "public"."orders"', 'SELECT 1 FROM pg_temp."orders"'),
        ("SELECT 1 FROM shop.public.orders", "SELECT 1 FROM pg_temp.orders"),
        ("SELECT 1 FROM public/* a.b */.orders, only orders b", None),
        ("SELECT 1 FROM ONLY (orders) WHERE x = 'orders'", "SELECT 1 FROM ONLY (pg_temp.orders) WHERE x = 'orders'"),
        ("SELECT 'é' FROM orders", "SELECT 'é' FROM pg_temp.orders"),
        ("TABLE orders", "TABLE pg_temp.orders"),
        ("SELECT 1 FROM orders, customers", "SELECT 1 FROM pg_temp.orders, customers"),
        ("WITH orders AS (SELECT 1 FROM orders) SELECT * FROM orders",
         "WITH orders AS (SELECT 1 FROM pg_temp.orders) SELECT * FROM orders"),
        ("SELECT 1 FROM orders UNION SELECT 2 FROM orders ORDER BY 1",
         "SELECT 1 FROM pg_temp.orders UNION SELECT 2 FROM pg_temp.orders ORDER BY 1"),
    ],
)  # fmt: skip
def test_a_copied_table_is_named_in_pg_temp_and_nothing_else_changes(sql: str, text: str | None) -> None:
    if text is not None:
        assert rewritten(sql, ORDERS) == text


def test_what_is_not_copied_is_left_as_it_is() -> None:
    assert rewritten("SELECT 1 FROM orders, logs") == "SELECT 1 FROM orders, logs"
