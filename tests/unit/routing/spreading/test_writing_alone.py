"""Writes of which each shard does its part."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.planned_writes import planned
from trunkline.routing.spreading.writing_alone import Alone


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE customers SET name = 'x'",
        "UPDATE orders SET total = 1 FROM customers c WHERE c.id = customer_id AND c.name = 'x'",
        "UPDATE orders o SET total = (SELECT count(*) FROM items i WHERE i.customer_id = o.customer_id)",
        "UPDATE orders SET status = countries.name FROM countries WHERE code = status RETURNING *",
        "DELETE FROM orders WHERE customer_id IN (SELECT id FROM customers WHERE name = 'x')",
        "DELETE FROM orders o WHERE NOT EXISTS (SELECT 1 FROM items i WHERE i.customer_id = o.customer_id)",
        "INSERT INTO items (order_id, customer_id) SELECT id, customer_id FROM orders",
        "INSERT INTO items (customer_id, order_id) SELECT customer_id, count(*) FROM orders GROUP BY customer_id",
        "INSERT INTO items SELECT o.id, c.id, 'x' FROM orders o JOIN customers c ON o.customer_id = c.id",
        "INSERT INTO items (order_id, customer_id, sku) SELECT 1, id, code FROM countries, vip",
        "MERGE INTO items i USING orders o ON i.customer_id = o.customer_id AND i.order_id = o.id"
        " WHEN MATCHED THEN UPDATE SET sku = 'x' WHEN NOT MATCHED THEN INSERT VALUES (o.id, o.customer_id, '')",
        "MERGE INTO items i USING countries o ON i.sku = o.code WHEN MATCHED THEN DELETE",
    ],
)
def test_each_shard_does_its_part(sql: str) -> None:
    assert planned(sql) == Alone((sql.encode(),), asks_time=False)
