"""What is asked already where the rows lie."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.asking import asked

EQ = "OPERATOR(pg_catalog.=)"


@pytest.mark.parametrize(
    "where, found",
    [
        ("status = 'new'", f"\"status\" {EQ} 'new'"),
        ("o.total > 5 AND random() < 0.5", '("total" OPERATOR(pg_catalog.>) (5))'),
        ("5 < o.total", '"total" OPERATOR(pg_catalog.>) (5)'),
        ("total BETWEEN 1 AND 2.5", '("total" OPERATOR(pg_catalog.>=) (1) AND "total" OPERATOR(pg_catalog.<=) (2.5))'),
        ("status IN ('a', $1)", "\"status\" IN ('a', $1)"),
        ("status = $1::text", f'"status" {EQ} $1::text'),
        ("status IS NOT NULL", '"status" IS NOT NULL'),
        ("total = 1 OR status = 'it''s'", f"(\"total\" {EQ} (1) OR \"status\" {EQ} 'it''s')"),
        ("day >= '2024-01-01'", "\"day\" OPERATOR(pg_catalog.>=) '2024-01-01'"),
        ("day >= date '2024-01-01'", "\"day\" OPERATOR(pg_catalog.>=) '2024-01-01'::pg_catalog.date"),
        ("id = -5", f'"id" {EQ} (-5)'),
        # What may fail, may mean another thing elsewhere, or is not false for NULL:
        ("status IS NULL", None),
        ("total = 1 OR random() < 0.5", None),
        ("day >= 'yesterday'", None),
        ("day >= now()", None),
        ("NOT (status = 'a')", None),
        ("total / 0 > 1", None),
        ("status = 'a' COLLATE \"C\"", None),
        ("status LIKE 'a%'", None),
        ("status OPERATOR(public.=) 'a'", None),
        ("status = ANY ('{a}')", None),
        ("id = (SELECT 1)", None),
        ("total = 5::int2::text::int4", None),
    ],
)
def test_a_comparison_with_a_constant_is_asked_there(where: str, found: str | None) -> None:
    assert asked(f"SELECT 1 FROM orders o WHERE {where}", "orders") == found


@pytest.mark.parametrize(
    "sql, found",
    [
        ("SELECT 1 FROM customers c LEFT JOIN orders o ON true WHERE o.status = 'a'", f"\"status\" {EQ} 'a'"),
        ("SELECT 1 FROM customers c LEFT JOIN orders o ON o.status = 'a'", None),
        ("SELECT 1 FROM orders o, customers c WHERE id = 5", None),
        ("SELECT 1 FROM orders o JOIN customers c USING (id) WHERE id = 5", None),
        ("SELECT 1 FROM orders o NATURAL JOIN customers c WHERE status = 'a'", None),
        ("SELECT 1 FROM orders o(status, b, c, x) WHERE status = 'a'", None),
        ("SELECT 1 FROM orders a, orders b WHERE a.status = 'x'", None),
        ("SELECT 1 FROM orders a, orders b WHERE a.status = 'x' AND b.total = 1",
         f"((\"status\" {EQ} 'x') OR (\"total\" {EQ} (1)))"),
        ("SELECT 1 FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.status = 'a' AND c.name = 'b')",
         f"(\"status\" {EQ} 'a')"),
        ("SELECT 1 FROM customers o WHERE EXISTS (SELECT 1 FROM orders WHERE o.name = 'a')", None),
        ("SELECT 1 FROM big_orders WHERE id = 5", '"total" OPERATOR(pg_catalog.>) (1000)::pg_catalog.numeric'),
        ("SELECT 1 FROM big_orders, orders", None),
    ],
)  # fmt: skip
def test_what_one_use_of_a_table_does_not_need_another_may(sql: str, found: str | None) -> None:
    assert asked(sql, "orders") == found
