"""Which writes over several shards are refused."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.planned_writes import planned
from trunkline.routing.plans.plan import Refusal


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE customers SET name = pg_backend_pid()::text",
        "UPDATE customers SET name = order_total(id)",
        "UPDATE events SET day = 'today'",
        "UPDATE orders SET id = DEFAULT",
        "UPDATE payments SET amount = 1",
        "INSERT INTO items SELECT 1, o.id, c.code FROM countries c LEFT JOIN customers o ON o.name = c.code",
        "INSERT INTO items (customer_id) SELECT id FROM customers LIMIT 3",
        "INSERT INTO items (customer_id) SELECT customer_id FROM latest",
        "INSERT INTO items (customer_id) SELECT 5 FROM customers",
        "INSERT INTO items (customer_id) SELECT max(id) FROM customers",
        "INSERT INTO items (customer_id) SELECT id FROM customers UNION ALL SELECT 7",
        "INSERT INTO orders (customer_id) SELECT id FROM customers",
        "INSERT INTO orders (customer_id) VALUES (1), (2)",
        "INSERT INTO orders (id, customer_id) VALUES (DEFAULT, 1), (3, 2)",
        "INSERT INTO customers VALUES (1, (SELECT max(status) FROM orders)), (2, '')",
        "INSERT INTO customers VALUES (1, 'x'), (2, '') ON CONFLICT (name) DO NOTHING",
        "INSERT INTO customers VALUES (1, 'x'), (2, '') ON CONFLICT (id) DO UPDATE SET id = 3",
        "INSERT INTO customers VALUES (1, 'x'), (2, '') ON CONFLICT (id) DO UPDATE SET name='' WHERE 1=0 RETURNING id",
        "INSERT INTO customers VALUES (1, current_database()), (2, '')",
        "INSERT INTO customers VALUES ((random() * 10)::int, 'x'), (2, '')",
        "MERGE INTO items i USING countries o ON i.sku = o.code"
        " WHEN NOT MATCHED THEN INSERT (order_id, customer_id) VALUES (1, 7)",
    ],
)
def test_what_is_not_sure_is_refused(sql: str) -> None:
    found = planned(sql)
    assert isinstance(found, Refusal), found
    assert found.reason
    assert found.hint
