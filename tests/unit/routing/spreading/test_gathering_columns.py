"""Which columns of a table are copied."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.asking import columns

ALL = "id customer_id total status day"


@pytest.mark.parametrize(
    "sql, found",
    [
        ("SELECT total FROM orders", "total"),
        ("SELECT o.total FROM orders o WHERE day IS NULL", "total day"),
        ("SELECT c.id, o.total FROM orders o, customers c", "total"),
        ("SELECT count(*) FROM orders", "id"),
        ("SELECT * FROM orders", ALL),
        ("SELECT o.* FROM orders o, customers", ALL),
        ("SELECT c.* FROM orders o, customers c WHERE o.id = 1", "id"),
        ("SELECT o FROM orders o", ALL),
        ("SELECT (o).total FROM orders o", ALL),
        ("SELECT orders FROM orders", ALL),
        ("SELECT row_to_json(o) FROM orders o", ALL),
        ("SELECT 1 FROM orders o JOIN customers c USING (id)", "id"),
        ("SELECT 1 FROM orders NATURAL JOIN customers", ALL),
        ("SELECT x FROM orders AS o(w, x)", ALL),
        ("SELECT j.total FROM (orders o JOIN customers c ON true) AS j", "total"),
        ("SELECT j.* FROM (orders o JOIN customers c ON true) AS j", ALL),
        ("SELECT b FROM (orders o JOIN customers c ON true) AS j(a, b)", ALL),
        ("SELECT public.orders.day FROM public.orders", "day"),
        ("SELECT x.total FROM (SELECT * FROM orders) x", ALL),
        ("SELECT * FROM (SELECT total FROM orders) x", "total"),
        ("TABLE orders", ALL),
        ("SELECT sum(total) OVER w FROM orders WINDOW w AS (PARTITION BY status ORDER BY day)", "total status day"),
        ("SELECT id FROM big_orders", "id customer_id total"),
    ],
)
def test_a_column_is_copied_if_its_name_is_said(sql: str, found: str) -> None:
    assert columns(sql, "orders") == found
