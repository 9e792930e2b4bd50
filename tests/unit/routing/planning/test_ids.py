"""What a statement has to do with ids: whether they are drawn first, and what a server advances by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from trunkline.routing.planning.ids import FORGOTTEN, RESTARTED, name_parts
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.plan import RoutePlan
from trunkline.routing.schema.catalog import Column, Function, Relation

_ID = Column("id", "int8", not_null=True, default="nextval('public.numbers'::regclass)")
_MORE = (
    Relation("public", "numbers", "S"),
    Relation("public", "Odd", "S"),
    Relation("public", "jobs", "r", (_ID, Column("what", "text"))),
)
_NUMBERING = Function("public", "numbering", (), "f", "v", "sql", "SELECT nextval('numbers')")
_ORDERS = CATALOG.relations["public", "orders"]
_COUNTED = replace(_ORDERS, columns=(_ID, *_ORDERS.columns[1:]))
_SEVERAL = Function("public", "several", (), "f", "i", "sql", "SELECT 1", returns_set=True)
SHOP = replace(
    CATALOG,
    relations={
        **CATALOG.relations,
        **{(one.schema, one.name): one for one in _MORE},
        ("public", "orders"): _COUNTED,
    },
    functions={**CATALOG.functions, ("public", "numbering"): (_NUMBERING,), ("public", "several"): (_SEVERAL,)},
)


def planned(sql: str) -> RoutePlan:
    return plan(sql.encode(), SHOP, SHARDING, ("public",))


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO orders (customer_id) VALUES (5)",
        "INSERT INTO orders VALUES (DEFAULT, 5)",
        "INSERT INTO orders (id, customer_id) VALUES (nextval('numbers'), 5)",
        "INSERT INTO orders (id, customer_id) VALUES (1, nextval('numbers'))",
        "INSERT INTO orders (id, customer_id) VALUES (1, trunkline.snowflake())",
        "INSERT INTO orders (id, customer_id) SELECT numbering(), 5",
        "UPDATE orders SET id = DEFAULT WHERE customer_id = 5",
        "SELECT nextval('numbers')",
        "SELECT trunkline.uuid7()",
        "SELECT * FROM orders WHERE customer_id = currval('public.numbers')",
        "SELECT lastval() FROM jobs",
        "INSERT INTO orders (id, customer_id) OVERRIDING USER VALUE VALUES (1, 5)",
    ],
)
def test_ids_are_drawn_before_what_may_run_at_any_shard(sql: str) -> None:
    assert planned(sql).draws is not None


@pytest.mark.parametrize(
    ("sql", "ids"),
    [
        ("INSERT INTO jobs (what) VALUES ('x')", ('"public"."numbers"',)),
        ("INSERT INTO jobs VALUES (DEFAULT, 'x')", ('"public"."numbers"',)),
        ("INSERT INTO jobs VALUES (1)", ()),
        ("SELECT nextval('numbers'), what FROM jobs", ('"public"."numbers"',)),
        ("SELECT numbering()", ('"public"."numbers"',)),
        ("SELECT setval('\"Odd\"', 5)", ('="public"."Odd"',)),
        ("SELECT nextval('elsewhere')", ()),
        ("EXPLAIN INSERT INTO orders (customer_id) VALUES (5)", ()),
        ("INSERT INTO orders (id, customer_id) VALUES (1, 5)", ()),
        ("DISCARD SEQUENCES", (FORGOTTEN,)),
        ("DISCARD PLANS", ()),
        ("TRUNCATE orders RESTART IDENTITY", (RESTARTED,)),
        ("ALTER SEQUENCE numbers RESTART", (RESTARTED,)),
    ],
)
def test_what_runs_at_home_advances_sequences_there(sql: str, ids: tuple[str, ...]) -> None:
    found = planned(sql)
    assert (found.draws, found.ids) == (None, ids)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("numbers", (None, "numbers")),
        ("Public . Numbers", ("public", "numbers")),
        ('"A "" b"."C"', ('A " b', "C")),
        ("a.b.c", None),
        ("a.", None),
        ("", None),
        ("1", None),
    ],
)
def test_names_are_read_as_regclass_reads_them(text: str, parts: tuple[str | None, str] | None) -> None:
    assert name_parts(text) == parts
