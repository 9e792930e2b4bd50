"""Texts into which ids are written that were drawn first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.routing.golden_shop import SHARDING
from tests.unit.routing.planning.test_ids import SHOP
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.schema.catalog import Column
from trunkline.routing.spreading import drawing
from trunkline.routing.spreading.drawing_slots import Drawing
from trunkline.routing.spreading.request import Request
from trunkline.routing.sql import parse_any

_KEY = Column("id", "int8", not_null=True, default="nextval('public.numbers'::regclass)", generated=True)
_CODE = Column("name", "text", default="('C-' || nextval('public.\"Odd\"'::regclass))")
_CUSTOMERS = SHOP.relations["public", "customers"]
_CATALOG = replace(
    SHOP, relations={**SHOP.relations, ("public", "customers"): replace(_CUSTOMERS, columns=(_KEY, _CODE))}
)


def drawn(sql: str) -> Drawing | Refusal:
    kind, node = parse_any(sql.encode())[0]
    found = plan(sql.encode(), _CATALOG, SHARDING, ("public",))
    assert found.draws is not None
    return drawing.plan(Request(sql.encode(), kind, node, _CATALOG, SHARDING, ("public",), found))


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("INSERT INTO orders (customer_id) VALUES ($1)", 'INSERT INTO orders (customer_id, "id") VALUES ($1, $2)'),
        (
            "INSERT INTO orders (customer_id) VALUES (5) , (6) RETURNING id",
            'INSERT INTO orders (customer_id, "id") VALUES (5, $1) , (6, $2) RETURNING id',
        ),
        ("INSERT INTO orders VALUES (DEFAULT, 5)", "INSERT INTO orders VALUES ($1, 5)"),
        ("INSERT INTO orders VALUES (nextval('numbers'), 5)", "INSERT INTO orders VALUES ($1, 5)"),
        (
            "INSERT INTO orders VALUES (1, pg_catalog.currval ( 'public.\"Odd\"' :: regclass))",
            "INSERT INTO orders VALUES (1, $1)",
        ),
        ("SELECT nextval('numbers') + 1", "SELECT (SELECT $1::pg_catalog.int8 AS nextval) + 1"),
        ("SELECT trunkline.uuid7()", "SELECT (SELECT $1::pg_catalog.uuid AS uuid7)"),
        (
            "SELECT lastval() FROM orders WHERE customer_id = currval('numbers')",
            "SELECT (SELECT $1::pg_catalog.int8 AS lastval) FROM orders WHERE customer_id = $2",
        ),
    ],
)
def test_ids_become_parameters_behind_the_clients_own(sql: str, text: str) -> None:
    found = drawn(sql)
    assert isinstance(found, Drawing), found
    assert found.text(found.parameters).decode() == text


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO orders (customer_id) SELECT 5",
        "INSERT INTO orders (id, customer_id) SELECT numbering(), 5",
        "INSERT INTO orders (customer_id, total) VALUES (5, several())",
        "INSERT INTO orders VALUES (CASE WHEN $1 THEN nextval('numbers') ELSE 1 END, 5)",
        "INSERT INTO orders VALUES (nextval($1), 5)",
        "INSERT INTO orders (customer_id) VALUES (currval('numbers'))",
        "INSERT INTO orders (customer_id) VALUES (1) RETURNING lastval()",
        "WITH one AS (INSERT INTO orders (customer_id) VALUES (1) RETURNING id) SELECT * FROM one",
        "INSERT INTO customers OVERRIDING USER VALUE VALUES (5)",
        "UPDATE orders SET id = DEFAULT WHERE customer_id = 5",
        "UPDATE orders SET total = nextval('numbers') WHERE customer_id = 5",
        "SELECT trunkline.snowflake() FROM orders",
        "SELECT nextval('numbers'), * FROM orders WHERE customer_id = 5",
        "MERGE INTO orders o USING (VALUES (5)) AS v (k) ON o.customer_id = v.k AND o.customer_id = 5"
        " WHEN NOT MATCHED THEN INSERT (customer_id) VALUES (5)",
    ],
)
def test_what_would_draw_an_id_for_each_row_is_refused(sql: str) -> None:
    found = drawn(sql)
    assert isinstance(found, Refusal)
    assert found.reason
    assert found.hint
