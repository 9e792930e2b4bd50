"""DDL over several shards that no shard could keep."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.asking import request
from trunkline.routing.spreading.defining import why_not


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE UNIQUE INDEX u ON orders (id) WHERE id > 1",
        "CREATE UNIQUE INDEX u ON orders ((customer_id + 1))",
        "ALTER TABLE orders ADD CONSTRAINT u UNIQUE (id)",
        "ALTER TABLE orders ADD COLUMN y int UNIQUE",
        "ALTER TABLE orders ADD PRIMARY KEY (id)",
        "ALTER TABLE orders ADD EXCLUDE USING gist (id WITH =, customer_id WITH <>)",
        "CREATE TABLE orders (id int8 PRIMARY KEY, customer_id int8)",
        "ALTER TABLE orders ADD FOREIGN KEY (id) REFERENCES customers (id)",
        "ALTER TABLE orders ADD FOREIGN KEY (id) REFERENCES logs (id)",
        "ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers (id) ON UPDATE CASCADE",
        "ALTER TABLE countries ADD COLUMN x int8 REFERENCES customers (id)",
        "ALTER TABLE orders RENAME TO others",
        "ALTER TABLE orders SET SCHEMA elsewhere",
        "ALTER TABLE orders ALTER COLUMN customer_id TYPE text",
    ],
)
def test_what_a_shard_cannot_keep_by_itself_is_refused(sql: str) -> None:
    found = why_not(request(sql))
    assert found is not None
    assert found.hint


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE UNIQUE INDEX u ON orders (customer_id, id)",
        "CREATE INDEX i ON orders (id)",
        "CREATE UNIQUE INDEX u ON countries (name)",
        "CREATE UNIQUE INDEX u ON logs (id)",
        "ALTER TABLE orders ADD EXCLUDE USING gist (customer_id WITH =, id WITH <>)",
        "ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE",
        "ALTER TABLE orders ADD COLUMN code text REFERENCES countries (code)",
        "ALTER TABLE orders RENAME COLUMN id TO number",
        "ALTER TABLE orders ALTER COLUMN id TYPE text, ALTER COLUMN customer_id TYPE int8",
        "ALTER TABLE logs RENAME TO others",
        "DROP TABLE orders",
    ],
)
def test_what_each_shard_keeps_is_done(sql: str) -> None:
    assert why_not(request(sql)) is None
